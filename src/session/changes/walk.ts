import { dropAttr, type Name } from "../../kernel/at.ts";
import type { Fd } from "../../kernel/fd.ts";
import { type Attr, isDirectory } from "../../kernel/file.ts";
import { attrBelow, kindAt, namesIn, openDirectoryAt, openFileAt, withDirectory } from "./below.ts";
import { differ, differAtOnce, isSameType, ReusedSide, type Side } from "./compare.ts";
import type { Opener } from "./content.ts";
import { hasIndex } from "./indexed.ts";
import { findMoves, type Moves, noMoves, sourceOf } from "./moves.ts";
import { join } from "./names.ts";
import type { Aspect, Change, Detail, UnionTrees } from "./types.ts";
import type { UpperDirectory, UpperEntry, UpperFile } from "./upper.ts";
import { OpenLater, VisitedDirectory } from "./visit.ts";

/** A file of the upper, and which change it is, if it is one. */
export interface Met {
  readonly path: Name;
  readonly file: UpperFile;
  /** Where it is looked for below. */
  readonly was: Name | undefined;
  /** What is there, if it is of its type; of a renamed file, what that was. */
  before: Attr | undefined;
  change: number | undefined;
}

/** One directory of the session, while it is looked at. */
interface Here {
  readonly node: UpperDirectory;
  readonly path: Name;
  /** Where it is below; undefined: nowhere. */
  readonly was: Name | undefined;
  /** Open; −1: there is none. */
  before: number;
  readonly upper: OpenLater;
  /** What is below shows where the upper says nothing. */
  readonly isMerged: boolean;
}

/** Compares an upper with what is below it, and nothing more of that than has to be. */
export class Walk {
  readonly changes: Change[] = [];
  /** Files with more than one name, and those that may have been renamed. */
  readonly met: Met[] = [];
  readonly #trees: UnionTrees;
  readonly union: number;
  readonly moves: Moves;
  readonly #begun: ReadonlyMap<Name, string>;
  readonly #isStacked: boolean;
  readonly #sideBelow: SideBelow;
  readonly #sideInUpper: ReusedSide;

  readonly #detail: Detail;

  /** @throws {Moved} the root is a visited one, and something in it was moved */
  constructor(trees: UnionTrees, union: number, root: UpperDirectory, detail: Detail) {
    this.#trees = trees;
    this.union = union;
    this.#detail = detail;
    this.#begun = new Map(Object.entries(trees.begun));
    this.#isStacked = trees.frozen.length > 0;
    const before = trees.before.number;
    const visited = root instanceof VisitedDirectory ? root : undefined;
    const upper = visited ?? new OpenLater(undefined, "", nowOf(trees).number);
    const { prefix } = trees.dialect;
    this.#sideBelow = { fd: before, name: "", attr: root.attr, prefix: trees.isBeforeRaw ? prefix : undefined };
    this.#sideInUpper = new ReusedSide(upper, root.attr, this.#isStacked ? undefined : prefix);
    if (this.#isStacked && (hasLinks(root) || hasIndex(trees))) {
      // Which names are one file, several layers that were changed one after the other don't tell together.
      this.moves = findMoves({ ...root, children: [] }, { has: () => undefined });
      this.#compareWhole({ before, after: trees.after.number }, ".", "", "");
      return;
    }
    this.moves = visited !== undefined ? noMoves : findMoves(root, { has: (path) => kindAt(trees.before, path) });
    const was = attrBelow(before, ".");
    const here: Here = { node: root, path: "", was: "", before, upper, isMerged: !root.isOpaque };
    if (was !== undefined) this.#directory(here, was);
  }

  /** A directory that is on both sides, and what is in it. */
  #directory(here: Here, was: Attr): void {
    const aspects = this.#differences(here, was);
    if (aspects.length > 0 && !this.#isBegun(here.path, here.node.attr))
      this.#modified(here.path, here.was, was, here.node.attr, aspects);
    this.#contents(here);
  }

  /** Of a directory; where kinds are asked for, times alone aren't enough: see isTimesOnly(). */
  #differences({ node, before, upper }: Here, was: Attr): readonly Aspect[] {
    const first = this.#detail === "kinds" ? differAtOnce(was, node.attr) : none;
    if (first.length > 1 || (first.length === 1 && first[0] !== "time")) return first;
    return differ(this.#below(before, "", was), this.#inUpper(upper, node));
  }

