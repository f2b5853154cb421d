import type { KnownInodes, KnownName } from "../../union/known.ts";

/** The kinds of records; journal.ts writes them, replay() reads them. */
export const RECORD = {
  PLACE: 1,
  MOVE: 2,
  REMOVE: 3,
  FORGET: 4,
  OPEN: 5,
  CLOSE: 6,
  PLACE_DIRECTORY: 7,
  ORIGIN: 8,
} as const;

/** What a slot of a table says whose entry was taken away: who looks for another one goes on. */
const GONE = -1;

/** What a record takes at least for each name that it tells: one of MOVE, of two names of one byte each, and its exchange. */
const FEWEST_BYTES = 12;
const FEWEST_BYTES_OF_INODE = 27;

/**
 * Names and inodes both ways, as operations change them. The kernel waits meanwhile, and may know a million: an object for
 * each would take most of a second. So they are numbers, in the order in which they were told; a name itself stays where it
 * is written, and is read when somebody asks for it.
 */
export class Names implements KnownInodes {
  view: DataView;
  highest = 0;
  #bank: Buffer;
  /** Of the inode that has the name; 0: it has none any more. */
  #nodeid: Float64Array;
  #parent: Float64Array;
  #ino: Float64Array;
  /** Where the name is in the bank: its length and its bytes. */
  #name: Uint32Array;
  #isDirectory: Uint8Array;
  /** The name of the same inode that was told before, or -1. */
  #before: Int32Array;
  #told = 0;
  /** By nodeid, by open addressing: 1 + the name that was told last; 0: none. */
  #last: Int32Array;
  /** By parent and name: likewise. Made when somebody asks by name, which a walk over a tree doesn't. */
  #names: Int32Array | undefined;
  readonly #nameless = new Set<number>();
  /** Those of which the nodeid alone doesn't say all. */
  readonly #apart: number[] = [];
  #known = 0;

  /** @param bank isn't changed as long as this is used; records fill `length` bytes of it */
  constructor(bank: Buffer, length: number) {
    const most = Math.ceil(length / FEWEST_BYTES);
    this.#bank = bank;
    this.view = new DataView(bank.buffer, bank.byteOffset, length);
    this.#nodeid = new Float64Array(most);
    this.#parent = new Float64Array(most);
    this.#ino = new Float64Array(most);
    this.#name = new Uint32Array(most);
    this.#isDirectory = new Uint8Array(most);
    this.#before = new Int32Array(most);
    this.#last = slotsFor(length / FEWEST_BYTES_OF_INODE);
  }

  /** How many inodes are known, nameless ones too. */
  get size(): number {
    return this.#known;
  }

  /** What is behind a name in the bank. */
  endOf(name: number): number {
    return name + 2 + this.view.getUint16(name, true);
  }

