import { UserError } from "../../error.ts";
import type { Name } from "../../kernel/at.ts";
import { openLayerRoot } from "../../layer/layer.ts";
import { quotePath } from "../../layer/quote.ts";
import { splitLowers } from "../../mount/plan.ts";
import { upperDialect } from "../../mount/lowers.ts";
import { type Hold, takeHold } from "../hold.ts";
import { sessionsDir } from "../paths.ts";
import { readRecord, type SessionRecord } from "../record.ts";
import { clearLeftovers } from "../remains.ts";
import { doItAgain, explainFull, explainFullLater, prepareState } from "../state.ts";
import { callerName } from "./commit.ts";
import {
  type Body,
  BrokenJournal,
  type Header,
  Journal,
  journalIds,
  type Logged,
  type Marks,
  type Part,
  type UndoPlan,
} from "./journal.ts";
import { findMarks } from "./marks.ts";
import { openPlace } from "./place.ts";
import { finishUndo, now, rollUndoBack, takeCommits } from "./settle.ts";
import { whileUnmounted, type WholeRecord } from "./still.ts";
import { refuseOthersOver, sessionsOver, warnOfOthersOver } from "./targets.ts";
import { verify } from "./verify.ts";
import { undoneSince } from "./windows.ts";

export interface UndoReport {
  readonly commit: string;
  readonly session: string;
  readonly targets: readonly string[];
  readonly changes: readonly Logged[];
  readonly warnings: readonly string[];
}

export interface UndoOptions {
  /** Also where other sessions may lose sight of what is in a directory that gets its old name back. */
  readonly force?: boolean;
}

/**
 * Takes a commit back: all of it or nothing.
 * @param asked a commit's id, or the beginning of one; without it the last that isn't undone
 * @throws {UserError} not-found; conflict, where something that it would overwrite has changed since; busy
 */
export async function undoCommit(asked?: string, { force = false }: UndoOptions = {}): Promise<UndoReport> {
  prepareState();
  await clearLeftovers();
  using commits = await takeCommits();
  try {
    const journal = asked === undefined ? lastCommit() : findCommit(asked);
    refuseState(journal);
    commits.checkFree(journal.header().targets);
    return await explainFullLater(journal.path, () => undoHeld(journal, force), doItAgain);
  } finally {
    commits.release();
  }
}

/** @throws {UserError} not-found */
export function findCommit(asked: string): Journal {
  const ids = journalIds().filter((id) => id.startsWith(asked) && asked !== "");
  const [id] = ids;
  if (id !== undefined && ids.length === 1) return new Journal(id);
  throw new UserError(
    "not-found",
    ids.length === 0 ? `no commit ${asked}` : `${asked} is the beginning of ${ids.length} commits`,
    {
      hint: "what there is: fallthru log",
    },
  );
}

function lastCommit(): Journal {
  const open = journalIds()
    .map((id) => new Journal(id))
    .filter((journal) => journal.state() === "committed")
    .map((journal) => ({ journal, ...ageOf(journal) }))
    .toSorted((a, b) => b.ms - a.ms);
  const [last] = open;
  if (last === undefined)
    throw new UserError("not-found", "there is no commit to undo", { hint: "what there was: fallthru log" });
  if (last.broken === undefined) return last.journal;
  // Another one is not what was meant.
  const older = open.find(({ broken }) => broken === undefined);
  if (older === undefined) throw last.broken;
  throw new UserError(last.broken.code, `the last commit can't be undone: ${last.broken.message}`, {
    hint: `the one before it: fallthru undo ${older.journal.id}`,
    cause: last.broken,
  });
}

function ageOf(journal: Journal): { readonly ms: number; readonly broken?: BrokenJournal } {
  try {
    return { ms: journal.header().createdMs };
  } catch (error) {
    if (error instanceof BrokenJournal) return { ms: journal.changedMs(), broken: error };
    throw error;
  }
}

function refuseState(journal: Journal): void {
  switch (journal.state()) {
    case "undone":
      throw new UserError("exists", `commit ${journal.id} is undone already`);
    case "forgotten":
      throw new UserError("not-found", `what commit ${journal.id} had replaced was given up (log --forget)`);
    case "back":
      throw new UserError("not-found", `commit ${journal.id} met an error, and was taken back then`);
    case "planned":
    case "committing":
    case "committed":
    case "undoing":
  }
}