  /** Most changes are such: written out, as a spread takes as long as comparing does. */
  #modified(path: Name, was: Name | undefined, before: Attr, after: Attr, aspects: readonly Aspect[]): void {
    const { union } = this;
    if (was === undefined || was === path) this.changes.push({ kind: "modified", path, union, before, after, aspects });
    else this.changes.push({ kind: "modified", path, union, was, before, after, aspects });
  }

  #contents(here: Here): void {
    const { node, before, isMerged, path } = here;
    if (isMerged || before < 0) {
      for (const child of node.children) this.#child(here, child);
      return;
    }
    const own = new Map(node.children.map((child) => [child.name, child]));
    const names = new Set([...own.keys(), ...namesIn(before, path)]);
    for (const name of [...names].toSorted()) this.#child(here, own.get(name) ?? { kind: "whiteout", name });
  }

  #child(here: Here, child: UpperEntry): void {
    const { name } = child;
    const path = join(here.path, name);
    // Nearly always one string: to compare two that say the same costs more than to look at them does.
    const was = here.was === here.path ? path : here.was === undefined ? undefined : join(here.was, name);
    const isBelow = here.before >= 0 && was !== undefined && !this.#isMoved(was);
    const before = isBelow ? attrBelow(here.before, name) : undefined;
    if (child.kind === "whiteout") {
      if (before !== undefined) this.#delete(here.before, name, path, was, before);
    } else if (child.kind === "file") {
      this.#file(here, child, path, was, before);
    } else {
      this.#subdirectory(here, child, path, was, before);
    }
  }

  #file(here: Here, file: UpperFile, path: Name, was: Name | undefined, before: Attr | undefined): void {
    if (this.#isBegun(path, file.attr)) return;
    const count = this.changes.length;
    if (before === undefined) {
      this.changes.push({ kind: "added", path, union: this.union, after: file.attr });
    } else if (isSameType(before, file.attr)) {
      const first = this.#detail === "kinds" ? differAtOnce(before, file.attr) : none;
      if (first.length > 0 && before.nlink === 1 && file.attr.nlink === 1) {
        // Nearly always: then nothing else is asked of what is below.
        dropAttr();
        return this.#modified(path, was, file.attr, file.attr, first);
      }
      const aspects = first.length > 0 ? first : this.#compare(here, file, path, was, before);
      if (aspects.length > 0) this.#modified(path, was, before, file.attr, aspects);
    } else {
      this.changes.push({ kind: "type", ...this.#at(path, was), before, after: file.attr });
      if (isDirectory(before)) this.#deleteContents(here.before, file.name, path, was);
    }
    const change = this.changes.length > count ? count : undefined;
    const mayBeRenamed = before === undefined && (file.hasOrigin || file.redirect !== undefined);
    if (!mayBeRenamed && file.attr.nlink === 1 && (before?.nlink ?? 1) === 1) return;
    const same = before && isSameType(before, file.attr) ? before : undefined;
    this.met.push({ path, file, was, before: same, change });
  }

  #compare(here: Here, file: UpperFile, path: Name, was: Name | undefined, before: Attr): readonly Aspect[] {
    const { isMetacopy } = file;
    const isElsewhere = isMetacopy && !this.#isContentBelow(here, file, was);
    const after = this.#inUpper(here.upper, file, isElsewhere ? this.#opener(path) : undefined);
    return differ(this.#below(here.before, file.name, before), after, isMetacopy && !isElsewhere ? "same" : "unknown");
  }

  /** Of a file whose content is still below: whether it is that of the same name there. */
  #isContentBelow(here: Here, file: UpperFile, was: Name | undefined): boolean {
    return file.redirect === undefined || sourceOf(file.redirect, here.was) === was;
  }

  /** For a file whose content is elsewhere below. */
  #opener(path: Name): Opener {
    return () => openFileAt(this.#trees.after, path);
  }

  #subdirectory(here: Here, node: UpperDirectory, path: Name, was: Name | undefined, before: Attr | undefined): void {
    const { name } = node;
    if (this.moves.tangled.has(node)) {
      using after = openDirectoryAt(this.#trees.after, here.path);
      if (after !== undefined) this.#compareWhole({ before: here.before, after: after.number }, name, path, was);
      return;
    }
    const visited = node instanceof VisitedDirectory ? node : undefined;
    const upper = visited ?? new OpenLater(here.upper, name);
    try {
      if (visited?.open() === false) return;
      const move = this.moves.byNode.get(node);
      if (move !== undefined) return this.#renamed(node, path, move.from, upper);
      const at = this.#at(path, was);
      if (before === undefined) this.changes.push({ kind: "added", ...this.#at(path), after: node.attr });
      else if (!isDirectory(before)) this.changes.push({ kind: "type", ...at, before, after: node.attr });
      else {
        const isMerged = !node.isOpaque && isMergedByName(here, node, was);
        return this.#onBothSides(here, { node, path, was, before: -1, upper, isMerged }, before);
      }
      const count = this.changes.length;
      this.#contents({ node, path, was: undefined, before: -1, upper, isMerged: false });
      // A mount point that nobody has put anything into.
      if (this.changes.length === count && this.#isBegun(path, node.attr)) this.changes.pop();
    } finally {
      upper.close();
    }
  }

  /** @param there what is in `here` and a directory there, too, not open yet */
  #onBothSides(here: Here, there: Here, was: Attr): void {
    withDirectory(here.before, there.node.name, (before) => {
      there.before = before;
      this.#directory(there, was);
    });
  }

  #renamed(node: UpperDirectory, path: Name, from: Name, upper: OpenLater): void {
    using directory = openDirectoryAt(this.#trees.before, from);
    const below = directory?.number ?? -1;
    const before = below < 0 ? undefined : attrBelow(below, ".");
    // The chroot is being changed at this moment.
    if (before === undefined) return;
    const aspects = differ(this.#below(below, "", before), this.#inUpper(upper, node));
    this.changes.push({ kind: "renamed", ...this.#at(path), from, before, after: node.attr, aspects });
    this.#contents({ node, path, was: from, before: below, upper, isMerged: true });
  }

  #delete(dirfd: number, name: Name, path: Name, was: Name | undefined, before: Attr): void {
    this.changes.push({ kind: "deleted", ...this.#at(path, was), before });
    if (isDirectory(before)) this.#deleteContents(dirfd, name, path, was);
  }

  /** Not what was moved out of it before. */
  #deleteContents(dirfd: number, name: Name, path: Name, was: Name | undefined): void {
    withDirectory(dirfd, name, (fd) => {
      for (const child of namesIn(fd, path)) {
        const childWas = join(was ?? path, child);
        const attr = this.#isMoved(childWas) ? undefined : attrBelow(fd, child);
        if (attr !== undefined) this.#delete(fd, child, join(path, child), childWas, attr);
      }
    });
  }

  /** Compares everything on both sides: where the upper's marks alone don't tell the story. */
  #compareWhole(dirs: Dirs, name: Name, path: Name, was: Name | undefined): void {
    const isBelow = dirs.before >= 0 && was !== undefined && !this.#isMoved(was);
    const before = isBelow ? attrBelow(dirs.before, name) : undefined;
    const after = attrBelow(dirs.after, name);
    if (after === undefined) {
      if (before !== undefined) this.#delete(dirs.before, name, path, was, before);
      return;
    }
    if (!isDirectory(after)) this.#compareFile(dirs, { name, path, was }, before, after);
    else this.#compareDirectory(dirs, { name, path, was }, before, after);
  }

  #compareFile(dirs: Dirs, { name, path, was }: Names, before: Attr | undefined, after: Attr): void {
    if (this.#isBegun(path, after)) return;
    const count = this.changes.length;
    // No program can set this time, but files that were made at once share it. Where a union numbers its inodes itself, all is compared.
    if (before?.ctimeNs !== after.ctimeNs || before.ino !== after.ino || !isSameType(before, after))
      this.#compareEntry(dirs, { name, path, was }, before, after);
    const change = this.changes.length > count ? count : undefined;
    if (after.nlink === 1 && (before?.nlink ?? 1) === 1) return;
    const file: UpperFile = {
      kind: "file",
      name,
      attr: after,
      isMetacopy: false,
      redirect: undefined,
      hasOrigin: false,
      attributes: undefined,
    };
    this.met.push({ path, file, was, before: before && isSameType(before, after) ? before : undefined, change });
  }

  #compareEntry(dirs: Dirs, { name, path, was }: Names, before: Attr | undefined, after: Attr): void {
    const at = this.#at(path, was);
    if (before === undefined) this.changes.push({ kind: "added", ...this.#at(path), after });
    else if (!isSameType(before, after)) {
      this.changes.push({ kind: "type", ...at, before, after });
      if (isDirectory(before)) this.#deleteContents(dirs.before, name, path, was);
    } else {
      const side: Side = { fd: dirs.after, name, attr: after, prefix: undefined };
      const aspects = differ(this.#below(dirs.before, name, before), side);
      if (aspects.length > 0) this.changes.push({ kind: "modified", ...at, before, after, aspects });
    }
  }

  #compareDirectory(dirs: Dirs, { name, path, was }: Names, before: Attr | undefined, after: Attr): void {
    this.#compareEntry(dirs, { name, path, was }, before, after);
    withDirectory(dirs.after, name, (inAfter) => {
      const each = (inBefore: number): void => {
        const names = new Set([...namesIn(inAfter, path), ...(inBefore < 0 ? [] : namesIn(inBefore, path))]);
        for (const child of [...names].toSorted())
          this.#compareWhole({ before: inBefore, after: inAfter }, child, join(path, child), join(was ?? path, child));
      };
      if (before !== undefined && isDirectory(before)) withDirectory(dirs.before, name, each);
      else each(-1);
    });
  }

  /** Whether it is elsewhere by now. To look a path up costs more than to know that there is none. */
  #isMoved(was: Name): boolean {
    return this.moves.sources.size > 0 && this.moves.sources.has(was);
  }

  /** Whether `begin` has written it, and nobody has changed it since. */
  #isBegun(path: Name, attr: Attr): boolean {
    // To look a path up costs more than to know that there is none.
    const noted = this.#begun.size === 0 ? undefined : this.#begun.get(path);
    return noted !== undefined && noted === String(attr.ctimeNs);
  }

  #at(path: Name, was?: Name): Place {
    const { union } = this;
    return was === undefined || was === path ? { path, union } : { path, union, was };
  }

  #below(fd: number, name: Name, attr: Attr): Side {
    const side = this.#sideBelow;
    side.fd = fd;
    side.name = name;
    side.attr = attr;
    return side;
  }

  /** A file of an open directory, or with its node that itself. */
  #inUpper(directory: OpenLater, node: UpperDirectory | UpperFile, open?: Opener): Side {
    const side = this.#sideInUpper;
    side.directory = directory;
    side.name = node.kind === "directory" ? "" : node.name;
    side.attr = node.attr;
    side.node = this.#isStacked ? undefined : node;
    side.open = open;
    return side;
  }
}

