import { UserError } from "../../error.ts";
import { pause } from "../pause.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { O } from "../../kernel/abi/file.ts";
import { openAt, statAt, syncFileSystem } from "../../kernel/file.ts";
import { must, utimesName } from "../../kernel/at.ts";
import { type Hold, takeHold } from "../hold.ts";
import { commitMark, commitsDir, sessionsDir } from "../paths.ts";
import { doItAgain, explainFull } from "../state.ts";
import { applyBackward, applyForward } from "./apply.ts";
import { type Body, BrokenJournal, Journal, journalIds, type Marks, type Part, prepareCommits } from "./journal.ts";
import { setMarks } from "./marks.ts";
import { openPlace, removeArea } from "./place.ts";

/** A commit that a killed process has left and that can't be finished: its disk is gone, or its journal is damaged. */
export interface Stuck {
  readonly commit: string;
  readonly reason: string;
  /** Where it is half done; undefined: nobody knows. */
  readonly targets: readonly string[] | undefined;
}

/** The right to commit and undo. */
export class Commits implements Disposable {
  readonly #hold: Hold;
  readonly #stuck: readonly Stuck[];

  constructor(hold: Hold, stuck: readonly Stuck[]) {
    this.#hold = hold;
    this.#stuck = stuck;
  }

  /** What is half done must not be written over: whoever finishes it tells its steps by the inodes that are there. */
  checkFree(targets: readonly string[]): void {
    for (const { commit, reason, targets: half = [] } of this.#stuck) {
      const target = targets.find((path) => half.some((other) => isNested(path, other) || isNested(other, path)));
      if (target === undefined) continue;
      throw new UserError(
        "failed",
        `commit ${commit} to ${target} was left half done, and can't be finished: ${reason}`,
        {
          hint: `mend that, and the next command finishes it; or leave it half done: mv ${commitsDir}/${commit} /root`,
        },
      );
    }
  }

