import { unless } from "../kernel/error.ts";
import { Fd } from "../kernel/fd.ts";
import { statAt } from "../kernel/file.ts";
import { waitUntilReady } from "../kernel/poll.ts";
import { processIds } from "../kernel/proc.ts";
import { readText, statOfProcess } from "../kernel/trusted.ts";
import { endOf, openProcess } from "../kernel/wait.ts";
import { UserError } from "../error.ts";
import { endSession } from "./end.ts";
import { startHolder } from "./holder.ts";

/** Debian's program that begins a session for each build of a package, and ends it itself: unless it is killed. */
const builderName = "sbuild";

/** Of what waits for its end. */
const verb = "session-watch";

/** The superuser's processes that somebody can have so: whoever calls a program of theirs sbuild gets no more. */
const watchesOfUser = 64;

/** An sbuild, by a descriptor that tells of its end. */
export interface Builder extends Disposable {
  readonly pid: number;
  readonly process: Fd;
}

/** Who waits for us to begin a session, where that is sbuild. @param client who asks for the session, whom it has started */
export function builderOf(client: number): Builder | undefined {
  const pid = Number(statOfProcess(client)?.[1] ?? 0);
  if (pid === 0 || ofProcess(pid, "comm") !== `${builderName}\n`) return undefined;
  const process = unless(["ESRCH"], () => openProcess(pid));
  return process && { pid, process, [Symbol.dispose]: () => process.close() };
}

/** Has a session ended as soon as a signal has ended the build that it was begun for. @param uid whose build it is */
export function endWithBuilder(id: string, { pid, process }: Builder, uid: number): void {
  const words = [verb, "--", id, String(pid), String(uid)];
  if (countWatches(uid) < watchesOfUser) startHolder(words, 0, [process]);
}

function countWatches(uid: number): number {
  return processIds().filter((pid) => isWatchFor(pid, uid)).length;
}

/** What others say of their own processes isn't believed. */
function isWatchFor(pid: number, uid: number): boolean {
  // The last one has a NUL behind it, too.
  const words = ofProcess(pid, "cmdline")?.split("\0") ?? [];
  if (words.at(-6) !== verb || words.at(-2) !== String(uid)) return false;
  return unless(["ENOENT"], () => statAt(null, `/proc/${pid}`).uid) === 0;
}

/**
 * Waits until sbuild is gone, and ends the session where a signal was its end. One that it has left on purpose stays, as its
 * option --purge-session wants it.
 */
export async function watchBuilder(id: string, pid: number): Promise<void> {
  using process = new Fd(3, builderName);
  while (waitUntilReady([{ file: process }], -1).length === 0);
  if (endOf(process, pid)?.kind !== "killed") return;
  try {
    await endSession(id, { force: true });
  } catch (error) {
    // Somebody else has ended it.
    if (!(error instanceof UserError) || error.code !== "not-found") throw error;
  }
}

/** Undefined where it has ended. */
function ofProcess(pid: number, file: string): string | undefined {
  return unless(["ENOENT", "ESRCH"], () => readText(`/proc/${pid}/${file}`, "latin1"));
}
