import { E } from "../../kernel/abi/errno.ts";
import { O } from "../../kernel/abi/file.ts";
import { closeFd, fail, type Name, statFd, statName, takeAttr } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { type Attr, isDirectory } from "../../kernel/file.ts";
import { fileSystemUuid, openHandle } from "../../kernel/handle.ts";
import { OverlayDialect, readMark } from "../../layer/dialect/overlay.ts";
import { decodeOrigin } from "../../layer/handle.ts";
import { openStrictlyFd } from "../../layer/strict.ts";
import { attrAt, openDirectoryAt, openFileAt } from "./below.ts";
import { differ, isSameType, ReusedSide } from "./compare.ts";
import type { Opener } from "./content.ts";
import { sourceOf } from "./moves.ts";
import { directoryOf, identityOf, nameOf } from "./names.ts";
import type { Aspect, Change, Detail, UnionTrees } from "./types.ts";
import { type Met, nowOf } from "./walk.ts";

type Changes = (Change | undefined)[];

/**
 * Makes one change of the two that a renamed file is: it was added, says what it was copied from, and that was deleted.
 * The change of what was deleted becomes undefined.
 */
export function pairRenames(trees: UnionTrees, changes: Changes, met: readonly Met[], detail: Detail): void {
  const moved = met.filter(({ file, change }) => {
    const isAdded = change !== undefined && changes[change]?.kind === "added";
    return isAdded && (file.hasOrigin || file.redirect !== undefined);
  });
  const [first] = moved;
  if (first === undefined) return;
  const gone = new Map<Name, number>();
  for (let index = 0; index < changes.length; index++) {
    const change = changes[index];
    if (change?.kind === "deleted" && !isDirectory(change.before)) gone.set(change.was ?? change.path, index);
  }
  if (gone.size === 0) return;
  using sides = new Sides(trees, first);
  let known: ReadonlyMap<string, Name> | undefined;
  for (const one of moved) {
    known ??= one.file.redirect === undefined ? identities(trees, changes, gone) : known;
    const from = contentSource(one) ?? known?.get(originOf(trees, one));
    const index = from === undefined ? undefined : gone.get(from);
    if (from === undefined || index === undefined || one.change === undefined) continue;
    const [deleted, added] = [changes[index], changes[one.change]];
    if (deleted?.kind !== "deleted" || added === undefined || !isSameType(deleted.before, one.file.attr)) continue;
    const aspects = detail === "kinds" ? [] : sides.compare(one, from, deleted.before);
    const { path, file } = one;
    const { before, union } = deleted;
    changes[one.change] = { kind: "renamed", path, union, from, before, after: file.attr, aspects };
    one.before = before;
    changes[index] = undefined;
    gone.delete(from);
  }
}

/** Compares what was renamed with what it was. */
class Sides implements Disposable {
  readonly #trees: UnionTrees;
  readonly #inBelow: OneDirectory;
  readonly #inUpper: OneDirectory;
  readonly #was: ReusedSide;
  readonly #now: ReusedSide;

  constructor(trees: UnionTrees, { file: { attr } }: Met) {
    const { before, dialect, frozen, isBeforeRaw } = trees;
    this.#trees = trees;
    this.#inBelow = new OneDirectory(before);
    this.#inUpper = new OneDirectory(nowOf(trees));
    this.#was = new ReusedSide(this.#inBelow, attr, isBeforeRaw ? dialect.prefix : undefined);
    this.#now = new ReusedSide(this.#inUpper, attr, frozen.length > 0 ? undefined : dialect.prefix);
  }

  compare(met: Met, from: Name, before: Attr): readonly Aspect[] {
    const { path, file } = met;
    const was = this.#was;
    this.#inBelow.path = directoryOf(from);
    was.name = nameOf(from);
    was.attr = before;
    const now = this.#now;
    this.#inUpper.path = directoryOf(path);
    now.name = nameOf(path);
    now.attr = file.attr;
    now.node = this.#trees.frozen.length > 0 ? undefined : file;
    const isSame = file.isMetacopy && contentSource(met) === from;
    now.open = file.isMetacopy && !isSame ? this.#opener(path) : undefined;
    return differ(was, now, isSame ? "same" : "unknown");
  }

