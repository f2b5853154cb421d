import { E } from "../../kernel/abi/errno.ts";
import { closeFd, fail, type Name, statFd, statName, takeAttr } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { type Attr, isDirectory } from "../../kernel/file.ts";
import { fileSystemUuid, openHandle } from "../../kernel/handle.ts";
import { OverlayDialect, readMark } from "../../layer/dialect/overlay.ts";
import { decodeOrigin } from "../../layer/handle.ts";
import { attrAt, openDirectoryAt, openFileAt } from "./below.ts";
import { differ, isSameType, type Side } from "./compare.ts";
import { sourceOf } from "./moves.ts";
import { directoryOf, identityOf, nameOf } from "./names.ts";
import type { Change, UnionTrees } from "./types.ts";
import { type Met, nowOf } from "./walk.ts";

type Changes = (Change | undefined)[];

/**
 * Makes one change of the two that a renamed file is: it was added, says what it was copied from, and that was deleted.
 * The change of what was deleted becomes undefined.
 */
export function pairRenames(trees: UnionTrees, changes: Changes, met: readonly Met[]): void {
  const moved = met.filter(({ file, change }) => {
    const isAdded = change !== undefined && changes[change]?.kind === "added";
    return isAdded && (file.hasOrigin || file.redirect !== undefined);
  });
  if (moved.length === 0) return;
  const gone = new Map<Name, number>();
  for (const [index, change] of changes.entries())
    if (change?.kind === "deleted" && !isDirectory(change.before)) gone.set(change.was ?? change.path, index);
  if (gone.size === 0) return;
  let known: ReadonlyMap<string, Name> | undefined;
  for (const one of moved) {
    known ??= one.file.redirect === undefined ? identities(trees, changes, gone) : known;
    const from = contentSource(one) ?? known?.get(originOf(trees, one));
    const index = from === undefined ? undefined : gone.get(from);
    if (from === undefined || index === undefined || one.change === undefined) continue;
    const [deleted, added] = [changes[index], changes[one.change]];
    if (deleted?.kind !== "deleted" || added === undefined || !isSameType(deleted.before, one.file.attr)) continue;
    const renamed = rename(trees, one, from, deleted);
    if (renamed === undefined) continue;
    changes[one.change] = renamed;
    one.before = deleted.before;
    changes[index] = undefined;
    gone.delete(from);
  }
}

function rename(trees: UnionTrees, met: Met, from: Name, deleted: Change & { kind: "deleted" }): Change | undefined {
  const { path, file } = met;
  const { before, union } = deleted;
  using below = openDirectoryAt(trees.before, directoryOf(from));
  if (below === undefined) return undefined;
  using upper = new LaterDirectory(nowOf(trees), directoryOf(path));
  const { prefix } = trees.dialect;
  const was: Side = {
    fd: below.number,
    name: nameOf(from),
    attr: before,
    prefix: trees.isBeforeRaw ? prefix : undefined,
  };
  const now: Side = {
    get fd() {
      return upper.number;
    },
    name: nameOf(path),
    attr: file.attr,
    prefix: trees.frozen.length === 0 ? prefix : undefined,
    attributes: trees.frozen.length === 0 ? file.attributes : undefined,
    ...(file.isMetacopy ? { open: () => openFileAt(trees.after, path) } : {}),
  };
  const aspects = differ(was, now, file.isMetacopy && contentSource(met) === from ? "same" : "unknown");
  return { kind: "renamed", path, union, from, before, after: file.attr, aspects };
}

/** Opened where something is read in it: of most files enough is known. */
class LaterDirectory implements Disposable {
  readonly #root: Fd;
  readonly #path: Name;
  #directory: Fd | undefined;

  constructor(root: Fd, path: Name) {
    [this.#root, this.#path] = [root, path];
  }

  get number(): number {
    this.#directory ??= openDirectoryAt(this.#root, this.#path);
    return this.#directory?.number ?? fail("open", this.#path, -E.NOENT);
  }

  [Symbol.dispose](): void {
    this.#directory?.close();
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
