import { UserError } from "../../error.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { isDirectory, openDirectory, readDirectory, statAt } from "../../kernel/file.ts";
import { clearLeftovers } from "../remains.ts";
import { prepareState } from "../state.ts";
import { BrokenJournal, Journal, journalIds, type Logged, type State } from "./journal.ts";
import { removeArea } from "./place.ts";
import { takeCommits } from "./settle.ts";
import { findCommit } from "./undo.ts";

export interface LogEntry {
  readonly commit: string;
  readonly session: string;
  readonly chroot: string;
  readonly createdMs: number;
  readonly user: string;
  readonly targets: readonly string[];
  readonly state: Extract<State, "committed" | "undone" | "forgotten">;
  readonly undoneMs?: number;
  readonly undoneBy?: string;
  /** How many changes. */
  readonly count: number;
  /** Where one commit was asked for. */
  readonly changes?: readonly Logged[];
  /** What is kept so that it can be undone takes so much space. */
  readonly keptBytes: number;
}

/** One that can't be shown: its journal is damaged, or it was left half done and can't be finished. */
export interface BrokenEntry {
  readonly commit: string;
  readonly state: "damaged" | "unfinished";
  readonly reason: string;
  readonly hint?: string | undefined;
}

export interface Log {
  /** The newest first. */
  readonly commits: LogEntry[];
  readonly broken: BrokenEntry[];
}

/**
 * What was committed. What a killed process left is finished before.
 * @throws {BrokenJournal} the one that was asked for
 */
export async function readLog(asked?: string): Promise<Log> {
  prepareState();
  const { stuck } = await clearLeftovers();
  if (asked !== undefined) {
    const journal = findCommit(asked);
    const entry = entryOf(journal);
    return { commits: entry === undefined ? [] : [{ ...entry, changes: journal.body().changes }], broken: [] };
  }
  const log: Log = { commits: [], broken: [] };
  for (const commit of journalIds()) {
    try {
      const entry = entryOf(new Journal(commit));
      const left = stuck.find((each) => each.commit === commit);
      if (entry !== undefined) log.commits.push(entry);
      else if (left !== undefined) log.broken.push({ commit, state: "unfinished", reason: left.reason });
    } catch (error) {
      if (!(error instanceof BrokenJournal)) throw error;
      log.broken.push({ commit, state: "damaged", reason: error.message, hint: error.hint });
    }
  }
  log.commits.sort((a, b) => b.createdMs - a.createdMs);
  return log;
}

/** One that is being made, or goes just now, isn't there. */
function entryOf(journal: Journal): LogEntry | undefined {
  const state = journal.state();
  if (state === "committing" || state === "undoing") journal.body();
  if (state !== "committed" && state !== "undone" && state !== "forgotten") return undefined;
  const { id: commit, areas, version: _, sessionMs: __, ...header } = journal.header();
  const undo = state === "undone" ? journal.undoPlan() : undefined;
  return {
    commit,
    ...header,
    state,
    ...(undo === undefined ? {} : { undoneMs: undo.createdMs, undoneBy: undo.user }),
    keptBytes: areas.reduce((sum, area) => sum + spaceOf(area), 0),
  };
}

/** Tells whether anything was committed to a directory, or taken back there: it is another text then. */
export function commitsTo(path: string): string {
  return journalIds()
    .toSorted()
    .flatMap((id) => {
      const journal = new Journal(id);
      try {
        const isHere = journal.header().targets.some((target) => target === path || target.startsWith(`${path}/`));
        return isHere ? [`${id} ${journal.state()}\n`] : [];
      } catch (error) {
        if (error instanceof BrokenJournal) return [];
        throw error;
      }
    })
    .join("");
}

/** @throws {UserError} not-found; exists, where there is nothing to give up */
export async function forgetCommit(asked: string): Promise<{ readonly commit: string; readonly freedBytes: number }> {
  prepareState();
  await clearLeftovers();
  using commits = await takeCommits();
  try {
    const journal = findCommit(asked);
    const entry = entryOf(journal);
    if (entry?.state !== "committed") throw new UserError("exists", `nothing is kept of commit ${journal.id} any more`);
    // From here on it can't be undone; what is left after a kill goes with the next command.
    journal.write("forgotten", {});
    for (const area of journal.header().areas) removeArea(area);
    return { commit: journal.id, freedBytes: entry.keptBytes };
  } finally {
    commits.release();
  }
}

function spaceOf(path: string): number {
  const opened = unless(["ENOENT"], () => openDirectory(path));
  if (opened === undefined) return 0;
  using directory = opened;
  return spaceIn(directory);
}

function spaceIn(directory: Fd): number {
  let sum = 0;
  for (const { name } of readDirectory(directory)) {
    const attr = unless(["ENOENT"], () => statAt(directory, name));
    if (attr === undefined) continue;
    sum += attr.blocks * 512;
    if (!isDirectory(attr)) continue;
    using below = openDirectory(name, directory);
    sum += spaceIn(below);
  }
  return sum;
}
