import { rmdirSync } from "node:fs";
import { isErrno, unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { O } from "../kernel/abi/file.ts";
import { openAt, openDirectory } from "../kernel/file.ts";
import { detachMount } from "../kernel/mount.ts";
import { removeTree } from "../layer/remove.ts";
import { killControlGroups, removeControlGroups } from "./cgroup.ts";
import { heldIds, type Hold, takeLeftover } from "./hold.ts";
import { removeLayers } from "./layers.ts";
import { mountPointOf, sessionDir, sessionsDir } from "./paths.ts";
import { killInside } from "./processes.ts";
import { readSummary } from "./record.ts";
import { isMounted } from "./state.ts";

/**
 * Removes everything that a session may have: processes, mounts, control groups, layers, directories. Each step
 * passes over what isn't there, so it clears a session that was killed anywhere, and may itself be killed and repeated.
 * The session's record must be gone, and the caller holds it.
 * @returns how many processes were killed
 */
export function removeRemains(hold: Hold): number {
  const { id } = hold;
  const mountPoint = mountPointOf(id);
  killControlGroups(id);
  const killed = killInside(mountPoint);
  {
    // Kept open while the layers are deleted: the last one to let go of the mount has to sync all of its upper's
    // file system (2.9 s after 100 MB), and what is deleted before that needn't be written.
    using mount = isMounted(mountPoint) ? openAt(null, mountPoint, O.PATH | O.DIRECTORY) : undefined;
    while (isMounted(mountPoint)) detachMount(mountPoint);
    removeMountPoint(mountPoint);
    removeSessionDir(id);
    void mount;
  }
  removeControlGroups(id);
  return killed;
}

function removeMountPoint(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

/** The layers first: until they are gone the directory tells where they are. */
function removeSessionDir(id: string): void {
  const opened = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  if (opened === undefined) return;
  using sessions = openDirectory(sessionsDir);
  {
    using dir: Fd = opened;
    removeLayers(id, dir);
  }
  removeTree(sessions, id);
}

/**
 * Clears away what killed processes left. Costs one look at an empty directory where there is nothing.
 * @returns the ids of what was removed
 */
export function clearLeftovers(): string[] {
  const removed: string[] = [];
  for (const id of heldIds()) {
    const leftover = takeLeftover(id);
    if (leftover === undefined) continue;
    using hold = leftover;
    if (clearOne(hold)) removed.push(id);
    hold.release();
  }
  return removed;
}

/** A record that stands means whole: it was killed just after the last step of begin, or just before the first of end. */
function clearOne(hold: Hold): boolean {
  const summary = unlessUnreadable(() => readSummary(hold.id));
  if (summary !== undefined && summary !== "unreadable" && summary.kind === "named") return false;
  if (summary === "unreadable") return false;
  removeRemains(hold);
  return true;
}

/** What can't be read may hold somebody's changes: it is left for `end`. */
function unlessUnreadable<T>(read: () => T): T | "unreadable" {
  try {
    return read();
  } catch {
    return "unreadable";
  }
}