  /** @param name where it is in the bank @param parent 0: the inode has no name */
  place(nodeid: number, parent: number, name: number, ino: number, isDirectory: boolean): void {
    if (nodeid > this.highest) this.highest = nodeid;
    const slot = this.#slotOf(nodeid);
    const last = (this.#last[slot] ?? 0) - 1;
    if (parent === 0) {
      this.forget(nodeid);
      this.#bury(nodeid);
      return;
    }
    for (let at = last; at >= 0; at = this.#before[at] ?? -1) if (this.#isAt(at, parent, name)) return;
    if (last < 0 && !this.#unbury(nodeid)) this.#known++;
    const at = this.#told++;
    this.#nodeid[at] = nodeid;
    this.#parent[at] = parent;
    this.#ino[at] = ino;
    this.#name[at] = name;
    this.#before[at] = last;
    this.#last[slot] = at + 1;
    if (isDirectory) this.#isDirectory[at] = 1;
    if (isDirectory || ino !== nodeid) this.#apart.push(at);
    if (this.#names !== undefined) this.#enter(this.#names, at);
  }

  /** @param isExchange what stood at the new name is now at the old one */
  move(parent: number, name: number, newParent: number, newName: number, isExchange: boolean): void {
    const [from, to] = [this.remove(parent, name), this.remove(newParent, newName)];
    if (from !== undefined) this.place(from.nodeid, newParent, newName, from.ino, from.isDirectory);
    if (isExchange && to !== undefined) this.place(to.nodeid, parent, name, to.ino, to.isDirectory);
  }

  /** Takes a name away from the inode that has it. @returns which that is */
  remove(parent: number, name: number): { nodeid: number; ino: number; isDirectory: boolean } | undefined {
    const slots = this.#byName();
    const slot = this.#slotOfName(slots, parent, name);
    const taken = (slots[slot] ?? 0) - 1;
    if (taken < 0) return undefined;
    slots[slot] = GONE;
    const nodeid = this.#nodeid[taken] ?? 0;
    const before = this.#before[taken] ?? -1;
    const slotOfLast = this.#slotOf(nodeid);
    const last = (this.#last[slotOfLast] ?? 0) - 1;
    if (last !== taken) {
      let next = last;
      while (this.#before[next] !== taken) next = this.#before[next] ?? -1;
      this.#before[next] = before;
    } else if (before >= 0) {
      this.#last[slotOfLast] = before + 1;
    } else {
      this.#last[slotOfLast] = GONE;
      this.#known--;
      this.#bury(nodeid);
    }
    this.#nodeid[taken] = 0;
    return { nodeid, ino: this.#ino[taken] ?? 0, isDirectory: this.#isDirectory[taken] === 1 };
  }

  /** @returns whether it was known */
  forget(nodeid: number): boolean {
    const slot = this.#slotOf(nodeid);
    const last = (this.#last[slot] ?? 0) - 1;
    if (last < 0 && !this.#unbury(nodeid)) return false;
    if (last >= 0) this.#last[slot] = GONE;
    for (let at = last; at >= 0; at = this.#before[at] ?? -1) {
      if (this.#names !== undefined) this.#leave(this.#names, at);
      this.#nodeid[at] = 0;
    }
    this.#known--;
    return true;
  }

  delete(nodeid: number): boolean {
    const wasKnown = this.forget(nodeid);
    if (wasKnown && this.#known === 0) this.#free();
    return wasKnown;
  }

  get(nodeid: number): KnownName | undefined {
    const last = (this.#last[this.#slotOf(nodeid)] ?? 0) - 1;
    return last < 0 ? undefined : this.#read(last);
  }

  /** What stands at a name: what was told last of it. */
  at(parent: number, name: string): KnownName | undefined {
    for (let at = this.#told - 1; at >= 0; at--) {
      if (this.#nodeid[at] === 0 || this.#parent[at] !== parent) continue;
      const known = this.#read(at);
      if (known.name === name) return known;
    }
    return undefined;
  }

  *[Symbol.iterator](): IterableIterator<[number, KnownName | undefined]> {
    for (let at = 0; at < this.#told; at++) {
      const nodeid = this.#nodeid[at] ?? 0;
      if (nodeid !== 0 && this.#last[this.#slotOf(nodeid)] === at + 1) yield [nodeid, this.#read(at)];
    }
    for (const nodeid of this.#nameless) yield [nodeid, undefined];
  }

  *apart(): IterableIterator<[number, KnownName | undefined]> {
    for (const at of this.#apart) {
      const nodeid = this.#nodeid[at] ?? 0;
      if (nodeid !== 0) yield [nodeid, this.#read(at)];
    }
    for (const nodeid of this.#nameless) yield [nodeid, undefined];
  }

  #bury(nodeid: number): void {
    this.#nameless.add(nodeid);
    this.#known++;
  }

  #unbury(nodeid: number): boolean {
    return this.#nameless.size > 0 && this.#nameless.delete(nodeid);
  }

  #read(at: number): KnownName {
    const from = this.#name[at] ?? 0;
    const name = this.#bank.toString("latin1", from + 2, this.endOf(from));
    return { parent: this.#parent[at] ?? 0, name, ino: this.#ino[at] ?? 0, isDirectory: this.#isDirectory[at] === 1 };
  }

  #isAt(at: number, parent: number, name: number): boolean {
    if (this.#parent[at] !== parent) return false;
    let other = this.#name[at] ?? 0;
    for (let byte = name, end = this.endOf(name); byte < end; byte++, other++) {
      if (this.#bank[byte] !== this.#bank[other]) return false;
    }
    return true;
  }

  /** Where the inode is in the table, or would be. */
  #slotOf(nodeid: number): number {
    const slots = this.#last;
    const mask = slots.length - 1;
    let free = -1;
    for (let slot = mix(nodeid) & mask; ; slot = (slot + 1) & mask) {
      const at = slots[slot] ?? 0;
      if (at === 0) return free < 0 ? slot : free;
      if (at === GONE) free = free < 0 ? slot : free;
      else if (this.#nodeid[at - 1] === nodeid) return slot;
    }
  }

  /** As #slotOf(). */
  #slotOfName(slots: Int32Array, parent: number, name: number): number {
    const mask = slots.length - 1;
    let hash = mix(parent);
    for (let byte = name + 2, end = this.endOf(name); byte < end; byte++) {
      hash = Math.imul(hash ^ (this.#bank[byte] ?? 0), 0x01000193); // FNV-1a
    }
    hash ^= hash >>> 15;
    let free = -1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const at = slots[slot] ?? 0;
      if (at === 0) return free < 0 ? slot : free;
      if (at === GONE) free = free < 0 ? slot : free;
      else if (this.#isAt(at - 1, parent, name)) return slot;
    }
  }

  #byName(): Int32Array {
    if (this.#names === undefined) {
      this.#names = slotsFor(this.#nodeid.length);
      for (let at = 0; at < this.#told; at++) if (this.#nodeid[at] !== 0) this.#enter(this.#names, at);
    }
    return this.#names;
  }

  #enter(names: Int32Array, at: number): void {
    names[this.#slotOfName(names, this.#parent[at] ?? 0, this.#name[at] ?? 0)] = at + 1;
  }

  #leave(names: Int32Array, at: number): void {
    const slot = this.#slotOfName(names, this.#parent[at] ?? 0, this.#name[at] ?? 0);
    if (names[slot] === at + 1) names[slot] = GONE;
  }

  /** Nobody will be told of again: the memory goes back. */
  #free(): void {
    const none = new Names(Buffer.alloc(0), 0);
    this.view = none.view;
    this.#bank = none.#bank;
    this.#nodeid = none.#nodeid;
    this.#parent = none.#parent;
    this.#ino = none.#ino;
    this.#name = none.#name;
    this.#isDirectory = none.#isDirectory;
    this.#before = none.#before;
    this.#last = none.#last;
    this.#names = undefined;
    this.#told = 0;
    this.#apart.length = 0;
  }
}

/** A table of which at most half is filled. */
function slotsFor(most: number): Int32Array {
  return new Int32Array(2 ** Math.ceil(Math.log2(2 * most + 1)));
}

function mix(number: number): number {
  const hash = Math.imul((number | 0) ^ Math.imul((number / 2 ** 32) | 0, 0x9e3779b1), 0x85ebca6b);
  return hash ^ (hash >>> 15);
}
