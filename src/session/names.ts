import { nearNames } from "../chroot/names.ts";
import { UserError } from "../error.ts";
import { isErrno } from "../kernel/error.ts";
import { nodeFs } from "../kernel/trusted.ts";
import { isSessionId } from "./id.ts";
import { sessionsDir } from "./paths.ts";

/** The names of the sessions' directories; half-made ones too. What else somebody put there is passed over. */
export function sessionIds(): string[] {
  try {
    const entries = nodeFs().readdirSync(sessionsDir, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && isSessionId(entry.name)).map(({ name }) => name);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** What to throw where no session has this name; says which names are near. */
export function noSession(id: string): UserError {
  const near = nearNames(id, sessionIds());
  const meant =
    near.length === 0 ? "it may have ended already" : `did you mean ${near.map((name) => `@${name}`).join(" or ")}?`;
  return new UserError("not-found", `no session ${id}`, { hint: `${meant}; what there is: fallthru list` });
}
