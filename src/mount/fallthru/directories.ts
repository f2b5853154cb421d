import type { DirectoryWriter } from "../../fuse/wire/dirent.ts";
import type { Entry, Name } from "../../fuse/wire/types.ts";
import type { Union } from "../../union/union.ts";

/** A directory's entries in the order of their offsets, which depend on the names alone. */
interface Listing {
  readonly entries: readonly ListedEntry[];
}

interface ListedEntry {
  readonly name: Name;
  readonly ino: number;
  readonly type: number;
  /** Where reading goes on behind it. */
  readonly offset: number;
}

/** Of how many directories the entries are remembered between two requests. */
const remembered = 64;

/**
 * Reads directories without opening them: the kernel sends neither OPENDIR nor RELEASEDIR, and answers most of its
 * readers from what it has cached. An entry's offset is a hash of its name, so it stays the same whatever else is added
 * or removed, for telldir(3) and for a server that takes over, too.
 */
export class Directories {
  readonly #union: Union;
  /** By nodeid, the one that was used last at the end. */
  readonly #listings = new Map<number, Listing>();

  constructor(union: Union) {
    this.#union = union;
  }

  /** @param lookUp for readdirplus; @returns how many entries the writer has taken */
  read(nodeid: number, offset: number, writer: DirectoryWriter, lookUp?: (name: Name) => Entry | undefined): number {
    const { entries } = this.#listing(nodeid, offset);
    const first = offset === 0 ? 0 : firstBehind(entries, offset);
    for (let at = first; at < entries.length; at++) {
      const entry = entries[at];
      if (entry === undefined) return at - first;
      const { name, ino, type, offset: next } = entry;
      if (lookUp === undefined) {
        if (!writer.add(name, ino, type, next)) return at - first;
      } else {
        if (!writer.hasRoomForEntry(name.length)) return at - first;
        writer.addEntry(name, ino, type, next, lookUp(name));
      }
    }
    return entries.length - first;
  }

  forget(nodeid: number): void {
    this.#listings.delete(nodeid);
  }

  /** Who reads from the beginning wants the directory as it is; who goes on, as it was then, where that is still known. */
  #listing(nodeid: number, offset: number): Listing {
    const known = this.#listings.get(nodeid);
    this.#listings.delete(nodeid);
    const listing = known === undefined || offset === 0 ? this.#list(nodeid) : known;
    this.#listings.set(nodeid, listing);
    if (this.#listings.size > remembered) {
      const [oldest] = this.#listings.keys();
      if (oldest !== undefined) this.#listings.delete(oldest);
    }
    return listing;
  }

  #list(nodeid: number): Listing {
    const { names, inos, types } = this.#union.readdir(nodeid);
    const entries = names.map((name, at): ListedEntry => ({
      name,
      ino: inos[at] ?? 0,
      type: types[at] ?? 0,
      offset: offsetOf(name),
    }));
    return { entries: entries.toSorted((a, b) => a.offset - b.offset) };
  }
}

/** From 1 to 2**51; `.` and `..` come first. Two 32-bit FNV-1a hashes make up one of 50 bits. */
function offsetOf(name: Name): number {
  if (name === ".") return 1;
  if (name === "..") return 2;
  let [a, b] = [0x811c9dc5, 0x01000193];
  for (let at = 0; at < name.length; at++) {
    const byte = name.charCodeAt(at);
    a = Math.imul(a ^ byte, 0x01000193);
    b = Math.imul(b ^ byte, 0x5bd1e995) ^ (b >>> 15);
  }
  return 3 + (a >>> 0) * 0x4_0000 + (b >>> 14);
}

/** The place of the first entry whose offset is greater. */
function firstBehind(entries: readonly ListedEntry[], offset: number): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle]?.offset ?? Infinity) <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
