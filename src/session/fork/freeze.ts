import { mkdirSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { UserError } from "../../error.ts";
import { MOUNT_ATTR } from "../../kernel/abi/mount.ts";
import { O } from "../../kernel/abi/file.ts";
import { isErrno, unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import {
  type Attr,
  openAt,
  openDirectory,
  readDirectory,
  renameNoReplaceAt,
  setTimesAt,
  statAt,
  sync,
  unlinkAt,
} from "../../kernel/file.ts";
import { setMountAttributes } from "../../kernel/mount.ts";
import { removeTree } from "../../layer/remove.ts";
import { makeUnionMount } from "../../mount/attach.ts";
import { makeOurs } from "../../mount/fallthru/step.ts";
import type { PlanStep, UnionStep } from "../../mount/plan.ts";
import { finishReplacing, mountIdAt, replaceUnions } from "../../mount/retree.ts";
import {
  frozenPlace,
  generationOf,
  makeGeneration,
  type Owner,
  settleGenerations,
  shareGeneration,
} from "../frozen.ts";
import { randomHex } from "../id.ts";
import { type Layers, layersOf, makePair } from "../layers.ts";
import { mountPointOf } from "../paths.ts";
import { pause } from "../pause.ts";
import { type Freezing, keepRecord, placeRecord, readRecord, type SessionRecord, stageRecord } from "../record.ts";
import { lockRoots } from "../roots.ts";
import { completeLinks } from "./aliases.ts";

/** A session that is forked, held and with its directory locked. */
export interface Original {
  readonly id: string;
  readonly dir: Fd;
  readonly record: SessionRecord;
  readonly layers: Layers;
}

/** The records that are written before anything changes: to be renamed into place even where the disk is full by then. */
const [before, freezing, after] = [".record.before", ".record.freezing", ".record.after"] as const;

/** What keeps a session's uppers from being frozen; it can be copied. */
export class NotFrozen extends Error {}

/**
 * Freezes what a session has changed as lowers of its own that another session has as well, and gives it new uppers. What
 * is mounted in its tree stays. Killed at any instant, settleFork() makes the session whole, as it was or frozen.
 * @param ready called when nothing has happened yet that another session could be made of, with its unions
 * @returns the mount that the session had before: see replaceUnions()
 * @throws {NotFrozen} somebody writes, or overlayfs takes no lower there; the session is as it was
 */
export function freeze(original: Original, other: Owner, ready: (steps: readonly PlanStep[]) => void): Fd | undefined {
  const { id, dir, record, layers } = original;
  const mountPoint = mountPointOf(id);
  const frozen = new Set(unionSteps(record).filter(({ union }) => isChanged(union.upper)));
  if (frozen.size === 0) {
    const generation = generationOf(dir);
    if (generation !== undefined) shareGeneration(generation, other);
    ready(record.plan.steps);
    return undefined;
  }
  for (const { at, union } of frozen) completeLinks(union, placeIn(mountPoint, at));
  const place = frozenPlace(layers);
  makeGeneration(place, { id, dir }, other);
  const moves: Freezing["moves"][number][] = [];
  let count = 0;
  const steps = record.plan.steps.map((step): PlanStep => {
    if (step.kind !== "union") return step;
    const index = count++;
    if (!frozen.has(step)) return step;
    const { union } = step;
    const to = `${place}/${index}/upper`;
    for (const path of [dirname(to), to]) mkdirSync(path, { mode: 0o700 });
    moves.push({ from: union.upper, to });
    const base = `${layers.base}/${index}-${randomHex()}`;
    mkdirSync(base, { mode: 0o700 });
    const pair = makePair(base, union.upper);
    return {
      ...step,
      union: { ...union, lowers: [to, ...union.lowers], frozen: (union.frozen ?? 0) + 1, ...pair },
    };
  });
  syncAll([place, dirname(place), layers.base, ...moves.map(({ to }) => dirname(to))]);
  ready(steps);
  using unions = tryUnions(steps, record);
  const planned: SessionRecord = { ...record, plan: { ...record.plan, steps } };
  const { mountId } = statOf(mountPoint);
  keepRecord(dir, before);
  stageRecord(dir, after, planned);
  stageRecord(dir, freezing, { ...planned, freezing: { moves, mountId } });
  placeRecord(dir, freezing);
  return finish(id, dir, unions);
}

export function unionSteps({ plan }: Pick<SessionRecord, "plan">): UnionStep[] {
  return plan.steps.flatMap((step) => (step.kind === "union" ? [step] : []));
}

/** Whether anything is in an upper. */
export function isChanged(upper: string): boolean {
  using directory = openDirectory(upper);
  for (const _ of readDirectory(directory)) return true;
  return false;
}

export function placeIn(mountPoint: string, at: string): string {
  return at === "/" ? mountPoint : `${mountPoint}${at}`;
}

function statOf(mountPoint: string): { readonly mountId: number } {
  return { mountId: Number(statAt(null, mountPoint).mountId) };
}

function syncAll(paths: readonly string[]): void {
  for (const path of paths) {
    using directory = openDirectory(path);
    sync(directory);
  }
}

/** The new unions, detached. They are made while what will be their lowers is empty, and nobody looks at them before. */
class NewUnions implements Disposable {
  readonly mounts = new Map<string, Fd>();

  [Symbol.dispose](): void {
    for (const mount of this.mounts.values()) mount.close();
  }
}

/** @param from what the session had until now: the unions that have stayed aren't made again */
function makeUnions(steps: readonly PlanStep[], from: Pick<SessionRecord, "plan"> | undefined): NewUnions {
  const made = new NewUnions();
  try {
    for (const step of steps) {
      if (step.kind !== "union" || from?.plan.steps.includes(step) === true) continue;
      made.mounts.set(step.at, makeUnionMount(step, makeOurs));
    }
    return made;
  } catch (error) {
    made[Symbol.dispose]();
    throw error;
  }
}

function tryUnions(steps: readonly PlanStep[], from: Pick<SessionRecord, "plan">): NewUnions {
  try {
    return makeUnions(steps, from);
  } catch (error) {
    // As with the host's root, which has the directory of all sessions in it.
    if (isErrno(error, "ELOOP")) throw new NotFrozen("they lie inside a lower, where overlayfs takes no other lower");
    throw error;
  }
}

/** Goes on from a record that says what is to be done, to one that says that it is done. */
function finish(id: string, dir: Fd, made?: NewUnions): Fd | undefined {
  const record = readRecord(id);
  if (record?.freezing === undefined) throw new Error(`session ${id} isn't being forked`);
  const { moves, mountId } = record.freezing;
  const mountPoint = mountPointOf(id);
  const isOld = mountId !== undefined && mountIdAt(mountPoint) === mountId;
  const isBegun = moves.some(({ to }) => isChanged(to));
  const changed = unionSteps(record).filter(({ union }) => moves.some(({ to }) => union.lowers[0] === to));
  if (isOld && !isBegun) protect(changed, mountPoint, dir);
  const times = moves.map(({ from }) => timesOf(from));
  try {
    for (const [index, move] of moves.entries()) moveAll(move, times[index]);
  } catch (error) {
    // A directory that grows meets a full disk; back where they were, names have room. Nothing is mounted anew yet.
    if (made !== undefined) {
      for (const [index, { from, to }] of moves.entries()) moveAll({ from: to, to: from }, times[index]);
      for (const { at } of changed) allowWriting(placeIn(mountPoint, at));
      placeRecord(dir, before);
    }
    throw error;
  }
  let old: Fd | undefined;
  if (isOld && made !== undefined) old = replaceUnions(mountPoint, made.mounts);
  else if (isOld && !finishReplacing(mountPoint)) {
    using again = makeAgain(changed);
    old = replaceUnions(mountPoint, again.mounts);
  }
  placeRecord(dir, after);
  return old;
}

/** What a killed process had mounted takes a moment to go. */
const [waitMs, eachMs] = [2000, 10];

function makeAgain(steps: readonly UnionStep[]): NewUnions {
  for (let waitedMs = 0; ; waitedMs += eachMs) {
    try {
      return makeUnions(steps, undefined);
    } catch (error) {
      const isBusy = isErrno(error, "EBUSY") || (error instanceof UserError && error.code === "busy");
      if (!isBusy || waitedMs >= waitMs) throw error;
      pause(eachMs);
    }
  }
}

/** From here on nobody writes to the old unions. Where somebody is just writing the session stays as it was. */
function protect(steps: readonly UnionStep[], mountPoint: string, dir: Fd): void {
  const done: Fd[] = [];
  try {
    for (const { at } of steps) {
      const mount = openAt(null, placeIn(mountPoint, at), O.PATH | O.DIRECTORY | O.NOFOLLOW);
      done.push(mount);
      setMountAttributes(mount, { set: MOUNT_ATTR.RDONLY });
    }
  } catch (error) {
    if (!isErrno(error, "EBUSY")) throw error;
    done.pop()?.close();
    for (const mount of done) setMountAttributes(mount, { clear: MOUNT_ATTR.RDONLY });
    placeRecord(dir, before);
    throw new NotFrozen("a file in it is open for writing");
  } finally {
    for (const mount of done) mount.close();
  }
}

function allowWriting(path: string): void {
  using mount = openAt(null, path, O.PATH | O.DIRECTORY | O.NOFOLLOW);
  setMountAttributes(mount, { clear: MOUNT_ATTR.RDONLY });
}

type Times = Pick<Attr, "atimeNs" | "mtimeNs">;

function timesOf(path: string): Times | undefined {
  return unless(["ENOENT"], () => statAt(null, path));
}

/** Both are directories of our own, of one file system, and nobody else is there. */
function moveAll({ from, to }: Freezing["moves"][number], times: Times | undefined): void {
  const opened = unless(["ENOENT"], () => openDirectory(from));
  if (opened === undefined) return;
  using source = opened;
  using target = openDirectory(to);
  const names = [...readDirectory(source)].map(({ name }) => name);
  for (const name of names) renameNoReplaceAt(source, name, target, name);
  if (times !== undefined) setTimesAt(target, ".", times.atimeNs, times.mtimeNs);
  for (const directory of [target, source]) sync(directory);
}

/**
 * Puts a session in order that was being forked: finishes what is half done, and removes what it has no use for. Where
 * there is nothing to be done, nothing is. The session is held.
 */
export function settleFork(id: string, dir: Fd): void {
  const record = readRecord(id);
  if (record === undefined) return;
  if (record.freezing !== undefined) {
    using _ = lockRoots("shared");
    try {
      finish(id, dir)?.close();
    } catch (error) {
      // As it was, then.
      if (!(error instanceof NotFrozen)) throw error;
    }
  }
  tidy(id, dir);
}

/** Removes what a session that is whole doesn't have, or has no more. */
export function tidy(id: string, dir: Fd): void {
  const record = readRecord(id);
  if (record === undefined) return;
  const unions = unionSteps(record).map(({ union }) => union);
  const named = { uppers: unions.map(({ upper }) => dirname(upper)), lowers: unions.flatMap(({ lowers }) => lowers) };
  removePairs(layersOf(id, dir, record.upper), named);
  settleGenerations(
    { id, dir },
    unions.flatMap(({ lowers }) => lowers),
  );
  for (const name of [before, freezing, after]) unless(["ENOENT"], () => unlinkAt(dir, name));
}

/** Uppers and work directories that the record doesn't name; the work directories' indexes count as names of frozen files. */
/** Of a session that isn't mounted yet. */
export function removeAllPairs(layers: Layers): void {
  removePairs(layers, { uppers: [], lowers: [] });
}

function removePairs(
  { base }: Layers,
  named: { readonly uppers: readonly string[]; readonly lowers: readonly string[] },
): void {
  using directory = openDirectory(base);
  for (const name of readdirSync(base)) {
    const path = `${base}/${name}`;
    if (!/^\d+(?:-[0-9a-f]{8})?$/.test(name) || named.uppers.includes(path)) continue;
    // A lower of the session's own may lie beside them.
    if (!named.lowers.some((lower) => lower.startsWith(`${path}/`))) removeTree(directory, name);
    else for (const part of ["upper", "work"]) removeBelow(directory, name, part);
  }
}

function removeBelow(dir: Fd, name: string, part: string): void {
  using directory = openDirectory(name, dir);
  removeTree(directory, part);
}
