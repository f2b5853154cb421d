import { UserError } from "../../../error.ts";
import { command } from "../../command.ts";

/** How long somebody's login waits for what counts it, and their logout for what goes: the next login waits then, if it must. */
const patienceMs = 30_000;

/** What a line of PAM's runs: `session optional pam_exec.so seteuid quiet /usr/bin/fallthru login-pam`. */
export const pam = command({
  name: "login-pam",
  summary: "count a login from when PAM opens a session until it is closed, or the program that has it opened ends",
  description: ["It is told whose by PAM_USER and PAM_TYPE, and works for the program that started it."],
  operands: {},
  options: {},
  examples: [
    {
      line: "session optional pam_exec.so seteuid quiet /usr/bin/fallthru login-pam",
      does: "runs it",
    },
  ],
  exits: {},
  json: [],
  run: async () => {
    const { PAM_USER: user = "", PAM_TYPE: type = "" } = process.env;
    if (type !== "open_session" && type !== "close_session")
      throw new UserError("usage", "PAM calls this, with PAM_TYPE and PAM_USER", { hint: "docs/login.md" });
    if (process.geteuid?.() !== 0)
      throw new UserError("failed", "PAM has to call this with root's rights", {
        hint: "write seteuid into its line: docs/login.md",
      });
    const { closeLogin, findOpened } = await import("../../../frontend/login/pam.ts");
    if (type === "close_session") {
      closeLogin(user, process.ppid, patienceMs);
      return {};
    }
    if (findOpened(user) === undefined) return {};
    const { startHolder } = await import("../../../session/holder.ts");
    startHolder(["login-count", "--", user, String(process.ppid)], patienceMs);
    return {};
  },
});

/** What login-pam starts. */
export const count = command({
  name: "login-count",
  summary: "have a part in a person's session until the program that opened PAM's has ended",
  operands: {
    user: { arity: "one", summary: "whose session" },
    pid: { arity: "one", summary: "of the program that opened PAM's" },
  },
  options: {},
  examples: [{ line: "fallthru login-pam", does: "starts it" }],
  exits: {},
  json: [],
  run: async ({ user, pid }) => {
    const { countLogin, findOpened } = await import("../../../frontend/login/pam.ts");
    const { closeSync } = await import("node:fs");
    const opened = findOpened(user);
    if (opened !== undefined) await countLogin(opened, Number(pid), () => closeSync(1));
    return {};
  },
});
