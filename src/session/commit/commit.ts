import { UserError } from "../../error.ts";
import { O } from "../../kernel/abi/file.ts";
import { fail, type Name } from "../../kernel/at.ts";
import { attributeName, listDirectory } from "../../kernel/io.ts";
import type { Fd } from "../../kernel/fd.ts";
import { openAt, syncFileSystem } from "../../kernel/file.ts";
import { superuserOutside } from "../../kernel/userspace.ts";
import { quotePath } from "../../layer/quote.ts";
import { isInside } from "../../places.ts";
import { pathInSession } from "../changes/names.ts";
import { readChanges } from "../changes/read.ts";
import { findOrigin } from "../changes/renames.ts";
import { openTrees } from "../changes/trees.ts";
import type { Change, UnionTrees } from "../changes/types.ts";
import { splitLowers } from "../../mount/plan.ts";
import { findHostUser } from "../accounts.ts";
import { type Hold, takeHold } from "../hold.ts";
import { checkSessionId, randomHex } from "../id.ts";
import { sessionsDir } from "../paths.ts";
import { readRecord } from "../record.ts";
import { clearLeftovers } from "../remains.ts";
import { refuseReplaced } from "../replaced.ts";
import { doItAgain, explainFull, explainFullLater, prepareState } from "../state.ts";
import { type Body, type Journal, type Letter, type Logged, makeJournal, type Marks } from "./journal.ts";
import { type Conflict, judgeByLooks, judgeByTime } from "./judge.ts";
import { findMarks } from "./marks.ts";
import { chooseArea, makeArea, openPlace } from "./place.ts";
import { type Planned, planChanges } from "./plan.ts";
import { selectPaths, withNeeded } from "./select.ts";
import { discard, finishOrRollBack, now, takeCommits } from "./settle.ts";
import { stageAll } from "./stage.ts";
import { whileUnmounted, type WholeRecord } from "./still.ts";
import {
  openTarget,
  refuseOthersOver,
  reservedIn,
  sessionsOver,
  type Target,
  targetOf,
  warnOfOthersOver,
} from "./targets.ts";
import { settleContents } from "./unsettled.ts";
import { findRelocated, type Pair, type Relocated } from "./relocated.ts";
import { Tree } from "./tree.ts";
import { ownWindows } from "./windows.ts";

export interface CommitOptions {
  /** Paths in the session, absolute; without any all that was changed. */
  readonly paths?: readonly string[];
  /** Chooses among the changes. */
  readonly choose?: (changes: readonly Change[], trees: readonly UnionTrees[]) => Promise<readonly Change[]>;
  /** A chroot's name or a directory, instead of what lies below the session. */
  readonly to?: string;
  /** Where the target has changed too, the session's side is taken. */
  readonly force?: boolean;
  readonly dryRun?: boolean;
  /** Who has the session already: its own run. */
  readonly hold?: Hold;
}

export interface CommitReport {
  /** Undefined where nothing was written. */
  readonly commit: string | undefined;
  readonly session: string;
  readonly targets: readonly string[];
  readonly changes: readonly Logged[];
  /** Only with `dryRun` or `force`. */
  readonly conflicts: readonly Conflict[];
  readonly warnings: readonly string[];
}

/** What would be overwritten has been changed by others; both sides of each. */
export class ConflictError extends UserError {
  readonly conflicts: readonly Conflict[];

  constructor(conflicts: readonly Conflict[]) {
    const [first] = conflicts;
    const more = conflicts.length === 1 ? "" : `, and ${conflicts.length - 1} more`;
    super(
      "conflict",
      `/${quotePath(first?.path ?? "")} was changed by others since the session began${more}: nothing was committed`,
      {
        hint: "--force takes the session's side of all of them; or name the PATHs to commit",
      },
    );
    this.conflicts = conflicts;
  }
}

/**
 * Writes what a session has changed to what lies below it. It happens whole or not at all: what is to come is made
 * beside the target, what is to be done is written down, and what was there is kept, for undo.
 * @throws {ConflictError}
 * @throws {UserError} not-found, busy, unsupported, no-space
 */
export async function commitSession(id: string, options: CommitOptions = {}): Promise<CommitReport> {
  checkSessionId(id);
  prepareState();
  await clearLeftovers();
  if (readRecord(id) === undefined) throw gone(id);
  if (options.hold !== undefined) return commitHeld(heldRecord(id), options.hold, options);
  using hold = explainFull(sessionsDir, () => takeHold(id), doItAgain);
  if (hold === undefined)
    throw new UserError("busy", `session ${id} is a run's own, and ends with its command`, {
      hint: "begin one that stays: fallthru begin",
    });
  try {
    return await commitHeld(heldRecord(id), hold, options);
  } finally {
    hold.release();
  }
}

function heldRecord(id: string): WholeRecord {
  const record = readRecord(id);
  if (record === undefined) throw gone(id);
  return record;
}

