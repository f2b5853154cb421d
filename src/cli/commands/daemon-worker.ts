import { command } from "../command.ts";

/** What the service starts for each of its users. */
export const daemonWorker = command({
  name: "daemon-worker",
  summary: "be a process of the service's that serves one user's clients",
  operands: {},
  options: {},
  examples: [{ line: "fallthru daemon", does: "starts it" }],
  exits: {},
  json: [],
  run: async () => (await import("../../daemon/main.ts")).serveOneUser(),
});
