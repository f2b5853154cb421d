import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { openDirectory } from "../kernel/file.ts";
import { detachMount } from "../kernel/mount.ts";
import { attachPlan, oursFor } from "../mount/attach.ts";
import { renewBegun } from "./begun.ts";
import { makeControlGroups, removeControlGroups } from "./cgroup.ts";
import { type Hold, takeHold } from "./hold.ts";
import { sessionIds } from "./names.ts";
import { memoryUpperOf, mountPointOf, sessionDir } from "./paths.ts";
import { readRecord, recordKind, type RecordKind, removeRecord, type SessionRecord, writeRecord } from "./record.ts";
import { makeMountPoint } from "./mountpoint.ts";
import { clearLeftovers, findSetup, finishFork, hasUnsaved, removeMountPoint, removeRemains } from "./remains.ts";
import { clearReplaced } from "./replaced.ts";
import { readNote } from "./root/note.ts";
import { writeRootFiles } from "./rootfiles.ts";
import { atTheirPlaces, lockRoots } from "./roots.ts";
import { isMounted, isSessionMounted, prepareState } from "./state.ts";
import { undo } from "./undo.ts";

export interface RecoverReport {
  /** Mounted again. */
  readonly recovered: string[];
  /** Half-begun or half-ended ones that were cleared away. */
  readonly removed: string[];
  /** Still there, but not to be used. */
  readonly lost: { readonly id: string; readonly reason: string }[];
}

/**
 * Makes every session whole or gone: clears away what killed processes left, and mounts again what a restart of the
 * machine unmounted. Doing it twice, or two at once, is the same as once.
 */
export async function recoverSessions(): Promise<RecoverReport> {
  prepareState();
  const { removed, stuck } = await clearLeftovers();
  const report: RecoverReport = { recovered: [], removed, lost: stuck };
  const ids = sessionIds();
  const unsaved = new Set(ids.filter(hasUnsaved));
  // Those last: whoever has files to be saved may be slow, or have much.
  for (const id of [...ids.filter((each) => !unsaved.has(each)), ...unsaved]) {
    if (report.lost.some((lost) => lost.id === id)) continue;
    try {
      await recoverOne(id, report);
    } catch (error) {
      report.lost.push({ id, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  // A power cut may have come between the end of the last session over one and its removal.
  report.lost.push(...clearReplaced());
  return report;
}

async function recoverOne(id: string, report: RecoverReport): Promise<void> {
  if (recordKind(id) === "named" && isSessionMounted(id)) {
    const record = readRecord(id);
    if (record !== undefined && record.freezing === undefined) return;
  }
  using hold = takeHold(id);
  if (hold === undefined) return;
  await restore(hold, report);
  hold.release();
}

async function restore(hold: Hold, report: RecoverReport): Promise<void> {
  const { id } = hold;
  using dir = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  if (dir === undefined) return;
  if (recordKind(id) !== "named") {
    // A power cut took the mark that it was held.
    await removeRemains(hold);
    report.removed.push(id);
    return;
  }
  await finishFork(hold);
  const record = readRecord(id);
  if (record === undefined || isSessionMounted(id)) return;
  if (record.upper.kind === "tmpfs" && !isMounted(memoryUpperOf(id))) {
    removeRecord(dir);
    await removeRemains(hold, { setup: "ok" });
    report.lost.push({ id, reason: "its changes were kept in memory (--upper tmpfs), so it is ended" });
    return;
  }
  await mountAgain(record, hold, dir);
  report.recovered.push(id);
}

/**
 * Mounts a session that the caller holds, and of which nothing is mounted.
 * @param files whether the profile's files are copied anew
 */
export async function mountAgain(
  record: SessionRecord & { readonly kind: RecordKind },
  hold: Hold,
  dir: Fd,
  files: "renew" | "leave" = "renew",
): Promise<void> {
  const mountPoint = mountPointOf(record.id);
  const setup = await findSetup(dir);
  try {
    // A union of ours that nobody serves any more is still mounted.
    while (isMounted(mountPoint)) detachMount(mountPoint);
    await restoreNoted(record.id, hold, dir);
    makeMountPoint(record.id, record.visitor);
    makeControlGroups(record.id, record.limits);
    await setup?.start("setup-recover", "unmounted");
    const renewed = files === "renew" ? renewBegun(record.begun ?? [], record.plan, record.files) : undefined;
    const ours = await oursFor(record.plan);
    {
      using _ = lockRoots("shared");
      attachPlan(atTheirPlaces(record).plan, mountPoint, {
        ours,
        prepare: (root) => {
          if (files === "renew") writeRootFiles(root, record.files);
        },
      });
    }
    await setup?.start("setup-recover", "mounted");
    const { kind, ...details } = record;
    if (renewed !== undefined) writeRecord(dir, { ...details, begun: renewed() }, kind);
  } catch (error) {
    await undo(() => {
      while (isMounted(mountPoint)) detachMount(mountPoint);
      removeMountPoint(record.id);
      removeControlGroups(record.id);
    });
    throw error;
  }
}

async function restoreNoted(id: string, hold: Hold, dir: Fd): Promise<void> {
  if (readNote(dir) === undefined) return;
  const { restoreRoot } = await import("./root/root.ts");
  using _ = lockRoots("shared");
  const note = readNote(dir);
  if (note !== undefined) await restoreRoot(note, { id, dir, hold: hold.file });
}