async function undoHeld(journal: Journal, force: boolean): Promise<UndoReport> {
  const [header, body] = [journal.header(), journal.body()];
  const keepTimes = verifyAll(journal, header, body);
  // Another session may have its name by now.
  const own = sessionOf(header)?.id ?? "";
  const warnings = header.targets.flatMap((path) => {
    const others = sessionsOver({ path, isOwn: true }, own);
    if (!force && body.parts.some((part) => isMoving(part) && part.target === path)) refuseOthersOver(path, others);
    return warnOfOthersOver(path, others);
  });
  const perform = async (marks: readonly Marks[]): Promise<void> => {
    const plan: UndoPlan = { begun: now(journal), createdMs: Date.now(), user: callerName(), keepTimes, marks };
    journal.reserve("undone", "done");
    journal.write("undo", plan);
    try {
      await finishUndo(journal);
    } catch (error) {
      await rollUndoBack(journal);
      throw error;
    }
  };
  await withSession(header, body, perform);
  return { commit: journal.id, session: header.session, targets: header.targets, changes: body.changes, warnings };
}

function verifyAll(journal: Journal, { createdMs }: Header, { parts }: Body): number[][] {
  const window = journal.window("done");
  const neutral = undoneSince(createdMs);
  const keepTimes: number[][] = [];
  for (const part of parts) {
    using place = openPlace(part.target, part.area);
    const verdict = verify(place.tree, part, window, neutral);
    const [first, ...more] = verdict.changed;
    if (first !== undefined) throw changedSince(journal, part, first, more.length);
    keepTimes.push([...verdict.keepTimes]);
  }
  return keepTimes;
}

function changedSince(journal: Journal, { target, area, moves }: Part, path: Name, more: number): UserError {
  const others = more === 0 ? "" : `, and ${more} more`;
  const message = `${target === "/" ? "" : target}/${quotePath(path)} was changed since commit ${journal.id}${others}: nothing was undone`;
  const kept = moves.find((move) => move.kind === "swap" && move.path === path);
  // Whoever puts the file back by hand makes another of it: nobody can tell that it is the same.
  const before =
    kept === undefined
      ? `what the commit has replaced lies in ${area}`
      : `what was there before is ${area}/${kept.name}`;
  return new UserError("conflict", message, { hint: `undo later commits first, or copy by hand: ${before}` });
}

/** A session that had directories renamed still says where they lie below: it has to be told, with nothing mounted. */
async function withSession(
  header: Header,
  { parts }: Body,
  perform: (marks: readonly Marks[]) => Promise<void>,
): Promise<void> {
  const hold =
    parts.some(isMoving) && sessionOf(header) !== undefined
      ? explainFull(sessionsDir, () => takeHold(header.session), doItAgain)
      : undefined;
  const record = hold === undefined ? undefined : sessionOf(header);
  if (hold === undefined || record === undefined) {
    hold?.release();
    return perform([]);
  }
  using held: Hold = hold;
  try {
    refuseForked(record, parts);
    await whileUnmounted(record, held, () => perform(marksOf(record, parts)));
  } finally {
    held.release();
  }
}

function isMoving({ moved, relocated }: Part): boolean {
  return moved.length + relocated.length > 0;
}

/** What was frozen says of no directory that it lies elsewhere below, and can't be told: another session has it, too. */
function refuseForked({ id, plan }: SessionRecord, parts: Body["parts"]): void {
  const isForked = plan.steps.some(
    (step) =>
      step.kind === "union" &&
      splitLowers(step.union).own.length > 0 &&
      parts.some((part) => isMoving(part) && part.target === step.union.lowers.at(-1)),
  );
  if (!isForked) return;
  throw new UserError("unsupported", `the commit renamed directories, and session ${id} was forked since`, {
    hint: `nothing was undone; end it first: fallthru end ${id}`,
  });
}

/** The session itself, not another that has its name by now. */
function sessionOf({ session, sessionMs }: Header): WholeRecord | undefined {
  const record = readRecord(session);
  return record?.createdMs === sessionMs ? record : undefined;
}

function marksOf(record: SessionRecord, parts: Body["parts"]): Marks[] {
  return record.plan.steps.flatMap((step) => {
    if (step.kind !== "union") return [];
    const lower = step.union.lowers.at(-1);
    const part = parts.find((each) => isMoving(each) && each.target === lower);
    if (part === undefined) return [];
    using upper = openLayerRoot(step.union.upper, "noatime");
    const dialect = upperDialect(step.union, upper);
    const back = [...part.moved, ...part.relocated].map(([from, to]) => [to, from] as const);
    return findMarks({ upper, dialect, union: step.union }, back);
  });
}
