import type { Shown } from "../../union/known.ts";
import type { Memory } from "./pieces.ts";
import { Table } from "./records.ts";

/** Kinds of names. */
export const [FILE, DIRECTORY] = [1, 2];

/** The tables of one bank. */
export class Bank {
  /** By nodeid, and by parent (a) and name: `b` is its st_ino, its kind FILE or DIRECTORY. */
  readonly names: Table;
  /** By nodeid, those that have lost their last name: `b` is its st_ino. */
  readonly nameless: Table;
  /** By handle: nodeid, backing id, and the flags. */
  readonly files: Table;
  /** By the upper's own number: the st_ino. */
  readonly origins: Table;
  /** By st_ino, the nodeid (a) of such as have another one. */
  readonly numbers: Table;
  /** By st_ino, access times: `b`. See AccessTimes. */
  readonly accessTimes: Table;
  /** By st_ino, what ctime is shown: see putShown(). */
  readonly changeTimes: Table;

  constructor(memory: Memory, bank: number) {
    this.names = new Table(memory, bank, 0, "key and name");
    this.nameless = new Table(memory, bank, 1, "key");
    this.files = new Table(memory, bank, 2, "key");
    this.origins = new Table(memory, bank, 3, "key");
    this.numbers = new Table(memory, bank, 4, "key");
    this.accessTimes = new Table(memory, bank, 5, "key");
    this.changeTimes = new Table(memory, bank, 6, "key");
  }

  get tables(): readonly Table[] {
    return [this.names, this.nameless, this.files, this.origins, this.numbers, this.accessTimes, this.changeTimes];
  }
}

/** Leaves one record of a number. */
export function put(table: Table, key: number, values: { readonly a: number; readonly b: number }): void {
  const known = table.find(key);
  if (known === 0) table.insert({ key, ...values });
  else table.update(known, values);
}

export function deleteAll(table: Table, key: number): void {
  for (let ref = table.find(key); ref !== 0; ref = table.find(key)) table.delete(ref);
}

/** `b` by number. */
export function valuesOf(table: Table): Map<number, number> {
  return new Map([...table].map((ref) => [table.keyOf(ref), table.valueOf(ref)]));
}

/** Numbers as a record has them in the place of a name. */
const packed = new Float64Array(2);
const packedBytes = Buffer.from(packed.buffer);

function pack(first: number, second: number): string {
  packed[0] = first;
  packed[1] = second;
  return packedBytes.toString("latin1");
}

function unpack(name: string, at: number): readonly [number, number] {
  packedBytes.write(name.slice(at, at + PAIR), "latin1");
  return [packed[0] ?? 0, packed[1] ?? 0];
}

/** Bytes of two numbers. A record is what is shown, the mtime that it depends on, and the ctime, twice: its kind says which counts. */
const PAIR = 16;
const slotOf = (kind: number): number => (1 + kind) * PAIR;

/**
 * Leaves one record of a file. Where the ctime alone is another, as after each copy into a directory, that is written over; else the new
 * record is there before the old one goes, so a kill may leave both: that with the higher `a` counts.
 * @param serial higher than all before
 */
export function putShown(table: Table, ino: number, shown: Shown, serial: number): void {
  const start = pack(shown.seconds, shown.nsec) + pack(shown.mtime, shown.mtimeNsec);
  const ctime = pack(shown.ctime, shown.ctimeNsec);
  let old = table.find(ino);
  if (old !== 0 && table.next(old) === 0 && table.begins(old, start)) {
    const kind = 3 - table.kindOf(old);
    table.overwrite(old, slotOf(kind), ctime, kind);
    return;
  }
  table.insert({ key: ino, a: serial, b: 0, kind: 1, name: start + ctime + ctime });
  while (old !== 0) {
    const next = table.next(old);
    table.delete(old);
    old = next;
  }
}

/** By st_ino. */
export function readShown(table: Table): Map<number, Shown> {
  const shown = new Map<number, Shown>();
  const serials = new Map<number, number>();
  for (const ref of table) {
    const { key, a: serial, kind, name } = table.read(ref);
    if (serial < (serials.get(key) ?? 0)) continue;
    serials.set(key, serial);
    const [seconds, nsec] = unpack(name, 0);
    const [mtime, mtimeNsec] = unpack(name, PAIR);
    const [ctime, ctimeNsec] = unpack(name, slotOf(kind));
    shown.set(key, { seconds, nsec, ctime, ctimeNsec, mtime, mtimeNsec });
  }
  return shown;
}
