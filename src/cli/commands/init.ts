import { runInit } from "../../session/init.ts";
import { command } from "../command.ts";

export const init = command({
  name: "init",
  summary: "be the first process of a session's pid name space, for run --pid-namespace",
  operands: {},
  options: {},
  examples: [{ line: "fallthru run --pid-namespace -- ps", does: "starts it" }],
  exits: {},
  failureStatus: 125,
  json: [],
  run: () => runInit(),
});
