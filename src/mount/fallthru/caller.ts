import type { Request } from "../../fuse/filesystem.ts";
import { unless } from "../../kernel/error.ts";
import { unseen } from "../../kernel/proc.ts";
import { readText } from "../../kernel/trusted.ts";

/** What Linux gives for who asks, of all but what makes something, where a mount may be shown with other ids (ALLOW_IDMAP). */
const UNTOLD = 0xffff_ffff;

/** Who asks: user and group by which files are reached. Whoever waits for an answer is there until it has come. */
export function callerOf({ uid, gid, pid }: Request): { readonly uid: number; readonly gid: number } {
  if (uid !== UNTOLD) return { uid, gid };
  const status = unless(unseen, () => readText(`/proc/${pid}/status`, "latin1")) ?? "";
  return { uid: fileSystemId("Uid", status), gid: fileSystemId("Gid", status) };
}

/** The last of the four ids of a line. */
function fileSystemId(line: "Uid" | "Gid", status: string): number {
  return Number(new RegExp(`^${line}:(?:\\s+\\d+){3}\\s+(\\d+)`, "m").exec(status)?.[1] ?? UNTOLD);
}
