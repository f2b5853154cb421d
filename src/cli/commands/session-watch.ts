import { command } from "../command.ts";

/** What `schroot --begin-session` starts for sbuild. */
export const sessionWatch = command({
  name: "session-watch",
  summary: "end a session when a signal has ended the sbuild that it was begun for",
  operands: {
    session: { arity: "one", summary: "its id" },
    pid: { arity: "one", summary: "of sbuild" },
    uid: { arity: "one", summary: "whose it is, for those who count" },
  },
  options: {},
  examples: [{ line: "sbuild hello", does: "has it started" }],
  exits: {},
  json: [],
  run: async ({ session, pid }) => {
    await (await import("../../session/builder.ts")).watchBuilder(session, Number(pid));
    return {};
  },
});
