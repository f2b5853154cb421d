import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { isErrno } from "../../kernel/error.ts";
import { readLinkAt } from "../../kernel/file.ts";
import { parseMountInfo } from "../../mount/mountinfo.ts";
import { type KeeperNote, openSpaceOf, type Space } from "./space.ts";

/**
 * The name spaces of a keeper that was killed, where something still runs in them: it keeps them, and the sessions' mounts. Others
 * may have got their numbers, after a restart too; but nobody else has our mounts.
 */
export function findOrphan(note: KeeperNote): Space | undefined {
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid) || !isIn(pid, note) || !hasOurMounts(pid)) continue;
    const space = openSpaceOf(pid);
    // It may have ended meanwhile, and its id be another's.
    if (space !== undefined && nameOf(space.user.procPath) === note.user && nameOf(space.mount.procPath) === note.mount)
      return space;
    space?.[Symbol.dispose]();
  }
  return undefined;
}

function isIn(pid: string, { user, mount }: KeeperNote): boolean {
  return (
    ofProcess(() => readlinkSync(`/proc/${pid}/ns/mnt`)) === mount &&
    ofProcess(() => readlinkSync(`/proc/${pid}/ns/user`)) === user
  );
}

function hasOurMounts(pid: string): boolean {
  const mounts = ofProcess(() => readFileSync(`/proc/${pid}/mountinfo`, "latin1")) ?? "";
  return parseMountInfo(mounts).some(({ source }) => source === "fallthru");
}

/** `user:[4026532190]`, as /proc has it. */
export function nameOf(path: string): string {
  return readLinkAt(null, path).toString("latin1");
}

function ofProcess<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES", "EPERM", "EINVAL")) return undefined;
    throw error;
  }
}
