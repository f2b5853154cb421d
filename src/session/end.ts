import { UserError } from "../error.ts";
import { unless } from "../kernel/error.ts";
import { openDirectory } from "../kernel/file.ts";
import { type Hold, takeHold } from "./hold.ts";
import { checkSessionId } from "./id.ts";
import { sessionDir } from "./paths.ts";
import { readSummary, removeRecord } from "./record.ts";
import { removeRemains } from "./remains.ts";
import { explainFullLater, prepareState } from "./state.ts";

export interface EndReport {
  readonly id: string;
  /** How many processes were still running in it. */
  readonly killed: number;
}

/**
 * Ends a session: kills what runs in it, unmounts, deletes its changes. From the moment its record is gone it doesn't exist;
 * killed after that, the next command goes on.
 * @throws {UserError} not-found where there is none, also when another process ended it meanwhile
 */
export async function endSession(id: string): Promise<EndReport> {
  checkSessionId(id);
  prepareState();
  if (!exists(id)) throw gone(id);
  // Released where all went well: after an error what is left is a leftover, for the next command to go on with.
  using hold = takeHold(id);
  if (hold === undefined) throw busy(id);
  using dir = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  if (dir === undefined) {
    hold.release();
    throw gone(id);
  }
  refuseNewer(id);
  removeRecord(dir);
  const killed = await endHeld(hold);
  hold.release();
  return { id, killed };
}

/** A newer Fallthru may have put things where this one doesn't look; a damaged record hides no more than it can say. */
function refuseNewer(id: string): void {
  try {
    readSummary(id);
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== "data") throw error;
  }
}

/** Removes a session that the caller holds, and that has no record any more or only an automatic one's. */
export function endHeld(hold: Hold): Promise<number> {
  return explainFullLater(sessionDir(hold.id), () => removeRemains(hold));
}

function exists(id: string): boolean {
  const opened = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  opened?.close();
  return opened !== undefined;
}

function busy(id: string): UserError {
  return new UserError("busy", `session ${id} is a run's own, and ends with its command`, {
    hint: `what runs in it: fallthru info @${id}`,
  });
}

function gone(id: string): UserError {
  return new UserError("not-found", `no session ${id}`, {
    hint: "it may have ended already; what there is: fallthru list",
  });
}
