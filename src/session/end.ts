import { UserError } from "../error.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { lock, openDirectory } from "../kernel/file.ts";
import { type Hold, takeHold } from "./hold.ts";
import { checkSessionId } from "./id.ts";
import { mountPointOf, sessionDir } from "./paths.ts";
import { killInside, type Look, lookInside } from "./processes.ts";
import { readRecord, type RecordDetails, removeRecord } from "./record.ts";
import {
  endProcesses,
  findSetup,
  type Removal,
  type Removed,
  removeRemains,
  undoSession,
  usualGraceMs,
} from "./remains.ts";
import { readNote } from "./root/note.ts";
import type { SetupFailed } from "./setupfailed.ts";
import { explainFullLater, prepareState } from "./state.ts";
import type { SessionOptions, SetupContext } from "./types.ts";

export interface EndOptions {
  /** Also under a command that somebody else waits for, and without giving processes the time to end by themselves. */
  readonly force?: boolean;
  readonly setup?: SetupContext | undefined;
  /** Asked when nobody else can end it any more, or begin another by its name: whether this is the one that was meant. */
  readonly isMeant?: () => boolean;
}

export interface EndReport {
  readonly id: string;
  /** How many processes were still running in it. */
  readonly killed: number;
  /** What somebody should know, a line each. */
  readonly warnings: readonly string[];
}

/**
 * Ends a session: ends what runs in it, unmounts, deletes its changes. From the moment its record is gone it doesn't exist;
 * killed after that, the next command goes on.
 * @throws {UserError} no-space, failed: a person's files couldn't be saved; not-found where there is none, also when another process ended it meanwhile; busy where somebody
 * else waits for a command in it
 */
export async function endSession(
  id: string,
  { force = false, setup, isMeant = () => true }: EndOptions = {},
): Promise<EndReport> {
  checkSessionId(id);
  prepareState();
  if (!exists(id)) throw await missing(id);
  // Released where all went well: after an error what is left is a leftover, for the next command to go on with.
  using hold = takeHold(id);
  if (hold === undefined) {
    if (force) return await endOthers(id);
    throw busy(id);
  }
  using dir = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  if (dir === undefined || !isMeant()) {
    hold.release();
    throw await missing(id);
  }
  const { limits, plan } = readWhatItHas(id);
  const isStopped = await stopSetup(hold, dir, { force, setup });
  // Keeps those out who would enter: who has entered before is seen now.
  lock(dir, "exclusive");
  const look = lookInside(mountPointOf(id));
  if (!force) await refuseWaitedFor(hold, look);
  const isUnlimited = limits !== undefined && Object.keys(limits).length === 0;
  const how = { look, graceMs: force ? 0 : usualGraceMs, isUnlimited, plan };
  const saved = force ? await trySaveSource(hold, dir, how) : await saveSource(hold, dir, how);
  removeRecord(dir);
  const { failure, ...removed } = await endHeld(hold, {
    ...how,
    isGivenUp: force,
    look: saved.look,
    setup: "ok",
    context: setup,
    isStopped,
  });
  hold.release();
  if (failure !== undefined && !force) throw failedLate(id, failure);
  const late = failure === undefined ? [] : [failure.message];
  const warnings = [...saved.warnings, ...removed.warnings, ...late];
  return { id, killed: saved.killed + removed.killed, warnings };
}

/** Whoever runs something in an automatic session ends it when nothing runs there any more. */
async function endOthers(id: string): Promise<EndReport> {
  const killed = killInside(mountPointOf(id));
  for (const deadline = Date.now() + othersMs; exists(id);) {
    if (Date.now() > deadline) throw busy(id);
    await new Promise((done) => setTimeout(done, 10));
  }
  return { id, killed, warnings: [] };
}

/** They may have scripts to run. */
const othersMs = 10_000;

/**
 * Runs the scripts that need the session as it is. Where one fails the session stays, for what it failed to save; it
 * isn't locked meanwhile, so that a script can run something in it.
 * @returns whether there were any
 */
async function stopSetup(hold: Hold, dir: Fd, { force, setup: context }: EndOptions): Promise<boolean> {
  const setup = await findSetup(dir, context);
  if (setup === undefined) return false;
  if (force !== true) await refuseWaitedFor(hold, lookInside(mountPointOf(hold.id)));
  const failure = await setup.stopAnyway("ok");
  if (failure === undefined || force === true) return true;
  hold.release();
  throw new UserError("failed", failure.message, {
    hint: `the session stays; end it all the same: fallthru end --force @${hold.id}`,
    cause: failure,
  });
}