const none: readonly Aspect[] = [];

/** As ReusedSide, in a directory that is open anyway. */
interface SideBelow extends Side {
  fd: number;
  name: Name;
  attr: Attr;
}

/** The directories of both sides that have an entry, open; −1: there is none. */
interface Dirs {
  readonly before: number;
  readonly after: number;
}

interface Names {
  readonly name: Name;
  readonly path: Name;
  readonly was: Name | undefined;
}

/** Where the session's own files are read: in the upper, or where there are several in what they make together. */
export function nowOf({ frozen, upper, after }: UnionTrees): Fd {
  return frozen.length === 0 ? upper : after;
}

/** Files that were changed by one of several names have more of them in the upper: that in the index, too. */
function hasLinks({ children }: UpperDirectory): boolean {
  return children.some((child) => {
    if (child.kind === "whiteout") return false;
    return child.kind === "directory" ? hasLinks(child) : child.attr.nlink > 1;
  });
}

type Place = Pick<Change, "path" | "union"> & { readonly was?: Name };

/** A directory that says where it lies below is merged with that alone, one that doesn't as its parent is. */
function isMergedByName(here: Here, node: UpperDirectory, was: Name | undefined): boolean {
  return node.redirect === undefined ? here.isMerged : sourceOf(node.redirect, here.was) === was;
}
