import { UserError } from "../error.ts";
import { endSession } from "./end.ts";
import { listSessions } from "./list.ts";
import { recordKind } from "./record.ts";
import { clearLeftovers, hasUnsaved } from "./remains.ts";
import { clearReplaced } from "./replaced.ts";
import { prepareState } from "./state.ts";

export interface GarbageReport {
  /** Sessions whose time (`--ttl`) was over. */
  readonly ended: string[];
  /** What killed processes had left. */
  readonly removed: string[];
  /** What should have gone and couldn't be removed. */
  readonly stuck: { readonly id: string; readonly reason: string }[];
}

/** Ends the sessions that are older than their --ttl, and clears leftovers away: last those of which files are to be saved. */
export async function collectGarbage(nowMs: number = Date.now()): Promise<GarbageReport> {
  prepareState();
  const report: GarbageReport = { ended: [], ...(await clearLeftovers()) };
  for (const { id, expiresMs, state } of listSessions()) {
    if (expiresMs === undefined || expiresMs > nowMs) continue;
    // Somebody begins or ends it; an automatic one's time may be over while its command runs.
    if (state === "held" && recordKind(id) !== "automatic") continue;
    if (state === "leftover" && hasUnsaved(id)) continue;
    try {
      await endSession(id, { force: true });
      report.ended.push(id);
    } catch (error) {
      // Somebody ended it meanwhile.
      if (error instanceof UserError && error.code === "not-found") continue;
      report.stuck.push({ id, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  const { removed, stuck } = await clearLeftovers(() => true);
  report.stuck.push(...clearReplaced());
  report.removed.push(...removed);
  report.stuck.push(...stuck.filter(({ id }) => report.stuck.every((other) => other.id !== id)));
  return report;
}
