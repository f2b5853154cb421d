import type { Fd } from "../../kernel/fd.ts";
import { allocate } from "../../kernel/io.ts";
import { mapFile, resizeFile } from "../../kernel/memory.ts";
import type { KnownName } from "../../union/known.ts";
import { RECORD } from "./names.ts";
import { type KnownFile, replay, type Replay } from "./replay.ts";

/**
 * Page 0, in words of 32 bits, each written in one step: which of two banks is in use; for each, on which page it begins,
 * how many it has, and how many bytes of it are filled.
 */
const PAGE = 4096;
const [ACTIVE, RETRIES, BANKS] = [0, 1, 2];
const FIRST_SIZE = 4 << 20;

const FALLOC_FL_PUNCH_HOLE = 3; // with FALLOC_FL_KEEP_SIZE; include/uapi/linux/falloc.h

interface Bank {
  readonly offset: number;
  readonly size: number;
  readonly length: number;
}

/**
 * What the kernel was told by a server, in memory that outlives it: which names the nodeids stand for, and which files are
 * open. A record is written before its reply, so what the kernel has seen is here. When a bank is full, what still counts
 * is written into the other one.
 */
export class Journal {
  readonly #file: Fd;
  readonly #head: Uint32Array;
  #bank: Buffer;
  #active: number;
  #at: number;

  /** @param file a memory file: empty, or that of the server before */
  constructor(file: Fd, isNew: boolean) {
    this.#file = file;
    if (isNew) resizeFile(file, PAGE + FIRST_SIZE);
    this.#head = new Uint32Array(mapFile(file, 0, PAGE).buffer);
    if (isNew) this.#describe(0, { offset: PAGE, size: FIRST_SIZE, length: 0 });
    this.#active = this.#head[ACTIVE] ?? 0;
    const { offset, size, length } = this.#described(this.#active);
    this.#bank = mapFile(file, offset, size);
    this.#at = length;
  }

  /** A request that an earlier server had read is tried again. @returns how many servers have begun to, with this one */
  startRetry(): number {
    const count = (this.#head[RETRIES] ?? 0) + 1;
    this.#head[RETRIES] = count;
    return count;
  }

  /** It was answered. */
  endRetry(): void {
    this.#head[RETRIES] = 0;
  }

  place(nodeid: number, { parent, name, ino, isDirectory }: KnownName): void {
    this.#begin(isDirectory ? RECORD.PLACE_DIRECTORY : RECORD.PLACE, nodeid, 18 + name.length);
    this.#number(parent);
    this.#number(ino);
    this.#name(name);
    this.#end();
  }

  /** @param isExchange what stood at the new name is now at the old one */
  move(parent: number, name: string, newParent: number, newName: string, isExchange: boolean): void {
    this.#begin(RECORD.MOVE, parent, 13 + name.length + newName.length);
    this.#number(newParent);
    this.#at = this.#bank.writeUInt8(isExchange ? 1 : 0, this.#at);
    this.#name(name);
    this.#name(newName);
    this.#end();
  }

  remove(parent: number, name: string): void {
    this.#begin(RECORD.REMOVE, parent, 2 + name.length);
    this.#name(name);
    this.#end();
  }

  forget(nodeid: number): void {
    this.#begin(RECORD.FORGET, nodeid, 0);
    this.#end();
  }

  open(handle: number, { nodeid, flags, backingId }: KnownFile): void {
    this.#begin(RECORD.OPEN, handle, 16);
    this.#number(nodeid);
    this.#at = this.#bank.writeInt32LE(flags | 0, this.#at);
    this.#at = this.#bank.writeUInt32LE(backingId, this.#at);
    this.#end();
  }

  close(handle: number): void {
    this.#begin(RECORD.CLOSE, handle, 0);
    this.#end();
  }

  /** @param ino 0: there is no such file any more */
  origin(upperIno: number, ino: number): void {
    this.#begin(RECORD.ORIGIN, upperIno, 8);
    this.#number(ino);
    this.#end();
  }

  /** Gives the room back that what doesn't count any more has taken. */
  shrink(): void {
    if (this.#at > FIRST_SIZE / 2) this.#compact(0);
  }

  replay(): Replay {
    // Names are read when they are needed, and the bank may have been emptied by then.
    return replay(Buffer.from(this.#bank.subarray(0, this.#at)), this.#at);
  }

  #begin(kind: number, first: number, size: number): void {
    if (this.#at + 9 + size > this.#bank.length) this.#compact(9 + size);
    this.#at = this.#bank.writeUInt8(kind, this.#at);
    this.#number(first);
  }

  #number(value: number): void {
    this.#at = this.#bank.writeDoubleLE(value, this.#at);
  }

  #name(name: string): void {
    this.#at = this.#bank.writeUInt16LE(name.length, this.#at);
    this.#at += this.#bank.write(name, this.#at, "latin1");
  }

  /** From now on the record counts. */
  #end(): void {
    this.#head[BANKS + this.#active * 3 + 2] = this.#at;
  }

  /** Goes over to the other bank, of which at most half is filled then. */
  #compact(needed: number): void {
    const { inodes, origins, files } = replay(this.#bank, this.#at);
    const previous = this.#described(this.#active);
    let used = files.size * 25 + origins.size * 17 + needed;
    for (const [, known] of inodes) used += 27 + (known?.name.length ?? 0);
    const next = this.#roomFor(used * 2);
    const other = 1 - this.#active;
    this.#describe(other, next);
    this.#bank = mapFile(this.#file, next.offset, next.size);
    this.#active = other;
    this.#at = 0;
    for (const [nodeid, known] of inodes)
      this.place(nodeid, known ?? { parent: 0, name: "", ino: nodeid, isDirectory: false });
    for (const [upperIno, ino] of origins) this.origin(upperIno, ino);
    for (const [handle, file] of files) this.open(handle, file);
    this.#head[ACTIVE] = other;
    allocate(this.#file.number, FALLOC_FL_PUNCH_HOLE, previous.offset, previous.size);
  }

  /** The bank that isn't in use, or a new one behind both where that is too small. */
  #roomFor(used: number): Bank {
    const [active, other] = [this.#described(this.#active), this.#described(1 - this.#active)];
    if (other.size >= used) return { ...other, length: 0 };
    let size = active.size;
    while (size < used) size *= 2;
    const offset = Math.max(active.offset + active.size, other.offset + other.size);
    resizeFile(this.#file, offset + size);
    return { offset, size, length: 0 };
  }

  #describe(bank: number, { offset, size, length }: Bank): void {
    this.#head.set([offset / PAGE, size / PAGE, length], BANKS + bank * 3);
  }

  #described(bank: number): Bank {
    const [offset = 0, size = 0, length = 0] = this.#head.subarray(BANKS + bank * 3, BANKS + bank * 3 + 3);
    return { offset: offset * PAGE, size: size * PAGE, length };
  }
}
