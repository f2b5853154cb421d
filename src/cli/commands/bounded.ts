import { runBounded } from "../../session/bounded.ts";
import { command } from "../command.ts";

export const bounded = command({
  name: "bounded",
  summary: "become the shell of a login whose root is bound, for login.sudo=yes",
  operands: {},
  options: {},
  examples: [{ line: "fallthru login", does: "starts it" }],
  exits: {},
  failureStatus: 127,
  json: [],
  run: () => runBounded(),
});
