import { UserError } from "../../error.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { isDirectory, openDirectory, readDirectory, statAt } from "../../kernel/file.ts";
import { clearLeftovers } from "../remains.ts";
import { prepareState } from "../state.ts";
import { Journal, journalIds, type Logged, type State } from "./journal.ts";
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

/** What was committed, the newest first. What a killed process left is finished before. */
export async function readLog(asked?: string): Promise<LogEntry[]> {
  await settleLeft();
  const journals = asked === undefined ? journalIds().map((id) => new Journal(id)) : [findCommit(asked)];
  const entries = journals.flatMap((journal) => {
    const entry = entryOf(journal);
    return entry === undefined ? [] : [asked === undefined ? entry : { ...entry, changes: journal.body().changes }];
  });
  return entries.toSorted((a, b) => b.createdMs - a.createdMs);
}

async function settleLeft(): Promise<void> {
  prepareState();
  const { stuck } = await clearLeftovers();
  const [first] = stuck;
  if (first?.id === ".commit")
    throw new UserError("failed", `a commit that was left can't be finished: ${first.reason}`);
}

/** One that is being made, or goes just now, isn't there. */
function entryOf(journal: Journal): LogEntry | undefined {
  const state = journal.state();
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

/** @throws {UserError} not-found; exists, where there is nothing to give up */
export async function forgetCommit(asked: string): Promise<{ readonly commit: string; readonly freedBytes: number }> {
  await settleLeft();
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
