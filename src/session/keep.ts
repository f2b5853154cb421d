import { UserError } from "../error.ts";
import { lock, openDirectory, syncFileSystem } from "../kernel/file.ts";
import type { MountPlan } from "../mount/plan.ts";
import { whileUnmounted, type WholeRecord } from "./commit/still.ts";
import type { Hold } from "./hold.ts";
import { mountPointOf, sessionDir } from "./paths.ts";
import { lookInside } from "./processes.ts";
import { makeNamed, makeNamedAsItIs, readRecord, recordKind } from "./record.ts";
import { endProcesses, usualGraceMs } from "./remains.ts";
import type { Upper } from "./types.ts";

/** Ends what the command of an automatic session has left running in it. */
export async function endLeft({ id }: Hold): Promise<void> {
  using dir = openDirectory(sessionDir(id));
  lock(dir, "exclusive");
  await endProcesses(id, lookInside(mountPointOf(id)), { graceMs: usualGraceMs });
}

/**
 * Makes an automatic session, which the caller holds, one that stays until it is ended. What its command left running is
 * ended, as nothing was synced until now: the changes are, and the unions are mounted again as those of other sessions.
 * @returns what somebody should know, a line each
 */
export async function keepSession(hold: Hold): Promise<readonly string[]> {
  const { id } = hold;
  try {
    return await keepWhole(hold);
  } catch (error) {
    if (recordKind(id) !== "automatic") throw error;
    // A full disk, a process that can't be ended: what was changed is there all the same, and stays.
    using dir = openDirectory(sessionDir(id));
    makeNamedAsItIs(dir);
    const reason = error instanceof Error ? error.message : String(error);
    return [`session ${id} is there, but what it has changed may not be on the disk yet, and is not synced: ${reason}`];
  }
}

async function keepWhole(hold: Hold): Promise<readonly string[]> {
  const { id } = hold;
  await endLeft(hold);
  const record = readRecord(id);
  if (record === undefined) throw new UserError("not-found", `no session ${id}`);
  const lasting: WholeRecord = { ...record, kind: "named", plan: synced(record.plan, record.upper) };
  try {
    await whileUnmounted(lasting, hold, () => settle(lasting));
    return [];
  } catch (error) {
    // A shell of the host's that stands in it keeps the old mounts, and an upper can't be mounted twice.
    if (!(error instanceof UserError) || error.code !== "busy") throw error;
    await settle(lasting);
    return [
      `session ${id} syncs nothing until it is mounted anew (fallthru recover, after a restart): ${error.message}`,
    ];
  }
}

/** All that the layers have is on the disk, then the record that says that the session is there. */
async function settle(record: WholeRecord): Promise<void> {
  using dir = openDirectory(sessionDir(record.id));
  await syncFileSystem(dir);
  for (const step of record.plan.steps) {
    if (step.kind !== "union") continue;
    using upper = openDirectory(step.union.upper);
    await syncFileSystem(upper);
  }
  const { kind, ...details } = record;
  if (kind === "named") makeNamed(dir, details);
}

function synced({ steps }: MountPlan, upper: Upper): MountPlan {
  const isVolatile = upper.kind === "tmpfs";
  return {
    steps: steps.map((step) =>
      step.kind === "union" ? { ...step, union: { ...step.union, volatile: isVolatile } } : step,
    ),
  };
}
