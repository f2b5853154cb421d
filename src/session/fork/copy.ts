import { FS_APPEND_FL, FS_IMMUTABLE_FL, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, O, S } from "../../kernel/abi/file.ts";
import { E } from "../../kernel/abi/errno.ts";
import {
  bytesOf,
  chmodName,
  chownName,
  closeFd,
  linkName,
  must,
  type Name,
  openName,
  stat,
  statName,
  unlinkName,
  utimesName,
} from "../../kernel/at.ts";
import { isErrno } from "../../kernel/error.ts";
import { Fd } from "../../kernel/fd.ts";
import { attributeName, control, listDirectory, listXattrsOfFd, removeXattr } from "../../kernel/io.ts";
import { copyAttributes } from "../../layer/attributes.ts";
import { copyEntry, heldOriginal, type Original, readOriginal } from "../../layer/copyup.ts";
import { removeTree } from "../../layer/remove.ts";
import { compileEarlier } from "../long.ts";
import { pause } from "../pause.ts";

/** Two open directories, of which the second is to become as the first is. */
export interface CopyPair {
  readonly from: Fd;
  readonly to: Fd;
  /** Whether its own attributes are copied, too: not of what is only a place for what is in it. */
  readonly isWhole: boolean;
}

/** So often what has changed meanwhile is copied again; after that it is changing faster than it can be copied. */
const usualPatience = 8;

/** File systems stamp what changes with the time of their clock's last tick. */
const tickMs = 10;

/**
 * Copies trees attribute by attribute, in which others may write meanwhile: after it everything is looked at again, and
 * what has changed is copied anew. Where nothing has, the copy is what was there at one moment: between the end
 * of the one look and the beginning of the next. Hard links are kept, over all the trees.
 * @param hasOwners whether the copy's file system has owners and modes
 * @returns how many entries went on changing until patience was over
 */
export function copyTrees(pairs: readonly CopyPair[], hasOwners: boolean, patience = usualPatience): number {
  compileEarlier();
  // Modes are what the originals' are.
  const umask = process.umask(0);
  try {
    return copyUntilSame(pairs, hasOwners, patience);
  } finally {
    process.umask(umask);
  }
}

function copyUntilSame(pairs: readonly CopyPair[], hasOwners: boolean, patience: number): number {
  const known = pairs.map((pair) => ({ pair, entries: new Map<Name, Known>() }));
  for (let look = 0; ; look++) {
    const pass = new Pass(hasOwners);
    for (const { pair, entries } of known) pass.copyRoot(pair, entries);
    if ((look > 0 && pass.changed === 0) || look >= patience) {
      pass.protect();
      return pass.changed;
    }
    pause(tickMs);
  }
}

/** What an entry was when it was copied. */
interface Known {
  readonly ino: number;
  readonly type: number;
  readonly ctime: number;
  readonly ctimeNsec: number;
  readonly entries: Map<Name, Known>;
}

/** Of what is no directory. */
const noEntries: Known["entries"] = new Map();

/** A directory that is being copied. */
interface Place {
  readonly from: number;
  readonly to: number;
  /** From the tree's top, with a slash behind it where it isn't the top. */
  readonly path: Name;
  readonly roots: CopyPair;
}

/** One look at all that is to be copied. */
class Pass {
  /** How many entries were not as they had been. */
  changed = 0;
  readonly #hasOwners: boolean;
  /** By the numbers of inodes with several names: the first of them, in the copy. */
  readonly #links = new Map<string, { readonly root: number; readonly path: Name }>();
  /** Immutable and append-only ones: until all is done they would keep us from going on. */
  readonly #protected: { readonly roots: CopyPair; readonly path: Name }[] = [];

  constructor(hasOwners: boolean) {
    this.#hasOwners = hasOwners;
  }

  copyRoot(roots: CopyPair, known: Known["entries"]): void {
    const [from, to] = [roots.from.number, roots.to.number];
    const original = readOriginal({ fd: from, name: "" });
    this.#copyContents({ from, to, path: "", roots }, known);
    if (!roots.isWhole) return;
    this.#setAttributes(from, to, original, (name) => /\.overlay\.(origin|uuid)$/.test(name));
    must("utimes", "", utimesName(to, "", original.atime, original.mtime));
  }

  protect(): void {
    for (const { roots, path } of this.#protected) copyMarks(roots, path);
  }

  #copyContents(place: Place, known: Known["entries"]): void {
    const names = new Set(namesIn(place.from));
    for (const name of [...known.keys()].filter((each) => !names.has(each))) {
      this.changed++;
      remove(place, name);
      known.delete(name);
    }
    for (const name of names) {
      try {
        this.#copyOne(place, name, known);
      } catch (error) {
        // It was renamed or deleted meanwhile, or is another kind of thing now.
        if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EISDIR")) throw error;
        this.changed++;
        remove(place, name);
        known.delete(name);
      }
    }
  }