async function commitHeld(record: WholeRecord, hold: Hold, options: CommitOptions): Promise<CommitReport> {
  using trees = openTrees(record);
  const all = readChanges(trees);
  let chosen = options.paths === undefined ? all : selectAll(record.id, all, trees, options.paths);
  if (options.choose !== undefined) chosen = [...(await options.choose(chosen, trees))];
  const parts = trees.flatMap((tree, union) => {
    const own = all.filter((change) => change.union === union);
    const changes = withNeeded(
      own,
      chosen.filter((change) => change.union === union),
    );
    return changes.length === 0 ? [] : [{ tree, changes, all: own, target: targetOf(record, tree, options.to) }];
  });
  using commits = await takeCommits();
  try {
    commits.checkFree(parts.map(({ target }) => target.path));
    // Nobody updates it from here on.
    for (const { target } of parts) if (target.isOwn) refuseReplaced(record, target.path);
    return await new Commit(record, hold, options).run(parts, trees);
  } finally {
    commits.release();
  }
}

function gone(id: string): UserError {
  return new UserError("not-found", `no session ${id}`, { hint: "what there is: fallthru list" });
}

/** @throws {UserError} not-found, for a path at which nothing was changed */
function selectAll(
  id: string,
  all: readonly Change[],
  trees: readonly UnionTrees[],
  paths: readonly string[],
): Change[] {
  const chosen = new Set<Change>();
  for (const path of paths) {
    const absolute = pathInSession(path);
    let count = 0;
    for (const [union, { at }] of trees.entries()) {
      const below = placeIn(at, absolute);
      if (below === undefined) continue;
      for (const change of selectPaths(
        all.filter((each) => each.union === union),
        [below],
      )) {
        chosen.add(change);
        count++;
      }
    }
    if (count === 0)
      throw new UserError("not-found", `nothing was changed at ${quotePath(absolute)}`, {
        hint: `what was: fallthru diff @${id} --name-status`,
      });
  }
  return all.filter((change) => chosen.has(change));
}

/** The path in a union, where that is at `at`; above it, all of the union. */
function placeIn(at: string, path: Name): Name | undefined {
  const prefix = Buffer.from(at === "/" ? "/" : `${at}/`).toString("latin1");
  if (`${path}/` === prefix || path === prefix || prefix.startsWith(path === "/" ? "/" : `${path}/`)) return "";
  return path.startsWith(prefix) ? path.slice(prefix.length) : undefined;
}

interface PartRequest {
  readonly tree: UnionTrees;
  readonly changes: readonly Change[];
  readonly all: readonly Change[];
  readonly target: Target;
}

interface PlannedPart extends PartRequest {
  readonly planned: Planned;
  readonly after: Tree;
  readonly relocated: Relocated;
}

class Commit {
  readonly #record: WholeRecord;
  readonly #hold: Hold;
  readonly #options: CommitOptions;

  constructor(record: WholeRecord, hold: Hold, options: CommitOptions) {
    this.#record = record;
    this.#hold = hold;
    this.#options = options;
  }

  async run(requests: readonly PartRequest[], trees: Disposable): Promise<CommitReport> {
    using open = new DisposableStack();
    const parts = requests.map((request) => this.#plan(request, open));
    const conflicts = parts.flatMap(({ tree, planned }) =>
      planned.conflicts.map((conflict) => ({ ...conflict, path: fromRoot(tree, conflict.path) })),
    );
    const report = {
      session: this.#record.id,
      targets: parts.map(({ target }) => target.path),
      changes: parts.flatMap(({ tree, changes }) => changes.map((change) => loggedOf(tree, change))),
      conflicts,
      warnings: parts.flatMap(({ target }) => this.#warnOfOthers(target)),
    };
    const { force = false, dryRun = false } = this.#options;
    if (conflicts.length > 0 && !force && !dryRun) throw new ConflictError(conflicts);
    if (dryRun || parts.every(({ planned }) => planned.draft.isEmpty)) return { ...report, commit: undefined };
    if (!force) this.#refuseOthers(parts);
    for (const part of parts) refuseMovedInFork(part);
    for (const { tree, planned, after, relocated } of parts)
      explainFull(tree.union.upper, () => settleContents(after, [...planned.unsettled, ...relocated.files]), doItAgain);
    const commit = await this.#write(parts, report.changes, () => {
      open.dispose();
      trees[Symbol.dispose]();
    });
    return { ...report, commit };
  }

