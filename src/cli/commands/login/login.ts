import { UserError } from "../../../error.ts";
import type { OwnLogin } from "../../../frontend/login/self.ts";
import { command } from "../../command.ts";

/** What people's logins are: asks the service, as it has no rights. */
export const login = command({
  name: "login",
  summary: "be a person's login, in a throw-away root of theirs",
  description: [
    "Runs the person's shell, or COMMAND, in their session. Which chroot it is one of, and what it is like, says the chroot's description by keys that begin with login. (docs/login.md). It begins with the first login and is gone after the last.",
    "As sshd's ForceCommand it runs what the person asked sshd for. As a shell in /etc/passwd it is called /usr/bin/fallthru-login, and takes the arguments of the person's own shell. A display manager's script gives the COMMAND.",
  ],
  operands: {
    command: { arity: "command", summary: "what to run, with its arguments; without it the person's shell" },
  },
  options: { dryRun: { type: "boolean", summary: "say which chroot's session it would be, and do nothing" } },
  examples: [
    { line: "fallthru login", does: "a login shell; what sshd's ForceCommand is" },
    { line: "fallthru login -- startxfce4", does: "a desktop, from a display manager's script" },
  ],
  exits: {
    1: "no login: a message says why, and nothing was run",
    3: "with --dry-run: no chroot is this person's login",
    "128+N": "the command was ended by signal N",
    N: "anything else is the command's own status",
  },
  failureStatus: 1,
  json: [
    { name: "user", type: "string", summary: "with --dry-run: whose login" },
    { name: "chroot", type: "string", summary: "with --dry-run: the chroot that it is a session of" },
    { name: "file", type: "string", summary: "with --dry-run: the file that says so" },
    { name: "line", type: "number", summary: "with --dry-run: the line of the chroot's `[name]` there" },
  ],
  surplusHint: () => Promise.resolve("fallthru login enable, disable or status; a command stands behind --"),
  run: async ({ command: words }, { dryRun }) => {
    if (dryRun) return whatItWouldBe();
    const { beCommand, beForced } = await import("../../login.ts");
    return { status: await (words.length === 0 ? beForced() : beCommand(words)) };
  },
  text: ({ user, chroot, file, line }) => `${user}: sessions of ${chroot}, ${file}:${line}\n`,
});

async function whatItWouldBe(): Promise<{ data: OwnLogin }> {
  const { ownLogin } = await import("../../../frontend/login/self.ts");
  try {
    return { data: ownLogin() };
  } catch (error) {
    if (error instanceof UserError && error.code === "not-found") throw Object.assign(error, { status: 3 });
    throw error;
  }
}
