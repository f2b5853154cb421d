import { isErrno } from "../kernel/error.ts";
import { UserError } from "../error.ts";
import { endSession } from "./end.ts";
import { listSessions } from "./list.ts";
import { clearLeftovers } from "./remains.ts";
import { prepareState } from "./state.ts";

export interface GarbageReport {
  /** Sessions whose time (`--ttl`) was over. */
  readonly ended: string[];
  /** What killed processes had left. */
  readonly removed: string[];
}

/** Ends the sessions that are older than their --ttl, and clears leftovers away. */
export function collectGarbage(nowMs: number = Date.now()): GarbageReport {
  prepareState();
  const removed = clearLeftovers();
  const ended: string[] = [];
  for (const session of listSessions()) {
    if (session.expiresMs === undefined || session.expiresMs > nowMs || session.state === "held") continue;
    try {
      endSession(session.id);
      ended.push(session.id);
    } catch (error) {
      // Somebody ended it meanwhile.
      if (!(error instanceof UserError && error.code === "not-found") && !isErrno(error, "ENOENT")) throw error;
    }
  }
  return { ended, removed };
}
