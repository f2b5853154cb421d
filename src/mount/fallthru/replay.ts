import type { KnownName } from "../../union/known.ts";

/** An open file, and how it reaches its data: see OpenModes. */
export interface KnownFile {
  readonly nodeid: number;
  /** Of open(2). */
  readonly flags: number;
  /** 0: cached. */
  readonly backingId: number;
}

/** What the kernel knows, as a journal tells it. */
export interface Replay {
  /** By nodeid: a name of the inode; undefined where it has lost the last. The caller's from now on. */
  readonly inodes: Map<number, KnownName | undefined>;
  /** What stands at a name: also at those of a file that has several. */
  readonly at: (parent: number, name: string) => KnownName | undefined;
  /** By the upper's own numbers, the st_inos of files that have come from below. */
  readonly origins: ReadonlyMap<number, number>;
  /** By handle. */
  readonly files: ReadonlyMap<number, KnownFile>;
  /** The file whose opening is the last record: whoever opened it may not have been told. */
  readonly lastOpened: number | undefined;
}

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

/** Goes through the records of a journal, one after the other. */
export function replay(bank: Buffer, length: number): Replay {
  const names = new Names();
  const files = new Map<number, KnownFile>();
  const origins = new Map<number, number>();
  let lastOpened: number | undefined;
  for (let at = 0; at < length;) {
    const kind = bank[at++];
    const first = bank.readDoubleLE(at);
    at += 8;
    lastOpened = undefined;
    if (kind === RECORD.PLACE || kind === RECORD.PLACE_DIRECTORY) {
      const [parent, ino] = [bank.readDoubleLE(at), bank.readDoubleLE(at + 8)];
      const name = readName(bank, at + 16);
      names.place(first, { parent, name, ino, isDirectory: kind === RECORD.PLACE_DIRECTORY });
      at += 18 + name.length;
    } else if (kind === RECORD.MOVE) {
      const newParent = bank.readDoubleLE(at);
      const isExchange = bank[at + 8] === 1;
      const name = readName(bank, at + 9);
      const newName = readName(bank, at + 11 + name.length);
      names.move(first, name, newParent, newName, isExchange);
      at += 13 + name.length + newName.length;
    } else if (kind === RECORD.REMOVE) {
      const name = readName(bank, at);
      names.remove(first, name);
      at += 2 + name.length;
    } else if (kind === RECORD.FORGET) {
      names.forget(first);
    } else if (kind === RECORD.OPEN) {
      const nodeid = bank.readDoubleLE(at);
      files.set(first, { nodeid, flags: bank.readInt32LE(at + 8), backingId: bank.readUInt32LE(at + 12) });
      lastOpened = first;
      at += 16;
    } else if (kind === RECORD.ORIGIN) {
      const ino = bank.readDoubleLE(at);
      if (ino === 0) origins.delete(first);
      else origins.set(first, ino);
      at += 8;
    } else if (kind === RECORD.CLOSE) {
      files.delete(first);
    } else {
      throw new Error(`the journal has a record of kind ${String(kind)} at ${at - 9}`);
    }
  }
  const at = (parent: number, name: string): KnownName | undefined => names.known(parent, name);
  return { inodes: names.inodes, at, origins, files, lastOpened };
}

function readName(bank: Buffer, at: number): string {
  return bank.toString("latin1", at + 2, at + 2 + bank.readUInt16LE(at));
}

/** Names and inodes both ways, as operations change them. */
class Names {
  /** By nodeid: the name that was told last; undefined where none is left. */
  readonly inodes = new Map<number, KnownName | undefined>();
  /** By nodeid: further names, of the few that have several. */
  readonly #others = new Map<number, KnownName[]>();
  readonly #children = new Map<number, Map<string, number>>();

  place(nodeid: number, known: KnownName): void {
    if (known.parent === 0) {
      this.inodes.set(nodeid, undefined);
      return;
    }
    if (this.#at(known.parent, known.name) === nodeid) return;
    const before = this.inodes.get(nodeid);
    if (before !== undefined) this.#others.set(nodeid, [...(this.#others.get(nodeid) ?? []), before]);
    this.inodes.set(nodeid, known);
    this.#put(known.parent, known.name, nodeid);
  }

  move(parent: number, name: string, newParent: number, newName: string, isExchange: boolean): void {
    const [from, to] = [this.#take(parent, name), this.#take(newParent, newName)];
    if (from !== undefined) this.place(from.nodeid, { ...from.known, parent: newParent, name: newName });
    if (isExchange && to !== undefined) this.place(to.nodeid, { ...to.known, parent, name });
  }

  remove(parent: number, name: string): void {
    this.#take(parent, name);
  }

  forget(nodeid: number): void {
    for (const { parent, name } of this.#namesOf(nodeid)) this.#children.get(parent)?.delete(name);
    this.inodes.delete(nodeid);
    this.#others.delete(nodeid);
    if (this.#children.get(nodeid)?.size === 0) this.#children.delete(nodeid);
  }

  known(parent: number, name: string): KnownName | undefined {
    const nodeid = this.#at(parent, name);
    if (nodeid === undefined) return undefined;
    return this.#namesOf(nodeid).find((known) => known.parent === parent && known.name === name);
  }

  /** The one that was told last is the last. */
  #namesOf(nodeid: number): KnownName[] {
    const last = this.inodes.get(nodeid);
    return last === undefined ? [] : [...(this.#others.get(nodeid) ?? []), last];
  }

  #at(parent: number, name: string): number | undefined {
    return this.#children.get(parent)?.get(name);
  }

  #put(parent: number, name: string, nodeid: number): void {
    let children = this.#children.get(parent);
    if (children === undefined) {
      children = new Map();
      this.#children.set(parent, children);
    }
    children.set(name, nodeid);
  }

  /** Takes a name away from the inode that has it. */
  #take(parent: number, name: string): { nodeid: number; known: KnownName } | undefined {
    const nodeid = this.#at(parent, name);
    if (nodeid === undefined) return undefined;
    this.#children.get(parent)?.delete(name);
    const names = this.#namesOf(nodeid);
    const at = names.findIndex((known) => known.parent === parent && known.name === name);
    const [taken] = at === -1 ? [] : names.splice(at, 1);
    this.inodes.set(nodeid, names.pop());
    if (names.length > 0) this.#others.set(nodeid, names);
    else this.#others.delete(nodeid);
    return { nodeid, known: taken ?? { parent, name, ino: nodeid, isDirectory: false } };
  }
}