/** For whoever wants to know that a script failed though the session went. */
export function failedLate(id: string, failure: SetupFailed): UserError {
  return new UserError("failed", failure.message, { hint: `session ${id} is ended all the same`, cause: failure });
}

async function refuseWaitedFor(hold: Hold, look: Look): Promise<void> {
  if (look.inside.length === 0) return;
  const { waitedForByOthers } = await import("./waited.ts");
  const [first, ...more] = waitedForByOthers(look.inside);
  if (first === undefined) return;
  hold.release();
  const others = more.length === 0 ? "" : `, and ${more.length} more`;
  throw new UserError(
    "busy",
    `somebody's command runs in session ${hold.id}: ${first.pid} (${first.command})${others}`,
    {
      hint: `end it and the session: fallthru end --force @${hold.id}`,
    },
  );
}

/**
 * What its record says that it has; a damaged one hides no more than it can say.
 * @throws {UserError} newer: a newer Fallthru may have put things where this one doesn't look
 */
function readWhatItHas(id: string): Partial<RecordDetails> {
  try {
    return readRecord(id) ?? {};
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== "data") throw error;
    return {};
  }
}

/**
 * Keeps what a session on a chroot itself has changed, where that isn't so already: an archive is packed anew. What runs
 * in it is ended first. The session's directory is locked.
 * @throws {UserError} the session, and what it changed, are as they were
 */
async function saveSource(hold: Hold, dir: Fd, how: Removal & { readonly look: Look }): Promise<Saved> {
  const note = readNote(dir);
  if (note?.access !== "write") return { killed: 0, look: how.look, warnings: [] };
  const killed = await endProcesses(hold.id, how.look, how);
  const { saveRoot } = await import("./root/root.ts");
  await saveRoot(note, { id: hold.id, dir, hold: hold.file });
  return { killed, look: { ...how.look, inside: [], isEmpty: true }, warnings: [] };
}

interface Saved {
  readonly killed: number;
  /** What can still be inside. */
  readonly look: Look;
  readonly warnings: readonly string[];
}

/** As saveSource(), for who wants the session gone whatever can't be kept. */
async function trySaveSource(...args: Parameters<typeof saveSource>): Promise<Saved> {
  try {
    return await saveSource(...args);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { killed: 0, look: args[2].look, warnings: [`what it has changed is lost: ${error.message}`] };
  }
}

/** Ends and releases an automatic session that the caller holds; what it has changed in the chroot itself (`source`) is kept. */
export async function endAutomatic(
  hold: Hold,
  { source, setup: context, limits = {} }: SessionOptions,
  { graceMs = usualGraceMs, plan }: Pick<Removal, "graceMs" | "plan"> = {},
): Promise<Removed> {
  const usual = { ...asUsual(context), graceMs, plan, isUnlimited: Object.keys(limits).length === 0 };
  const removed = source === true ? await endSource(hold, context) : await endHeld(hold, usual);
  hold.release();
  if (removed.failure !== undefined) throw failedLate(hold.id, removed.failure);
  return removed;
}

const asUsual = (context: SetupContext | undefined) => ({ graceMs: usualGraceMs, setup: "ok", context }) as const;

async function endSource(hold: Hold, context: SetupContext | undefined): Promise<Removed> {
  using dir = openDirectory(sessionDir(hold.id));
  try {
    const failure = await (await findSetup(dir, context))?.stopAnyway("ok");
    lock(dir, "exclusive");
    const how = { ...asUsual(context), look: lookInside(mountPointOf(hold.id)) };
    const { look } = await saveSource(hold, dir, how);
    const removed = await endHeld(hold, { ...how, look, isStopped: true });
    return { ...removed, failure: failure ?? removed.failure };
  } catch (error) {
    dir.close();
    await undoSession(hold, context);
    throw error;
  }
}

/** Removes a session that the caller holds, and that has no record any more or only an automatic one's. */
function endHeld(hold: Hold, how: Removal): Promise<Removed> {
  return explainFullLater(sessionDir(hold.id), () => removeRemains(hold, how));
}

function exists(id: string): boolean {
  const opened = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  opened?.close();
  return opened !== undefined;
}

async function missing(id: string): Promise<UserError> {
  return (await import("./names.ts")).noSession(id);
}

function busy(id: string): UserError {
  return new UserError("busy", `session ${id} is a run's own, and ends with its command`, {
    hint: `what runs in it: fallthru info @${id}; end that and the session: fallthru end --force @${id}`,
  });
}
