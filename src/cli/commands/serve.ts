import { runServer } from "../../mount/fallthru/server.ts";
import { command } from "../command.ts";

export const serve = command({
  name: "serve",
  summary: "be the process that serves a mount",
  operands: {},
  options: {},
  examples: [{ line: "fallthru mount -o lowerdir=/srv/top:/srv/base /mnt", does: "starts it" }],
  exits: {},
  json: [],
  run: () => ({ status: runServer() }),
});
