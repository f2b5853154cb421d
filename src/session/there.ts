import { unless } from "../kernel/error.ts";
import { statAt } from "../kernel/file.ts";
import { isSessionId } from "./id.ts";
import { mountPointOf, sessionDir } from "./paths.ts";

/**
 * Whether a session that schroot's files tell of is there: one of ours has a directory of its own, one of a real
 * schroot's is mounted elsewhere and has nothing but its file.
 */
export function isSessionThere(id: string, mountLocation: string | undefined): boolean {
  if (!isOwnSession(id, mountLocation)) return true;
  return unless(["ENOENT", "EACCES"], () => statAt(null, sessionDir(id))) !== undefined;
}

/** Whether a session that schroot's files tell of is ours. */
export function isOwnSession(id: string, mountLocation: string | undefined): boolean {
  return isSessionId(id) && mountLocation === mountPointOf(id);
}
