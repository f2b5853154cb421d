import { beginAutomatic, type Begun } from "./begin.ts";
import type { Hold } from "./hold.ts";
import { openDirectory } from "../kernel/file.ts";
import { sessionDir } from "./paths.ts";
import { markAsked, recordKind, unmarkAsked } from "./record.ts";
import { startChild, waitForCommand } from "./run.ts";
import type { CommandOptions, SessionOptions } from "./types.ts";
import { SignalRelay } from "./signals.ts";

/** An automatic session whose command has ended, with its exit status. */
export interface Finished {
  readonly hold: Hold;
  readonly status: number;
  /** Takes what comes from now on: nothing is to be lost by it. */
  readonly signals: SignalRelay;
}

/** What becomes of it, and the exit status of all. */
export interface Fate {
  readonly session: "discard" | "keep";
  readonly status: number;
}

/** What a caller has to say on the way. */
export interface Course {
  readonly onBegun?: (begun: Begun) => void;
  /** Without it, and where no command was run, the session is discarded. What fails here keeps it. */
  readonly onFinished?: ((finished: Finished) => Promise<Fate>) | undefined;
  /** What somebody should know of a session that was kept, a line each. */
  readonly onKept?: (id: string, warnings: readonly string[]) => void;
}

/**
 * Begins a session, runs a command in it, ends the session, and returns the command's exit status (128 and the signal's number
 * where one killed it).
 * @throws {UserError} also CommandNotRun; nothing is left behind
 */
export async function runOnce(
  source: string,
  session: SessionOptions,
  options: CommandOptions,
  { onBegun, onFinished, onKept }: Course = {},
): Promise<number> {
  using signals = new SignalRelay();
  const { hold, begun } = await beginAutomatic(source, session);
  let status: number;
  try {
    onBegun?.(begun);
    status = (await signals.early()) ?? (await runMeanwhile(begun, options, signals));
  } catch (error) {
    await (await import("./remains.ts")).undoSession(hold, session.setup);
    throw error;
  }
  signals.relayTo(undefined);
  if (onFinished !== undefined) {
    const fate = await settleFate({ hold, status, signals }, onFinished, onKept);
    if (fate.session === "keep") return fate.status;
    status = fate.status;
  }
  const { endAutomatic } = await import("./end.ts");
  const isKept = session.update !== true || status === 0;
  await endAutomatic(hold, { ...session, source: isKept && session.source === true }, begun.record);
  return status;
}

/** While the command runs, what ends its session is loaded. */
async function runMeanwhile({ record }: Begun, options: CommandOptions, signals: SignalRelay): Promise<number> {
  const child = await startChild(record, options);
  void import("./end.ts");
  return waitForCommand(child, signals);
}

/** Whatever goes wrong meanwhile, what was changed is lost only where somebody said so. */
async function settleFate(
  finished: Finished,
  onFinished: NonNullable<Course["onFinished"]>,
  onKept: Course["onKept"],
): Promise<Fate> {
  let fate: Fate = { session: "keep", status: finished.status };
  using dir = openDirectory(sessionDir(finished.hold.id));
  try {
    markAsked(dir);
    fate = await onFinished(finished);
    if (fate.session === "discard") unmarkAsked(dir);
  } finally {
    if (fate.session === "keep") await keep(finished.hold, onKept);
  }
  return fate;
}

async function keep(hold: Hold, onKept: Course["onKept"]): Promise<void> {
  const { keepSession } = await import("./keep.ts");
  try {
    onKept?.(hold.id, await keepSession(hold));
  } finally {
    // One that isn't a named one yet is left for the next command to clear away: nothing else could be done with it.
    if (recordKind(hold.id) === "named") hold.release();
    else hold[Symbol.dispose]();
  }
}
