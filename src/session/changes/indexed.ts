import { closeFd, type Name, statFd, takeAttr } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { type Attr, isDirectory, openDirectory } from "../../kernel/file.ts";
import { openHandle } from "../../kernel/handle.ts";
import { listDirectory } from "../../kernel/io.ts";
import { OverlayDialect, readMark } from "../../layer/dialect/overlay.ts";
import { decodeOrigin } from "../../layer/handle.ts";
import { attrAt, attrBelow, namesIn, openDirectoryAt, withDirectory } from "./below.ts";
import { differ } from "./compare.ts";
import { pathNow } from "./moves.ts";
import { directoryOf, identityOf, join, nameOf } from "./names.ts";
import type { Aspect, UnionTrees } from "./types.ts";
import { readIndexed, type UpperFile } from "./upper.ts";
import type { Met, Walk } from "./walk.ts";

/** A file with several names below that was changed: all of them lead to it, though the upper has but some, or none. */
interface Indexed {
  readonly name: Name;
  readonly file: UpperFile;
  readonly below: Attr;
  /** How many names it has below that aren't in the upper. */
  missing: number;
}

/**
 * Adds the changes of names that nothing in the upper tells of: further names of files that were changed by another one.
 * Where they are is known of no union; they are looked for beside the names that are known, and then everywhere.
 * @returns the inodes of the index
 */
export function addIndexed(trees: UnionTrees, walk: Walk): ReadonlySet<string> {
  const inodes = new Set<string>();
  using index = unless(["ENOENT"], () => openDirectory(`${trees.union.work}/index`));
  if (index === undefined || !(trees.dialect instanceof OverlayDialect)) return inodes;
  const wanted = new Map<string, Indexed>();
  for (const one of readIndex(trees, trees.dialect, index, walk.met)) {
    inodes.add(identityOf(one.file.attr));
    if (one.missing > 0) wanted.set(identityOf(one.below), one);
  }
  if (wanted.size === 0) return inodes;
  const search = new Search(trees, walk, index, wanted);
  for (const directory of likelyDirectories(walk, wanted)) search.directory(directory);
  search.everywhere();
  return inodes;
}

/** Whether any file with several names was changed since there is this upper. */
export function hasIndex({ union }: UnionTrees): boolean {
  using index = unless(["ENOENT"], () => openDirectory(`${union.work}/index`));
  return index !== undefined && namesOf(index).length > 0;
}

function* readIndex(trees: UnionTrees, { marks }: OverlayDialect, index: Fd, met: readonly Met[]): Generator<Indexed> {
  const names = namesOf(index);
  const inUpper = names.length === 0 ? new Map<string, number>() : countNames(met);
  for (const name of names) {
    const below = originAttr(trees, Buffer.from(name, "hex"));
    const file = below === undefined ? undefined : readIndexed(trees.dialect, index.number, name);
    if (below === undefined || file === undefined) continue;
    const text = readMark(index.number, name, marks.nlink)?.toString("latin1") ?? "";
    const [, base = "U", excess = "-1"] = /^([UL])([+-]\d+)/.exec(text) ?? [];
    const count = (base === "U" ? file.attr.nlink : below.nlink) + Number(excess);
    const missing = count - (inUpper.get(identityOf(file.attr)) ?? 0);
    yield { name, file, below, missing };
  }
}

/** Those of files, in hexadecimal. overlayfs also keeps what it works with there: the one whiteout that all are links to. */
function namesOf(index: Fd): Name[] {
  return namesIn(index.number, "index").filter((name) => !name.startsWith("#"));
}

/** How many names each inode has in the upper. */
function countNames(met: readonly Met[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { file } of met) counts.set(identityOf(file.attr), (counts.get(identityOf(file.attr)) ?? 0) + 1);
  return counts;
}

function originAttr({ lowers }: UnionTrees, mark: Buffer): Attr | undefined {
  const handle = decodeOrigin(mark);
  for (const lower of handle === undefined ? [] : lowers) {
    const fd = handle === undefined ? -1 : openHandle(lower.number, handle);
    if (fd < 0) continue;
    const result = statFd(fd);
    closeFd(fd);
    if (result === 0) return takeAttr();
  }
  return undefined;
}

