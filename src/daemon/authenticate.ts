import type { Caller } from "../frontend/schroot/caller.ts";
import { UserError } from "../error.ts";
import type { Fd } from "../kernel/fd.ts";
import { openDirectory } from "../kernel/file.ts";
import { isTerminal } from "../kernel/terminal.ts";

const su = "/bin/su";

/**
 * Has the caller show that they may be `user`, by su(1): set-user-ID and on every Debian, it asks PAM as root would,
 * on the caller's terminal and with the caller's real user id, and its exit status is the answer. Nothing of PAM's is
 * loaded here, and no password comes near this process.
 */
export async function authenticate(user: string, caller: Caller, input: Fd): Promise<void> {
  if (!isTerminal(input)) {
    caller.say(2, "E: No controlling terminal\n");
    throw refused();
  }
  using root = openDirectory("/");
  const credentials = { uid: caller.uid, gid: caller.gid, groups: caller.groups };
  const program = { file: su, argv: ["su", "--shell=/bin/true", "--", user], env: environment };
  const end = await caller.run({ root, credentials, directories: ["/"], network: "host" }, program);
  if (!("status" in end) || end.status !== 0) throw refused();
}

function refused(): UserError {
  return new UserError("failed", "Authentication failed: Authentication failure");
}

const environment = { PATH: "/usr/bin:/bin", TERM: "dumb" };