  #plan(request: PartRequest, open: DisposableStack): PlannedPart {
    const { tree, changes, all, target } = request;
    const after = open.use(new Tree(duplicate(tree.after)));
    const below = open.use(openTarget(target));
    const names: Name[] = [];
    const result = listDirectory(below.root.number, (name) => names.push(name));
    if (result < 0) fail("readdir", "", result);
    const { createdMs, baseMs = createdMs } = this.#record;
    const judge = target.isOwn ? judgeByTime(baseMs, ownWindows(this.#record)) : judgeByLooks;
    const reserved = reservedIn(below, target, names);
    const origin = (path: Name) => findOrigin(tree, path);
    const planned = planChanges({ changes, all, target: below, after, judge, origin, reserved });
    // Elsewhere nothing is changed below the session.
    const relocated = target.isOwn ? findRelocated(tree, all, changes) : { directories: [], files: [] };
    return { ...request, planned, after, relocated };
  }

  #warnOfOthers(target: Target): string[] {
    return warnOfOthersOver(target.path, sessionsOver(target, this.#record.id));
  }

  #refuseOthers(parts: readonly PlannedPart[]): void {
    for (const part of parts)
      if (isMoving(part)) refuseOthersOver(part.target.path, sessionsOver(part.target, this.#record.id));
  }

  async #write(parts: readonly PlannedPart[], changes: readonly Logged[], letGo: () => void): Promise<string> {
    const id = randomHex();
    const { id: session, createdMs: sessionMs, chroot } = this.#record;
    const targets = parts.map(({ target }) => target.path);
    const journal = makeJournal({
      id,
      session,
      sessionMs,
      chroot,
      createdMs: Date.now(),
      user: callerName(),
      targets,
      areas: areasFor(id, targets),
      count: changes.length,
    });
    try {
      const begun = now(journal);
      const made = await stageParts(journal, parts);
      const marks = this.#marks(parts);
      const body: Body = { begun, changes, parts: made, marks };
      journal.reserve("done", "back");
      for (const { planned } of parts) planned.checkAgain();
      letGo();
      // From there on it is done, or taken back.
      const perform = (): Promise<void> => {
        journal.write("journal", body);
        return finishOrRollBack(journal, body);
      };
      if (marks.length === 0) await perform();
      else await whileUnmounted(this.#record, this.#hold, perform);
    } catch (error) {
      if (journal.state() === "planned" && journal.has("plan")) discard(journal);
      throw error;
    }
    return id;
  }

  #marks(parts: readonly PlannedPart[]): Marks[] {
    return parts.flatMap((part) => (isMoving(part) ? findMarks(part.tree, pairsOf(part)) : []));
  }
}

/** Whether the session's upper will have to say otherwise where directories lie below. */
function isMoving(part: PlannedPart): boolean {
  return part.target.isOwn && pairsOf(part).length > 0;
}

function pairsOf({ planned, relocated }: PlannedPart): Pair[] {
  return [...planned.moved, ...relocated.directories];
}

/** What was frozen says of a renamed directory where it lies below, to another session too. */
function refuseMovedInFork(part: PlannedPart): void {
  const [first] = isMoving(part) && splitLowers(part.tree.union).own.length > 0 ? pairsOf(part) : [];
  if (first === undefined) return;
  const message = `/${quotePath(first[1])} was renamed, which a session that was forked can't commit to its own root`;
  throw new UserError("unsupported", message, {
    hint: "leave it out, by naming the PATHs to commit; or commit to a copy: --to DIRECTORY",
  });
}

function metacopyMark({ prefix }: UnionTrees["dialect"]): Uint8Array | undefined {
  return prefix === undefined ? undefined : attributeName(`${prefix}metacopy`);
}

function areasFor(id: string, targets: readonly string[]): string[] {
  return targets.map((target, index) => chooseArea(target, id, index));
}

async function stageParts(journal: Journal, parts: readonly PlannedPart[]): Promise<Body["parts"]> {
  const { areas } = journal.header();
  const made: Body["parts"][number][] = [];
  for (const [index, { target, tree, planned, after, relocated }] of parts.entries()) {
    const area = areas[index] ?? "";
    await explainFullLater(
      target.path,
      async () => {
        makeArea(area);
        using opened = openPlace(target.path, area);
        using upper = new Tree(duplicate(tree.upper));
        const metacopy = metacopyMark(tree.dialect);
        stageAll(opened.area.number, planned.draft.roots, { after, upper, metacopy, target: opened.tree });
        await syncFileSystem(opened.area);
      },
      doItAgain,
    );
    const place = { target: target.path, area, moved: planned.moved, relocated: relocated.directories };
    made.push(planned.draft.finish(place, planned.directories));
  }
  return made;
}

function duplicate(directory: Fd): Fd {
  return openAt(directory, ".", O.RDONLY | O.DIRECTORY);
}

function fromRoot({ at }: UnionTrees, path: Name): Name {
  const prefix = Buffer.from(at === "/" ? "" : at.slice(1)).toString("latin1");
  return prefix === "" ? path : path === "" ? prefix : `${prefix}/${path}`;
}

const letters: Readonly<Record<Change["kind"], Letter>> = {
  added: "A",
  deleted: "D",
  modified: "M",
  renamed: "R",
  type: "T",
};

function loggedOf(tree: UnionTrees, change: Change): Logged {
  const from = change.kind === "renamed" ? { from: fromRoot(tree, change.from) } : {};
  return { letter: letters[change.kind], path: fromRoot(tree, change.path), ...from };
}

/** Who asked for it: through sudo, the one behind it. */
export function callerName(): string {
  const uid = isInside ? superuserOutside() : (process.getuid?.() ?? 0);
  return process.env["SUDO_USER"] ?? findHostUser(uid)?.name ?? String(uid);
}