  #opener(path: Name): Opener {
    return () => openFileAt(this.#trees.after, path);
  }

  [Symbol.dispose](): void {
    this.#inBelow.close();
    this.#inUpper.close();
  }
}

/** One directory of a tree at a time, opened where it is needed: the next that is asked for is often the same. */
class OneDirectory {
  readonly #root: Fd;
  path: Name = "";
  #opened: Name | undefined;
  #fd = -1;

  constructor(root: Fd) {
    this.#root = root;
  }

  get fd(): number {
    if (this.#opened === this.path) return this.#fd;
    this.close();
    const fd = openStrictlyFd(this.#root.number, this.path, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
    // What took its place meanwhile comes with the next look.
    if (fd < 0) fail("open", this.path, fd === -E.NOTDIR || fd === -E.LOOP ? -E.NOENT : fd);
    this.#opened = this.path;
    this.#fd = fd;
    return fd;
  }

  close(): void {
    if (this.#opened !== undefined) closeFd(this.#fd);
    this.#opened = undefined;
  }
}

/** Where the content of a file is below, if it says so. */
function contentSource({ file, was }: Met): Name | undefined {
  return sourceOf(file.redirect, was === undefined ? undefined : directoryOf(was));
}

/** By device and inode number: the paths below of what was deleted. */
function identities(trees: UnionTrees, changes: Changes, gone: ReadonlyMap<Name, number>): Map<string, Name> {
  const known = new Map<string, Name>();
  for (const [path, index] of gone) {
    const change = changes[index];
    if (change?.kind !== "deleted") continue;
    const attr = trees.isBeforeRaw ? change.before : attrInLowers(trees, path);
    if (attr !== undefined) known.set(identityOf(attr), path);
  }
  return known;
}

function attrInLowers({ lowers }: UnionTrees, path: Name): Attr | undefined {
  for (const lower of lowers) {
    const attr = attrAt(lower, path);
    if (attr !== undefined) return attr;
  }
  return undefined;
}

/** Of what a fork has frozen the topmost says it. */
function readOrigin({ upper, frozen, dialect }: UnionTrees, path: Name): Buffer | undefined {
  if (!(dialect instanceof OverlayDialect)) return undefined;
  for (const layer of [upper, ...frozen]) {
    using directory = openDirectoryAt(layer, directoryOf(path));
    if (directory === undefined || statName(directory.number, nameOf(path)) !== 0) continue;
    return unless(["ENOENT"], () => readMark(directory.number, nameOf(path), dialect.marks.origin));
  }
  return undefined;
}

/** Which file below it was copied from; "": unknown. */
function originOf(trees: UnionTrees, { path, file }: Met): string {
  const origin = file.hasOrigin ? findOrigin(trees, path) : undefined;
  return typeof origin === "object" ? identityOf(origin) : "";
}

/**
 * What something in the upper was copied from, wherever that is by now.
 * @returns "gone" where it was deleted below; undefined: the upper doesn't say
 */
export function findOrigin(trees: UnionTrees, path: Name): Attr | "gone" | undefined {
  const { lowers } = trees;
  const mark = readOrigin(trees, path);
  const handle = mark && decodeOrigin(mark);
  if (handle === undefined) return undefined;
  let isGone = false;
  for (const lower of lowers) {
    // A file system without one is known by all zeros.
    if (!handle.uuid.equals(fileSystemUuid(lower.number) ?? Buffer.alloc(16))) continue;
    const fd = openHandle(lower.number, handle);
    isGone ||= fd === -E.STALE;
    if (fd < 0) continue;
    const result = statFd(fd);
    closeFd(fd);
    if (result === 0) return takeAttr();
  }
  return isGone ? "gone" : undefined;
}
