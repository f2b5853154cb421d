import type { Fd } from "../../kernel/fd.ts";
import type { Known, KnownEntry, KnownInodes, KnownName, Ledger, Shown } from "../../union/known.ts";
import { Bank, deleteAll, DIRECTORY, FILE, put, putShown, readShown, valuesOf } from "./bank.ts";
import { Memory } from "./pieces.ts";
import { clearBank, headOf, type Table } from "./records.ts";

/** An open file, and how it reaches its data: see OpenModes. */
export interface KnownFile {
  readonly nodeid: number;
  /** Of open(2). */
  readonly flags: number;
  /** 0: cached. */
  readonly backingId: number;
}

/** A rename, by its names. */
interface Names {
  readonly parent: number;
  readonly name: string;
  readonly newParent: number;
  readonly newName: string;
}

/** What a rename moves, found before anything of it is done. */
interface Move extends Names {
  readonly from: KnownEntry | undefined;
  /** Of an exchange: what goes the other way. */
  readonly to: KnownEntry | undefined;
}

/**
 * Words of the head: which bank is in use, how many servers have begun a request anew, what was done last, whether a move is under way,
 * how all of this is laid out.
 */
const [ACTIVE, RETRIES, LAST, MOVING, LAYOUT] = [1, 2, 3, 4, 5];
/** Another number for each change of what lies where, here, in bank.ts and in records.ts. */
const layout = 4;
/** The same but for the times, of which it has none. */
const layoutWithoutTimes = 3;
/** What was done last of all, as far as that matters: nothing that does, a file was opened, something was moved. */
const [OTHER, OPENED, MOVED] = [0, 1, 2];
/**
 * Numbers of the head: the highest nodeid, the handle that was opened last and by which request, how many ctimes were put, and what
 * was moved last; its names are in the bytes from there on.
 */
const [HIGHEST, LAST_HANDLE, LAST_REQUEST, SHOWN, MOVE] = [4, 5, 6, 7, 8];
const MOVE_NAMES = 256;
/** A word of each bank's: its tables are being changed. */
const TORN = 2047;

const SMALL = 1 << 20;
/** Bytes of a record, with a name of up to 24. */
const TYPICAL = 64;

/**
 * What the kernel was told by all servers of a mount, in memory that outlives them: which names the nodeids stand for, which files
 * are open, and times that no layer has. It is changed before the reply is sent, so what the kernel has seen is here; a server that takes over looks up
 * what it needs when it is asked for it. A kill at any instant leaves each record as it was before or as it is after.
 */
export class Journal implements KnownInodes, Ledger {
  /** The file whose opening was the last of all that the server before did: whoever opened it may not have been told. */
  readonly lastOpened: { readonly handle: number; readonly request: number } | undefined;
  readonly #memory: Memory;
  readonly #words: Uint32Array;
  readonly #numbers: Float64Array;
  /** What the server before did last, if that is it: whoever asked for it may not have been told. */
  #lastMoved: Names | undefined;
  readonly #hasTimes: boolean;
  #bank: Bank;

