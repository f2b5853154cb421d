import { E } from "../../kernel/abi/errno.ts";
import { fail, linkName, must, type Name } from "../../kernel/at.ts";
import { type Attr, isDirectory } from "../../kernel/file.ts";
import { listDirectory } from "../../kernel/io.ts";
import { copyEntry, readOriginal } from "../../layer/copyup.ts";
import { attrAt, openDirectoryAt, withDirectory } from "./below.ts";
import type { Entry } from "./content.ts";
import { directoryOf, identityOf, join, nameOf } from "./names.ts";
import { readChanges } from "./read.ts";
import type { Change, UnionTrees } from "./types.ts";

/** Brings back what is below a session: a file with several names as one file, not as a copy for each. */
export class Originals {
  readonly #tree: UnionTrees;
  /** How many names of each file are brought back. */
  readonly #count = new Map<string, number>();
  /** A name at which a file is as it was. */
  readonly #known = new Map<string, { readonly path: Name; readonly identity: string }>();
  #others: ReadonlyMap<string, readonly Name[]> | undefined;
  #changed: ReadonlySet<Name> | undefined;

  constructor(tree: UnionTrees, wanted: readonly Change[]) {
    this.#tree = tree;
    for (const change of wanted) {
      if (change.kind === "added" || !isLinked(change.before)) continue;
      const identity = identityOf(change.before);
      this.#count.set(identity, (this.#count.get(identity) ?? 0) + 1);
      const there = change.kind === "modified" && !isOtherFile(change) ? attrAt(tree.after, change.path) : undefined;
      // It stays, and gets its attributes back.
      if (there !== undefined) this.#known.set(identity, { path: change.path, identity: identityOf(there) });
    }
  }

  /** Makes what is below at `was` under a name that is free; @param path where it will be */
  bring(was: Name, before: Attr, to: Entry, path: Name): void {
    const there = isLinked(before) ? this.#find(before) : undefined;
    if (there === undefined) copyFromBelow(this.#tree, was, to);
    else {
      using directory = openDirectoryAt(this.#tree.after, directoryOf(there));
      if (directory === undefined) return fail("open", there, -E.NOENT);
      must("link", path, linkName(directory.number, nameOf(there), to.fd, to.name));
    }
    if (!isLinked(before)) return;
    const made = attrAt(this.#tree.after, join(directoryOf(path), to.name));
    if (made !== undefined) this.#known.set(identityOf(before), { path, identity: identityOf(made) });
  }

  /**
   * Names that are as they were, of files some of whose names were brought back, where these aren't one file by now: a union that
   * keeps no index parts a name from the others when something is linked to it.
   * @returns each with a name of the file that it was
   */
  *parted(): Generator<readonly [path: Name, of: Name]> {
    for (const [original, { path, identity }] of this.#known)
      for (const name of this.#others?.get(original) ?? []) {
        const attr = this.#changed?.has(name) === true ? undefined : attrAt(this.#tree.after, name);
        if (attr !== undefined && identityOf(attr) !== identity) yield [name, path];
      }
  }

  /** Another name of it in the session, at which nothing was changed, or that was brought back already. */
  #find(before: Attr): Name | undefined {
    const known = this.#known.get(identityOf(before));
    const found = known && attrAt(this.#tree.after, known.path);
    if (known !== undefined && found !== undefined && identityOf(found) === known.identity) return known.path;
    const isAll = (this.#count.get(identityOf(before)) ?? 0) >= before.nlink;
    if (isAll) return undefined;
    this.#others ??= this.#search();
    this.#changed ??= new Set(readChanges([this.#tree]).map(({ path }) => path));
    const changed = this.#changed;
    return this.#others
      .get(identityOf(before))
      ?.find((path) => !changed.has(path) && attrAt(this.#tree.after, path)?.size === before.size);
  }

  /** All names below of files of which not all are brought back: nothing leads from one name to another. */
  #search(): ReadonlyMap<string, readonly Name[]> {
    const found = new Map<string, Name[]>();
    const descend = (fd: number, path: Name): void => {
      const [directories, files]: [Name[], Name[]] = [[], []];
      const result = listDirectory(fd, (name, _high, _low, type) => {
        if (name === "." || name === "..") return;
        (type === DT_DIR || type === DT_UNKNOWN ? directories : files).push(name);
      });
      if (result < 0) fail("readdir", path, result);
      for (const name of [...files, ...directories]) {
        const attr = attrAt(this.#tree.before, join(path, name));
        if (attr === undefined) continue;
        if (isDirectory(attr)) withDirectory(fd, name, (below) => descend(below, join(path, name)));
        else if (this.#count.has(identityOf(attr)))
          found.set(identityOf(attr), [...(found.get(identityOf(attr)) ?? []), join(path, name)]);
      }
    };
    withDirectory(this.#tree.before.number, ".", (fd) => descend(fd, ""));
    return found;
  }
}

/** Whether a change is taken back by another file in its place. */
export function isOtherFile({ aspects }: Change & { kind: "modified" | "renamed" }): boolean {
  return aspects.some((aspect) => ["content", "target", "device", "links"].includes(aspect));
}

const DT_UNKNOWN = 0;
const DT_DIR = 4;

function isLinked(attr: Attr): boolean {
  return attr.nlink > 1 && !isDirectory(attr);
}

function copyFromBelow(tree: UnionTrees, was: Name, to: Entry): void {
  using below = openDirectoryAt(tree.before, directoryOf(was));
  if (below === undefined) return fail("open", was, -E.NOENT);
  const from = { fd: below.number, name: nameOf(was) };
  const original = readOriginal(from);
  const { prefix } = tree.dialect;
  copyEntry(original, from, to, {
    content: { ...from, upTo: original.size, isSynced: false },
    ownUid: process.geteuid?.() ?? 0,
    ownGid: process.getegid?.() ?? 0,
    hasOwners: true,
    isPrivate: (attribute) => tree.isBeforeRaw && prefix !== undefined && attribute.startsWith(prefix),
    mark: () => {},
  });
}