/** Where the known names of these files are below. */
function likelyDirectories({ met, changes }: Walk, wanted: ReadonlyMap<string, Indexed>): Set<Name> {
  const directories = new Set<Name>();
  const add = (path: Name, before: Attr | undefined): void => {
    if (before !== undefined && wanted.has(identityOf(before))) directories.add(directoryOf(path));
  };
  for (const { path, was, before } of met) add(was ?? path, before);
  for (const change of changes) if (change.kind === "deleted") add(change.was ?? change.path, change.before);
  return directories;
}

class Search {
  readonly #trees: UnionTrees;
  readonly #walk: Walk;
  readonly #index: Fd;
  readonly #wanted: ReadonlyMap<string, Indexed>;
  readonly #numbers: ReadonlySet<bigint>;
  readonly #known: Set<Name>;

  constructor(trees: UnionTrees, walk: Walk, index: Fd, wanted: ReadonlyMap<string, Indexed>) {
    [this.#trees, this.#walk, this.#index, this.#wanted] = [trees, walk, index, wanted];
    this.#known = new Set([...walk.changes, ...walk.met].map(({ path }) => path));
    this.#numbers = new Set([...wanted.values()].map(({ below }) => below.ino));
  }

  get #isDone(): boolean {
    return [...this.#wanted.values()].every(({ missing }) => missing <= 0);
  }

  directory(path: Name): void {
    for (const lower of this.#trees.lowers) {
      const attr = attrAt(lower, path);
      if (attr !== undefined && isDirectory(attr))
        withDirectory(lower.number, path || ".", (fd) => this.#look(fd, path));
    }
  }

  everywhere(): void {
    for (const lower of this.#trees.lowers) if (!this.#isDone) this.#descend(lower.number, "");
  }

  #descend(fd: number, path: Name): void {
    for (const name of this.#look(fd, path)) {
      if (this.#isDone) return;
      withDirectory(fd, name, (below) => this.#descend(below, join(path, name)));
    }
  }

  /** @returns the directories in it */
  #look(fd: number, path: Name): Name[] {
    const [directories, hits]: [Name[], Name[]] = [[], []];
    listDirectory(fd, (name, high, low, type) => {
      if (name === "." || name === "..") return;
      if (type === 4 || type === 0) directories.push(name);
      if (this.#numbers.has((BigInt(high) << 32n) | BigInt(low))) hits.push(name);
    });
    for (const name of hits) {
      const attr = attrBelow(fd, name);
      const found = attr === undefined ? undefined : this.#wanted.get(identityOf(attr));
      if (found !== undefined) this.#take(found, join(path, name));
    }
    return directories;
  }

  /** A name below of such a file: it is one of the session's where that shows this very file. */
  #take(found: Indexed, was: Name): void {
    const path = pathNow(this.#walk.moves, was);
    if (this.#known.has(path)) return;
    this.#known.add(path);
    const { file } = found;
    const [before, after] = [attrAt(this.#trees.before, was), attrAt(this.#trees.after, path)];
    if (before === undefined || after?.ctimeNs !== file.attr.ctimeNs || after.size !== file.attr.size) return;
    found.missing--;
    const aspects = this.#differences(found, was, before);
    const { changes, met, union } = this.#walk;
    met.push({ path, file, was, before, change: aspects.length > 0 ? changes.length : undefined });
    const at = { path, union, ...(was === path ? {} : { was }) };
    if (aspects.length > 0) changes.push({ kind: "modified", ...at, before, after: file.attr, aspects });
  }

  #differences({ file, name }: Indexed, was: Name, before: Attr): readonly Aspect[] {
    using parent = openDirectoryAt(this.#trees.before, directoryOf(was));
    if (parent === undefined) return [];
    const { dialect, isBeforeRaw } = this.#trees;
    const prefix = isBeforeRaw ? dialect.prefix : undefined;
    const one = { fd: parent.number, name: nameOf(was), attr: before, prefix };
    const other = { fd: this.#index.number, name, attr: file.attr, prefix: dialect.prefix };
    return differ(one, other, file.isMetacopy ? "same" : "unknown");
  }
}
