import { mkdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { UserError } from "../../error.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { lock, openDirectory, syncFileSystem } from "../../kernel/file.ts";
import { letGoLater } from "../../kernel/pass.ts";
import { attachPlan } from "../../mount/attach.ts";
import { makeOurs } from "../../mount/fallthru/step.ts";
import type { PlanStep } from "../../mount/plan.ts";
import { claimSession, taken } from "../begin.ts";
import { copyBegun } from "../begun.ts";
import { makeControlGroups } from "../cgroup.ts";
import { dropGenerations, generationOf, shareGeneration } from "../frozen.ts";
import { type Hold, takeHold } from "../hold.ts";
import { checkSessionId, makeSessionId, randomHex } from "../id.ts";
import { type Layers, layersOf, makeLayers, makePair } from "../layers.ts";
import { makeMountPoint } from "../mountpoint.ts";
import { flushUnions } from "../flush.ts";
import { canLetGoLater } from "../letgo.ts";
import { mountPlaceOf, mountPointOf, sessionDir, sessionsDir } from "../paths.ts";
import { placeRecord, readRecord, recordKind, type SessionRecord, stageRecord } from "../record.ts";
import { clearLeftovers, undoSession } from "../remains.ts";
import { undo } from "../undo.ts";
import { readNote, type RootNote } from "../root/note.ts";
import { atTheirPlaces, lockRoots } from "../roots.ts";
import { readSchrootFile, writeSchrootFile } from "../schrootfile.ts";
import { explainFull, explainFullLater, isSessionMounted, prepareState } from "../state.ts";
import type { SetupContext } from "../types.ts";
import { copyTrees } from "./copy.ts";
import { copyUpper, hasReflinks } from "./copyupper.ts";
import { freeze, NotFrozen, type Original, removeAllPairs, tidy, unionSteps } from "./freeze.ts";
import { letGoBehind } from "./letgo.ts";
import { cannot, type ForkedRoot, forkRoot, refuseRoot } from "./root.ts";
import { whyNotFrozen } from "./whynot.ts";

export interface ForkOptions {
  /** The new session's id; without it one is made from the chroot's name. */
  readonly name?: string;
  /** After this many seconds `gc` may end it; without it when it may end the other. */
  readonly ttlSeconds?: number;
  /** "share" fails where what was changed would have to be copied; "copy" leaves the session's mounts alone. */
  readonly data?: "share" | "copy";
  readonly setup?: SetupContext;
}

/** How the new session has come to what the other had changed. */
export type ForkWay =
  | "nothing" //   it had changed nothing since it began or was last forked
  | "shared" //    as lowers that both have
  | "snapshot" //  by the file system, as it had its root
  | "reflinks" //  in files of its own, which share their blocks with the other's
  | "copied";

export interface Forked {
  readonly id: string;
  readonly forkedFrom: string;
  readonly way: ForkWay;
  /** Why it couldn't be shared, in words that go on "because …". */
  readonly reason?: string;
  readonly warnings: readonly string[];
}

/**
 * Begins a second session that starts where another one stands; from then on neither sees what the other does. Where
 * nobody is inside, what it has changed becomes lowers that both have, and nothing is copied.
 * @throws {UserError} not-found, exists; busy: it ends with its command, or data "share" and somebody is inside; unsupported
 */
export async function forkSession(id: string, options: ForkOptions = {}): Promise<Forked> {
  checkSessionId(id);
  if (options.name !== undefined) checkSessionId(options.name);
  prepareState();
  const { stuck } = await clearLeftovers();
  const broken = stuck.find((each) => each.id === id);
  if (broken !== undefined) throw new UserError("failed", `session ${id} can't be put in order: ${broken.reason}`);
  if (recordKind(id) === undefined) throw gone(id);
  const hold = explainFull(sessionsDir, () => takeHold(id));
  if (hold === undefined) throw automatic(id);
  using held = hold;
  try {
    const forked = await forkHeld(id, options);
    held.release();
    return forked;
  } catch (error) {
    // What can't be put in order is a leftover, for the next command to go on with.
    await undo(() => {
      using dir = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
      if (dir === undefined || readRecord(id)?.freezing === undefined) held.release();
    });
    throw error;
  }
}

async function forkHeld(id: string, options: ForkOptions): Promise<Forked> {
  using dir = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  const record = readRecord(id);
  if (dir === undefined || record === undefined) throw gone(id);
  const note = readNote(dir);
  refuse(record, note);
  const name = options.name ?? makeSessionId(record.chroot);
  // Its holder may be waiting for ours.
  if (recordKind(name) !== undefined) throw taken(name);
  const original = { id, dir, record, layers: layersOf(id, dir, record.upper), note };
  const hold = await claimSession(name);
  try {
    const forked = await explainFullLater(sessionDir(name), () => build(original, hold, options));
    await undo(() => hold.release());
    hold[Symbol.dispose]();
    return forked;
  } catch (error) {
    await undoSession(hold, options.setup);
    tidyQuietly(id, dir);
    throw error;
  }
}

/** Of what was made for a fork that failed; where the session itself is half changed, nothing is touched. */
function tidyQuietly(id: string, dir: Fd): void {
  if (readRecord(id)?.freezing === undefined) tidy(id, dir);
}

type Source = Original & { readonly note: RootNote | undefined };

function refuse(record: SessionRecord, note: RootNote | undefined): void {
  const { id } = record;
  if (note !== undefined) refuseRoot(id, note);
  const hasUnions = unionSteps(record).length > 0;
  if (note === undefined && !hasUnions)
    throw cannot(id, "it changes the chroot itself: there is nothing that would be the session's own");
  if (note?.access === "copy" && hasUnions) throw cannot(id, "its root and what lies over it are both its own");
  if (isSessionMounted(id)) return;
  throw new UserError("failed", `session ${id} isn't mounted: the machine was restarted`, {
    hint: "mount it again: fallthru recover",
  });
}

/** What the new session is made of before it is mounted. */
interface Made {
  readonly steps: readonly PlanStep[];
  readonly way: ForkWay;
  readonly reason?: string;
  readonly unsettled: number;
  /** The first session's mount, where it has another now. */
  readonly old?: Fd | undefined;
}

async function build(read: Source, hold: Hold, options: ForkOptions): Promise<Forked> {
  // All that lies below stays where it is until both have it mounted.
  using _ = lockRoots("shared");
  const source = { ...read, record: atTheirPlaces(read.record), note: readNote(read.dir) };
  const { id, record } = source;
  using dir = openDirectory(sessionDir(hold.id));
  const layers = makeLayers(hold.id, dir, record.upper);
  const noteOfIt = source.note && { ...source.note, name: `fallthru-${hold.id}-${randomHex()}`, base: layers.base };
  const root =
    source.note && noteOfIt && (await forkRoot(id, source.note, noteOfIt, { id: hold.id, dir, hold: hold.file }));
  makeControlGroups(hold.id, record.limits);
  const fork: Fork = { id: hold.id, dir, layers, root, record: newRecord(record, hold.id, options) };
  const made = await makeLayersOf(source, fork, options);
  try {
    const rename = renamer(source, fork, noteOfIt);
    const { SessionSetup } = await import("../sessionsetup.ts");
    const setup = SessionSetup.fork(source.dir, dir, rename, options.setup ?? {});
    await setup?.start("setup-recover", "unmounted");
    const attached = attachPlan({ steps: made.steps }, makeMountPoint(hold.id, record.visitor), {
      ours: makeOurs,
    });
    await setup?.start("setup-recover", "mounted");
    copySchrootFile(id, hold.id, rename);
    placeRecord(dir, staged);
    return {
      id: hold.id,
      forkedFrom: id,
      way: made.way,
      ...(made.reason === undefined ? {} : { reason: made.reason }),
      warnings: [...attached.warnings, ...unsettledWarning(made.unsettled)],
    };
  } finally {
    if (made.old !== undefined) letGo(made.old, made, dir);
  }
}

/** Of the mount that a session had before, without waiting for what the kernel has to do then. */
function letGo(old: Fd, plan: Pick<Made, "steps">, dir: Fd): void {
  const frozen = generationOf(dir);
  if (frozen === undefined || canLetGoLater(plan, dir)) letGoLater(old);
  else letGoBehind(old, frozen);
}

/** The new session, as far as it is made. */
interface Fork {
  readonly id: string;
  readonly dir: Fd;
  readonly layers: Layers;
  readonly root: ForkedRoot | undefined;
  readonly record: SessionRecord;
}

const staged = ".record.json.new";

async function makeLayersOf(source: Source, fork: Fork, options: ForkOptions): Promise<Made> {
  if (fork.root !== undefined && fork.root.way !== "mounted") return withRootOnly(fork, fork.root);
  // Whoever is entering has done so then, and others wait.
  lock(source.dir, "exclusive");
  let reason = options.data === "copy" ? "that was asked for" : whyNotFrozen(source);
  if (reason === undefined) {
    try {
      return share(source, fork);
    } catch (error) {
      if (!(error instanceof NotFrozen)) throw error;
      reason = error.message;
      tidy(source.id, source.dir);
      dropGenerations(fork);
      removeAllPairs(fork.layers);
    } finally {
      lock(source.dir, "shared");
    }
  }
  if (options.data === "share") {
    throw new UserError("busy", `what session ${source.id} has changed can't be shared: ${reason}`, {
      hint: "without --no-copy it is copied",
    });
  }
  // Those who only want to enter don't wait for the copy.
  lock(source.dir, "shared");
  return copy(source, fork, reason);
}

function share(source: Source, fork: Fork): Made {
  let steps: readonly PlanStep[] = [];
  const old = freeze(source, fork, (planned) => {
    steps = ownSteps(source, fork, planned);
    stageRecord(fork.dir, staged, { ...fork.record, plan: { ...fork.record.plan, steps } });
  });
  tidy(source.id, source.dir);
  const way = old === undefined ? "nothing" : "shared";
  return { steps, way, unsettled: 0, old };
}

/** The steps with uppers of the new session's, which are empty; what the tops have for attributes they have too. */
function ownSteps(source: Source, { layers, root }: Fork, planned: readonly PlanStep[]): PlanStep[] {
  const uppers = unionSteps(source.record).map(({ union }) => union.upper);
  let count = 0;
  return planned.map((step): PlanStep => {
    if (step.kind === "bind" && step.from === root?.from) return { ...step, from: root.to };
    if (step.kind !== "union") return step;
    const index = count++;
    const base = `${layers.base}/${index}`;
    mkdirSync(base, { mode: 0o700 });
    const pair = makePair(base, uppers[index]);
    const lowers = step.union.lowers.map((lower) => {
      if (lower === root?.from) return root.to;
      return lower.startsWith(`${source.layers.base}/`) ? copyLower(lower, base) : lower;
    });
    return { ...step, union: { ...step.union, lowers, ...pair } };
  });
}

/** What lies among the session's own layers and is none of its changes: a few files that it was begun with. */
function copyLower(lower: string, base: string): string {
  const path = `${base}/${basename(lower)}`;
  mkdirSync(path, { mode: 0o700 });
  using from = openDirectory(lower);
  using to = openDirectory(path);
  copyTrees([{ from, to, isWhole: true }], true);
  return path;
}

async function copy(source: Source, fork: Fork, reason: string): Promise<Made> {
  const generation = generationOf(source.dir);
  if (generation !== undefined) shareGeneration(generation, fork);
  const steps = ownSteps(source, fork, source.record.plan.steps);
  const from = unionSteps(source.record);
  flushUnions(source.record);
  let unsettled = 0;
  for (const [index, { union }] of unionSteps({ plan: { steps } }).entries()) {
    const original = from[index];
    if (original !== undefined) unsettled += explainFull(fork.layers.base, () => copyUpper(original.union, union));
  }
  const way = hasReflinks(fork.layers.base) ? "reflinks" : "copied";
  return { ...(await stageCopied(fork, steps)), way, reason, unsettled };
}

async function withRootOnly(fork: Fork, root: ForkedRoot): Promise<Made> {
  const steps = fork.record.plan.steps.map((step): PlanStep => {
    return step.kind === "bind" && step.from === root.from ? { ...step, from: root.to } : step;
  });
  if (root.way === "snapshot") {
    stageRecord(fork.dir, staged, { ...fork.record, plan: { ...fork.record.plan, steps } });
    return { steps, way: "snapshot", unsettled: root.unsettled };
  }
  const way = hasReflinks(fork.layers.base) ? "reflinks" : "copied";
  return { ...(await stageCopied(fork, steps)), way, reason: "its root is its own", unsettled: root.unsettled };
}

/** After a power cut all that was copied must be there, or the session not. */
async function stageCopied(fork: Fork, steps: readonly PlanStep[]): Promise<{ readonly steps: readonly PlanStep[] }> {
  using base = openDirectory(fork.layers.base);
  if (fork.layers.upper.kind !== "tmpfs") await syncFileSystem(base);
  const { plan, begun } = fork.record;
  const now = { ...plan, steps };
  stageRecord(fork.dir, staged, {
    ...fork.record,
    plan: now,
    ...(begun === undefined ? {} : { begun: copyBegun(begun, plan, now) }),
  });
  return { steps };
}

function newRecord(
  record: SessionRecord & { readonly kind?: unknown },
  id: string,
  options: ForkOptions,
): SessionRecord {
  const { kind: _, expiresMs: old, ...same } = record;
  const createdMs = Date.now();
  const expiresMs = options.ttlSeconds === undefined ? old : createdMs + options.ttlSeconds * 1000;
  const baseMs = record.baseMs ?? record.createdMs;
  return { ...same, id, createdMs, ...(expiresMs === undefined ? {} : { expiresMs }), forkedFrom: record.id, baseMs };
}

/** What the one session is called, in words of others' that tell of the other. */
function renamer(source: Source, { id, layers }: Fork, note: RootNote | undefined): (text: string) => string {
  const pairs: (readonly [string, string])[] = [
    [mountPointOf(source.id), mountPointOf(id)],
    [mountPlaceOf(source.id), mountPlaceOf(id)],
    ...unionSteps(source.record).map(({ union }, index) => {
      return [dirname(union.upper), `${layers.base}/${index}`] as const;
    }),
    [source.layers.base, layers.base],
  ];
  if (source.note !== undefined && note !== undefined) pairs.push([source.note.name, note.name]);
  return (text) => {
    if (text === source.id) return id;
    return pairs.reduce((changed, [from, to]) => changed.replaceAll(from, to), text);
  };
}

/** The file that programs look for in schroot's place. */
function copySchrootFile(from: string, to: string, rename: (text: string) => string): void {
  const text = readSchrootFile(from);
  if (text === undefined || !text.includes(`\nmount-location=${mountPointOf(from)}\n`)) return;
  writeSchrootFile(
    to,
    rename(text).replace(`[${from}]`, () => `[${to}]`),
  );
}

function unsettledWarning(count: number): string[] {
  if (count === 0) return [];
  const what = count === 1 ? "1 file" : `${count} files`;
  return [`${what} went on changing while they were copied: what they have may be of different moments`];
}

function gone(id: string): UserError {
  return new UserError("not-found", `no session ${id}`, { hint: "what there is: fallthru list" });
}

function automatic(id: string): UserError {
  return new UserError("busy", `session ${id} is a run's own, and ends with its command`, {
    hint: "one that lasts can be forked: fallthru begin",
  });
}
