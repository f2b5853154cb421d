import { S } from "../../kernel/abi/file.ts";
import { fail, type Name } from "../../kernel/at.ts";
import { type Attr, isDirectory } from "../../kernel/file.ts";
import { listDirectory } from "../../kernel/io.ts";
import type { Move, Part, Window } from "./journal.ts";
import { directoryOf, nameOf } from "../changes/names.ts";
import { ancestorsOf, isWithin, joinPath, type Tree } from "./tree.ts";

/** What undo would overwrite, or couldn't put back; and the directories that have got other times since. */
export interface Verdict {
  readonly changed: readonly Name[];
  /** Indices into the part's attributes. */
  readonly keepTimes: readonly number[];
}

/**
 * Whether a target is as a commit has left it, as far as the commit goes.
 * @param window when the commit was made; @param neutral when newer ones were undone
 */
export function verify(tree: Tree, part: Part, window: Window, neutral: readonly Window[]): Verdict {
  const checker = new Checker(tree, part, window, neutral);
  for (const move of part.moves) checker.move(move);
  part.attributes.forEach((_, index) => checker.attributes(index));
  return { changed: [...checker.changed].toSorted(), keepTimes: checker.keepTimes };
}

class Checker {
  readonly changed = new Set<Name>();
  readonly keepTimes: number[] = [];
  readonly #tree: Tree;
  readonly #part: Part;
  readonly #end: bigint;
  readonly #neutral: readonly (readonly [bigint, bigint])[];
  /** What the commit has put somewhere, which goes again. */
  readonly #arrived: ReadonlySet<Name>;
  readonly #taken: ReadonlySet<Name>;
  readonly #swapped: ReadonlySet<Name>;

  constructor(tree: Tree, part: Part, window: Window, neutral: readonly Window[]) {
    this.#tree = tree;
    this.#part = part;
    this.#end = BigInt(window.to);
    this.#neutral = neutral.map(({ from, to }) => [BigInt(from), BigInt(to)] as const);
    this.#arrived = new Set(part.moves.flatMap(({ kind, path }) => (kind === "in" || kind === "swap" ? [path] : [])));
    this.#swapped = new Set(part.moves.flatMap(({ kind, path }) => (kind === "swap" ? [path] : [])));
    this.#taken = new Set(part.moves.flatMap(({ kind, path }) => (kind === "out" ? [path] : [])));
  }

  #isNew({ ctimeNs }: Attr): boolean {
    return ctimeNs >= this.#end && !this.#neutral.some(([from, to]) => from <= ctimeNs && ctimeNs < to);
  }

  move(move: Move): void {
    switch (move.kind) {
      case "in":
      case "swap":
        return this.#came(move);
      case "out":
        return this.#went(move.path);
      case "link":
    }
  }

  #came(move: Move & { kind: "in" | "swap" }): void {
    const found = this.#tree.look(move.path);
    if (found === undefined || String(found.attr.ino) !== move.ino || found.isProtected) this.changed.add(move.path);
    else if (isMadeByCommit(move, this.#part)) this.#whole(move.path, found.attr);
  }

  /** What the commit has made goes for good: nobody may have added anything. */
  #whole(path: Name, attr: Attr): void {
    if (!isDirectory(attr)) {
      if (this.#isNew(attr)) this.changed.add(path);
      return;
    }
    // What moves in and out sets a directory's times; its names tell whether something else did.
    const fd = this.#tree.directory(path);
    if (fd === undefined) return void this.changed.add(path);
    if (this.#isNew(attr)) this.changed.add(path);
    const names: Name[] = [];
    const result = listDirectory(fd, (name) => names.push(name));
    if (result < 0) fail("readdir", path, result);
    for (const name of names) {
      const below = joinPath(path, name);
      if (name === "." || name === ".." || this.#arrived.has(below)) continue;
      const found = this.#tree.look(below);
      if (found !== undefined) this.#whole(below, found.attr);
    }
  }

  /** Where something was that comes back, nothing may be by now. */
  #went(was: Name): void {
    // A directory that comes back itself brings its places along.
    for (const above of ancestorsOf(was)) {
      if (this.#taken.has(above) && !this.#isMoved(above)) return;
      if (this.#swapped.has(this.#isMoved(above) ? above : this.#nowAt(above))) return;
    }
    const path = this.#nowAt(was);
    if (!this.#arrived.has(path) && this.#tree.look(path) !== undefined) this.changed.add(path);
    const above = directoryOf(path);
    if (above !== "" && this.#tree.directory(above) === undefined) this.changed.add(above);
  }

  #isMoved(was: Name): boolean {
    return this.#part.moved.some(([from]) => from === was);
  }

  /** Where the place is now that was at this path. */
  #nowAt(was: Name): Name {
    const above = directoryOf(was);
    const [from, to] = this.#part.moved
      .filter(([moved]) => isWithin(above, moved) && moved !== "")
      .reduce<readonly [Name, Name]>((best, pair) => (pair[0].length > best[0].length ? pair : best), ["", ""]);
    const now = from === "" ? above : joinPath(to, above.slice(from.length + 1));
    return joinPath(now, nameOf(was));
  }

  attributes(index: number): void {
    const change = this.#part.attributes[index];
    if (change === undefined || change.was === undefined) return;
    const found = this.#tree.look(change.path);
    if (found === undefined || String(found.attr.ino) !== change.ino) {
      if (change.what === "all") this.changed.add(change.path);
      return;
    }
    const { attr } = found;
    if (change.isDirectory && this.#isNew(attr)) this.keepTimes.push(index);
    if (change.after === undefined || change.what === "times") return;
    const { mode, uid, gid } = change.after;
    const isOther = (attr.mode & ~S.IFMT) !== (mode & ~S.IFMT) || attr.uid !== uid || attr.gid !== gid;
    if (isOther || (!change.isDirectory && this.#isNew(attr))) this.changed.add(change.path);
  }
}

/** Not something that was only renamed or linked: that is kept. */
function isMadeByCommit(move: Move & { kind: "in" | "swap" }, { moves }: Part): boolean {
  if (move.kind === "in" && move.from !== undefined) return false;
  return !moves.some((other) => other.kind === "link" && other.name === move.name);
}