  #copyOne(place: Place, name: Name, all: Known["entries"]): void {
    must("stat", name, statName(place.from, name));
    const { ino, type, nlink, ctime, ctimeNsec, isProtected } = stat;
    const path = `${place.path}${name}`;
    // Only these carry marks; opening anything else could have effects of its own.
    if (isProtected && (type === S.IFREG || type === S.IFDIR)) this.#protected.push({ roots: place.roots, path });
    const known = all.get(name);
    const isThere = known?.ino === ino && known.type === type;
    const isSame = isThere && known.ctime === ctime && known.ctimeNsec === ctimeNsec;
    // Nearly all, when they are looked at again.
    if (isSame && type !== S.IFDIR && nlink === 1) return;
    const original = heldOriginal();
    const inode = `${stat.device}:${ino}`;
    if (!isSame) this.changed++;
    if (!isThere || (!isSame && type !== S.IFDIR)) {
      if (known !== undefined) remove(place, name);
      const first = nlink > 1 && type !== S.IFDIR ? this.#links.get(inode) : undefined;
      if (first === undefined) this.#copy(place, name, original);
      else must("link", name, linkName(first.root, first.path, place.to, name));
    }
    const entries = isThere ? known.entries : type === S.IFDIR ? new Map<Name, Known>() : noEntries;
    all.set(name, { ino, type, ctime, ctimeNsec, entries });
    if (type === S.IFDIR) this.#copyDirectory(place, name, original, { entries, isOutdated: isThere && !isSame });
    else if (nlink > 1 && !this.#links.has(inode)) this.#links.set(inode, { root: place.roots.to.number, path });
  }

  #copyDirectory(
    place: Place,
    name: Name,
    original: Original,
    { entries, isOutdated }: { readonly entries: Known["entries"]; readonly isOutdated: boolean },
  ): void {
    const flags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW;
    const from = must("open", name, openName(place.from, name, flags | O.NOATIME));
    const to = openName(place.to, name, flags);
    try {
      must("open", name, to);
      const before = this.changed;
      this.#copyContents({ ...place, from, to, path: `${place.path}${name}/` }, entries);
      if (isOutdated) this.#setAttributes(from, to, original, () => false);
      const isTouched = this.changed !== before || isOutdated;
      // What was put into it has changed its times.
      if (isTouched) must("utimes", name, utimesName(to, "", original.atime, original.mtime));
    } finally {
      closeFd(from);
      if (to >= 0) closeFd(to);
    }
  }

  /** Of a directory that has some already. */
  #setAttributes(from: number, to: number, original: Original, skip: (name: Name) => boolean): void {
    for (const name of attributesOf(to)) removeXattr(to, "", attributeName(name));
    if (this.#hasOwners) {
      must("chown", "", chownName(to, "", original.uid, original.gid));
      must("chmod", "", chmodName(to, "", original.mode));
    }
    copyAttributes({ fd: from, name: "" }, { fd: to, name: "", open: -1 }, skip);
  }

  #copy({ from, to }: Place, name: Name, original: Original): void {
    copyEntry(
      original,
      { fd: from, name },
      { fd: to, name },
      {
        content: { fd: from, name, upTo: original.size, isSynced: false },
        ownUid: 0,
        ownGid: 0,
        hasOwners: this.#hasOwners,
        isPrivate: () => false,
        mark: () => {},
      },
    );
  }
}

function namesIn(fd: number): Name[] {
  const names: Name[] = [];
  const result = listDirectory(fd, (name) => {
    if (name !== "." && name !== "..") names.push(name);
  });
  must("readdir", "", result);
  return names;
}

/** Takes away what the copy has of a name. */
function remove({ to }: Place, name: Name): void {
  const result = unlinkName(to, name);
  if (result !== 0 && result !== -E.NOENT) removeTree(new Fd(to, "the copy"), bytesOf(name));
}

const list = Buffer.alloc(65536);

function attributesOf(fd: number): Name[] {
  const length = listXattrsOfFd(fd, list);
  return length <= 0
    ? []
    : list
        .toString("latin1", 0, length)
        .split("\0")
        .filter((name) => name !== "");
}

/** chattr(1)'s. */
function copyMarks({ from, to }: CopyPair, path: Name): void {
  const [flags, own] = [Buffer.alloc(8), Buffer.alloc(8)];
  const source = openName(from.number, path, O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
  const target = openName(to.number, path, O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
  // Where the copy's file system has none, they are lost, as with any copy.
  const isRead = [source, target].every(
    (fd, at) => fd >= 0 && control(fd, FS_IOC_GETFLAGS, at === 0 ? flags : own) >= 0,
  );
  if (isRead) {
    own.writeInt32LE(own.readInt32LE(0) | (flags.readInt32LE(0) & (FS_IMMUTABLE_FL | FS_APPEND_FL)), 0);
    control(target, FS_IOC_SETFLAGS, own);
  }
  for (const fd of [source, target]) if (fd >= 0) closeFd(fd);
}