  /**
   * @param file a memory file: empty, or that of the server before
   * @throws {Error} where another version of ours has laid it out: it would be taken for what it isn't
   */
  constructor(file: Fd, isNew: boolean) {
    this.#memory = new Memory(file, isNew);
    this.#words = this.#memory.head.words;
    this.#numbers = this.#memory.head.numbers;
    const found = isNew ? layout : this.#words[LAYOUT];
    if (found !== layout && found !== layoutWithoutTimes)
      throw new Error("the server before was of another version of Fallthru");
    this.#hasTimes = found === layout;
    this.#words[LAYOUT] = layout;
    this.#bank = new Bank(this.#memory, this.#active);
    if (this.#words[this.#torn] !== 0) {
      for (const table of this.#bank.tables) table.rebuild();
      this.#end();
    }
    if (this.#words[MOVING] !== 0) this.#move(this.#readMove());
    const [handle = 0, request = 0] = this.#numbers.subarray(LAST_HANDLE, LAST_REQUEST + 1);
    this.lastOpened = this.#words[LAST] === OPENED ? { handle, request } : undefined;
    this.#lastMoved = this.#words[LAST] === MOVED ? this.#readMove() : undefined;
  }

  /** A request that an earlier server had read is tried again. @returns how many servers have begun to, with this one */
  startRetry(): number {
    const count = (this.#words[RETRIES] ?? 0) + 1;
    this.#words[RETRIES] = count;
    return count;
  }

  /** It was answered. */
  endRetry(): void {
    this.#words[RETRIES] = 0;
  }

  /** How many names are known, and inodes without any. */
  get size(): number {
    return this.#bank.names.size + this.#bank.nameless.size;
  }

  get highest(): number {
    return this.#numbers[HIGHEST] ?? 0;
  }

  get(nodeid: number): KnownName | undefined {
    const { names } = this.#bank;
    const ref = names.find(nodeid);
    if (ref === 0) return undefined;
    const { a: parent, name, b: ino, kind } = names.read(ref);
    return { parent, name, ino, isDirectory: kind === DIRECTORY };
  }

  has(nodeid: number): boolean {
    return this.#bank.names.find(nodeid) !== 0 || this.#bank.nameless.find(nodeid) !== 0;
  }

  at(parent: number, name: string): KnownEntry | undefined {
    const { names } = this.#bank;
    const ref = names.findName(parent, name);
    if (ref === 0) return undefined;
    const { key: nodeid, b: ino, kind } = names.read(ref);
    return { nodeid, ino, isDirectory: kind === DIRECTORY };
  }

  nodeidOf(ino: number): number | undefined {
    const { numbers } = this.#bank;
    const ref = numbers.find(ino);
    return ref === 0 ? undefined : numbers.read(ref).a;
  }

  *nameless(): IterableIterator<readonly [number, number]> {
    const { names, nameless } = this.#bank;
    for (const ref of nameless) {
      const nodeid = nameless.keyOf(ref);
      // One that was losing or getting a name has it as long as that is there.
      if (names.find(nodeid) === 0) yield [nodeid, nameless.valueOf(ref)];
    }
  }

  /** The nodeids of all directories that have a name. */
  *directories(): IterableIterator<number> {
    const { names } = this.#bank;
    for (const ref of names) {
      const { key: nodeid, kind } = names.read(ref);
      if (kind === DIRECTORY) yield nodeid;
    }
  }

  /** By handle. */
  files(): Map<number, KnownFile> {
    const { files } = this.#bank;
    const found = new Map<number, KnownFile>();
    for (const ref of files) {
      const { key, a: nodeid, b: backingId, extra } = files.read(ref);
      found.set(key, { nodeid, flags: extra | 0, backingId });
    }
    return found;
  }

  /** What a server before has told beside the names; of times, unless they are still where the last mount has left them. */
  told(): Omit<Known, "inodes" | "pins" | "files"> & { readonly files: ReadonlyMap<number, KnownFile> } {
    const { origins, accessTimes, changeTimes } = this.#bank;
    const times = { accessTimes: valuesOf(accessTimes), changeTimes: readShown(changeTimes) };
    return { files: this.files(), origins: valuesOf(origins), ...(this.#hasTimes && times) };
  }

  place(nodeid: number, { parent, name, ino, isDirectory }: KnownName): void {
    const { names, nameless } = this.#bank;
    this.#words[LAST] = OTHER;
    // Not among the inode's names: of 65,000 links each would be compared for each.
    if (names.findName(parent, name, nodeid) !== 0) return;
    this.#begin();
    if (nodeid > this.highest) this.#numbers[HIGHEST] = nodeid;
    if (parent === 0) {
      this.#bury(nodeid, ino);
    } else {
      names.insert({ key: nodeid, a: parent, b: ino, kind: isDirectory ? DIRECTORY : FILE, name });
      if (nameless.size > 0) deleteAll(nameless, nodeid);
      if (ino !== nodeid) put(this.#bank.numbers, ino, { a: nodeid, b: 0 });
    }
    this.#end();
  }

  /** @param isExchange what stood at the new name is now at the old one */
  move(parent: number, name: string, newParent: number, newName: string, isExchange: boolean): void {
    const to = isExchange ? this.at(newParent, newName) : undefined;
    const move: Move = { parent, name, newParent, newName, from: this.at(parent, name), to };
    this.#writeMove(move);
    Atomics.store(this.#words, MOVING, 1);
    this.#move(move);
  }

  /** The last thing that the server before did was this rename: asked for again, it is done. Said once. */
  hasJustMoved(parent: number, name: string, newParent: number, newName: string): boolean {
    const last = this.#lastMoved;
    this.#lastMoved = undefined;
    return last?.parent === parent && last.name === name && last.newParent === newParent && last.newName === newName;
  }

  remove(parent: number, name: string): void {
    this.#words[LAST] = OTHER;
    const ref = this.#bank.names.findName(parent, name);
    if (ref === 0) return;
    this.#begin();
    this.#remove(ref);
    this.#end();
  }

  forget(nodeid: number): void {
    this.#words[LAST] = OTHER;
    this.#begin();
    this.#forgetNames(nodeid);
    if (this.#bank.nameless.size > 0) deleteAll(this.#bank.nameless, nodeid);
    this.#end();
  }

  /** @param request the number of that which asks for it */
  open(handle: number, { nodeid, flags, backingId }: KnownFile, request: number): void {
    this.#numbers[LAST_HANDLE] = handle;
    this.#numbers[LAST_REQUEST] = request;
    this.#words[LAST] = OPENED;
    this.#begin();
    this.#bank.files.insert({ key: handle, a: nodeid, b: backingId, extra: flags >>> 0 });
    this.#end();
  }

  close(handle: number): void {
    this.#words[LAST] = OTHER;
    this.#begin();
    deleteAll(this.#bank.files, handle);
    this.#end();
  }

  origin(upperIno: number, ino: number): void {
    this.#words[LAST] = OTHER;
    this.#put(this.#bank.origins, upperIno, ino);
  }

  // Times may be told after what an operation is known by: that stays what was done last.

  accessTime(ino: number, time: number): void {
    this.#put(this.#bank.accessTimes, ino, time);
  }

  changeTime(ino: number, shown: Shown | undefined): void {
    const { changeTimes } = this.#bank;
    this.#begin();
    const serial = (this.#numbers[SHOWN] ?? 0) + 1;
    this.#numbers[SHOWN] = serial;
    if (shown === undefined) deleteAll(changeTimes, ino);
    else putShown(changeTimes, ino, shown, serial);
    this.#end();
  }

  #put(table: Table, key: number, value: number): void {
    this.#begin();
    if (value === 0) deleteAll(table, key);
    else put(table, key, { a: 0, b: value });
    this.#end();
  }

  /**
   * Gives the room back that what doesn't count any more has taken: what does is written into the other bank.
   * @param least with fewer bytes than these a table isn't worth that
   */
  shrink(least = SMALL): void {
    if (this.#bank.tables.every(({ bytes, size }) => bytes <= least || size * TYPICAL > bytes / 2)) return;
    const [active, other] = [this.#active, 1 - this.#active];
    clearBank(this.#memory, other);
    const bank = new Bank(this.#memory, other);
    for (const [number, table] of this.#bank.tables.entries()) {
      for (const ref of table) bank.tables[number]?.insert(table.read(ref));
    }
    Atomics.store(this.#words, ACTIVE, other);
    this.#bank = bank;
    clearBank(this.#memory, active);
  }

  get #active(): number {
    return this.#words[ACTIVE] ?? 0;
  }

  get #torn(): number {
    return headOf(this.#active) + TORN;
  }

  #begin(): void {
    Atomics.store(this.#words, this.#torn, 1);
  }

  #end(): void {
    Atomics.store(this.#words, this.#torn, 0);
  }

  /** Of one that another server had begun, all that it may have done already is done again. */
  #move(move: Move): void {
    const { parent, name, newParent, newName, from, to } = move;
    const { names } = this.#bank;
    for (const [directory, each] of [[parent, name] as const, [newParent, newName] as const]) {
      const ref = names.findName(directory, each);
      this.#begin();
      if (ref !== 0) this.#remove(ref);
      this.#end();
    }
    if (from !== undefined) this.place(from.nodeid, { parent: newParent, name: newName, ...from });
    if (to !== undefined) this.place(to.nodeid, { parent, name, ...to });
    this.#words[LAST] = MOVED;
    Atomics.store(this.#words, MOVING, 0);
  }

  #writeMove({ parent, name, newParent, newName, from, to }: Move): void {
    this.#words[LAST] = OTHER;
    const sides = [from, to].flatMap((side) => [side?.nodeid ?? 0, side?.ino ?? 0, side?.isDirectory === true ? 1 : 0]);
    this.#numbers.set([parent, newParent, ...sides, name.length, newName.length], MOVE);
    this.#memory.head.bytes.write(name + newName, MOVE_NAMES, "latin1");
  }

  #readMove(): Move {
    const [parent = 0, newParent = 0, ...rest] = this.#numbers.subarray(MOVE, MOVE + 10);
    const side = (at: number): KnownEntry | undefined => {
      const [nodeid = 0, ino = 0, directory] = rest.slice(at, at + 3);
      return nodeid === 0 ? undefined : { nodeid, ino, isDirectory: directory === 1 };
    };
    const [length = 0, newLength = 0] = rest.slice(6);
    const names = this.#memory.head.bytes.toString("latin1", MOVE_NAMES, MOVE_NAMES + length + newLength);
    const [name, newName] = [names.slice(0, length), names.slice(length)];
    return { parent, name, newParent, newName, from: side(0), to: side(3) };
  }

  /** Takes a name away from the inode that has it. */
  #remove(ref: number): void {
    const { names } = this.#bank;
    const [nodeid, ino] = [names.keyOf(ref), names.valueOf(ref)];
    const isLast = names.find(nodeid) === ref && names.next(ref) === 0;
    if (isLast) this.#bury(nodeid, ino);
    else names.delete(ref);
  }

  #bury(nodeid: number, ino: number): void {
    put(this.#bank.nameless, nodeid, { a: 0, b: ino });
    this.#forgetNames(nodeid);
  }

  #forgetNames(nodeid: number): void {
    const { names, numbers } = this.#bank;
    for (let ref = names.find(nodeid); ref !== 0; ref = names.find(nodeid)) {
      const ino = names.valueOf(ref);
      if (ino !== nodeid && this.nodeidOf(ino) === nodeid) deleteAll(numbers, ino);
      names.delete(ref);
    }
  }
}
