import { mkdirSync } from "node:fs";
import { unless } from "../kernel/error.ts";
import { lock, openDirectory } from "../kernel/file.ts";
import { attachPlan } from "../mount/attach.ts";
import { makeControlGroups } from "./cgroup.ts";
import { takeHold } from "./hold.ts";
import { sessionIds } from "./list.ts";
import { mountPointOf, sessionDir } from "./paths.ts";
import { readRecord, removeRecord, type SessionRecord } from "./record.ts";
import { clearLeftovers, removeRemains } from "./remains.ts";
import { writeRootFiles } from "./rootfiles.ts";
import { isSessionMounted, prepareState } from "./state.ts";

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
export function recoverSessions(): RecoverReport {
  prepareState();
  const report: RecoverReport = { recovered: [], removed: clearLeftovers(), lost: [] };
  for (const id of sessionIds()) {
    try {
      recoverOne(id, report);
    } catch (error) {
      report.lost.push({ id, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return report;
}

function recoverOne(id: string, report: RecoverReport): void {
  if (isSessionMounted(id) && readRecord(id) !== undefined) return;
  const hold = takeHold(id);
  try {
    const opened = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
    if (opened === undefined) return;
    using dir = opened;
    lock(dir, "exclusive");
    const record = readRecord(id);
    if (record?.kind === "named") {
      if (isSessionMounted(id)) return;
      if (record.upper.kind === "tmpfs") {
        // Its changes were in memory, and went with it.
        removeRecord(dir);
        removeRemains(hold);
        report.lost.push({ id, reason: "its changes were kept in memory (--upper tmpfs), so it is ended" });
        return;
      }
      mountAgain(record);
      report.recovered.push(id);
      return;
    }
    // A directory without a record: a power cut took the mark that it was held.
    removeRemains(hold);
    report.removed.push(id);
  } finally {
    hold.release();
  }
}

function mountAgain(record: SessionRecord): void {
  const mountPoint = mountPointOf(record.id);
  mkdirSync(mountPoint, { recursive: true, mode: 0o700 });
  makeControlGroups(record.id, record.limits);
  attachPlan(record.plan, mountPoint, { prepare: (root) => writeRootFiles(root, record.files) });
}