  /** Where something is stuck the mark stays, for others to try again and warn of it. */
  release(): void {
    if (this.#stuck.length === 0) this.#hold.release();
  }

  [Symbol.dispose](): void {
    this.#hold[Symbol.dispose]();
  }
}

function isNested(path: string, directory: string): boolean {
  return path === directory || directory === "/" || path.startsWith(`${directory}/`);
}

/** Waits for whoever else commits or undoes, and finishes what a killed process has begun. */
export async function takeCommits(): Promise<Commits> {
  const hold = explainFull(sessionsDir, () => takeHold(commitMark), doItAgain);
  if (hold === undefined) throw new TypeError("a commit is no automatic session");
  try {
    explainFull(sessionsDir, prepareCommits, doItAgain);
    return new Commits(hold, await settleAll());
  } catch (error) {
    hold[Symbol.dispose]();
    throw error;
  }
}

/**
 * As takeCommits(), for who holds it already: it is what a killed process left.
 * @returns those that can't be finished, which keeps nobody from the others
 */
export async function settleAll(): Promise<Stuck[]> {
  const stuck: Stuck[] = [];
  for (const commit of journalIds()) {
    const journal = new Journal(commit);
    try {
      await settle(journal);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      stuck.push({ commit, reason, targets: targetsOf(journal) });
    }
  }
  return stuck;
}

function targetsOf(journal: Journal): readonly string[] | undefined {
  try {
    return journal.header().targets;
  } catch (error) {
    if (error instanceof BrokenJournal) return undefined;
    throw error;
  }
}

async function settle(journal: Journal): Promise<void> {
  switch (journal.state()) {
    case "planned":
      return discard(journal);
    case "committing":
      return finishOrRollBack(journal, journal.body());
    case "undoing":
      return finishUndo(journal);
    case "undone":
    case "forgotten":
      return removeAreas(journal);
    case "back":
      return clearTakenBack(journal);
    case "committed":
  }
}

/**
 * Does a commit that was decided on; where that can't be done, it is taken back.
 * @throws what kept it from being done
 */
export async function finishOrRollBack(journal: Journal, body: Body): Promise<void> {
  try {
    await finishCommit(journal, body);
  } catch (error) {
    await rollBack(journal, body);
    throw error;
  }
}

/** Takes away what was made for a commit that won't be. */
export function discard(journal: Journal): void {
  // Killed before its plan was whole, it has made nothing else.
  if (journal.has("plan")) removeAreas(journal);
  journal.delete();
}

function removeAreas(journal: Journal): void {
  for (const area of journal.header().areas) removeArea(area);
}

/** Does what the journal says, as far as it hasn't been done. */
async function finishCommit(journal: Journal, { parts, marks, begun }: Body): Promise<void> {
  await everyPart(parts, (place, part) => applyForward(place, part));
  await markAll(marks, "after");
  journal.write("done", { from: begun, to: afterwards(journal) });
}

/** Takes back what finishCommit() could do before an error. What that has touched was changed by nobody else. */
async function rollBack(journal: Journal, { parts, marks, begun }: Body): Promise<void> {
  await everyPart(parts.toReversed(), (place, part) => applyBackward(place, part));
  await markAll(marks, "before");
  journal.write("back", { from: begun, to: afterwards(journal) });
  clearTakenBack(journal);
}

function clearTakenBack(journal: Journal): void {
  journal.remove("journal");
  removeAreas(journal);
}

export async function finishUndo(journal: Journal): Promise<void> {
  const { keepTimes, marks, begun } = journal.undoPlan();
  const { parts } = journal.body();
  await everyPart(parts.toReversed(), (place, part) => applyBackward(place, part, keepTimes[parts.indexOf(part)]));
  await markAll(marks, "after");
  journal.write("undone", { from: begun, to: afterwards(journal) });
  removeAreas(journal);
}

/** Does again what an undo could take back before an error. It is as that commit left it, at another time. */
export async function rollUndoBack(journal: Journal): Promise<void> {
  const { marks } = journal.undoPlan();
  await everyPart(journal.body().parts, (place, part) => applyForward(place, part));
  await markAll(marks, "before");
  journal.write("done", { from: journal.window("done").from, to: afterwards(journal) });
  journal.remove("undo");
}

async function everyPart(
  parts: readonly Part[],
  work: (place: ReturnType<typeof openPlace>, part: Part) => void,
): Promise<void> {
  for (const part of parts) {
    using place = openPlace(part.target, part.area);
    explainFull(part.target, () => work(place, part), doItAgain);
    await syncFileSystem(place.area);
  }
}

async function markAll(all: readonly Marks[], which: "before" | "after"): Promise<void> {
  for (const marks of all) setMarks(marks, which);
  for (const { upper, marks } of all) if (marks.length > 0) await syncUpper(upper);
}

async function syncUpper(path: string): Promise<void> {
  const opened = unless(["ENOENT"], () => openAt(null, path, O.RDONLY | O.DIRECTORY));
  if (opened === undefined) return;
  using upper = opened;
  await syncFileSystem(upper);
}

/** A time that file systems give to what is changed now, as digits. */
export function now(journal: Journal): string {
  using dir = openAt(null, journal.path, O.RDONLY | O.DIRECTORY);
  return String(tick(dir));
}

/** A time that is later than all that was given until now: the clock of file systems has steps of some milliseconds. */
function afterwards(journal: Journal): string {
  using dir = openAt(null, journal.path, O.RDONLY | O.DIRECTORY);
  const first = tick(dir);
  for (let tries = 0; tries < 3000; tries++) {
    const next = tick(dir);
    if (next > first) return String(next);
    pause(1);
  }
  return String(first + 1n);
}

function tick(dir: Fd): bigint {
  must("utimes", "", utimesName(dir.number, "", "now", "now"));
  return statAt(dir).ctimeNs;
}
