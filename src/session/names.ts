import { nearNames } from "../chroot/names.ts";
import { UserError } from "../error.ts";
import { DT, O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { isDirectory, openAt, statAt } from "../kernel/file.ts";
import { typesOf } from "../kernel/trusted.ts";
import { isSessionId } from "./id.ts";
import { sessionsDir } from "./paths.ts";

/** The names of the sessions' directories; half-made ones too. What else somebody put there is passed over. */
export function sessionIds(): string[] {
  using sessions = unless(["ENOENT"], () => openAt(null, sessionsDir, O.RDONLY | O.DIRECTORY));
  if (sessions === undefined) return [];
  const ids: string[] = [];
  for (const [name, type] of typesOf(sessions))
    if (isSessionId(name) && isDirectoryOf(sessions, name, type)) ids.push(name);
  return ids;
}

function isDirectoryOf(sessions: Fd, name: string, type: number): boolean {
  return type === DT.DIR || (type === DT.UNKNOWN && isDirectory(statAt(sessions, name)));
}

/** What to throw where no session has this name; says which names are near. */
export function noSession(id: string): UserError {
  const near = nearNames(id, sessionIds());
  const meant =
    near.length === 0 ? "it may have ended already;" : `did you mean ${near.map((name) => `@${name}`).join(" or ")}?`;
  return new UserError("not-found", `no session ${id}`, { hint: `${meant} what there is: fallthru list` });
}
