import { type Memory, type Piece, Strip } from "./pieces.ts";

/** Tables of a bank, arrays of a table, banks. */
const [TABLES, ARRAYS, BANKS] = [8, 3, 2];

/** What a record takes is counted in units of 16 bytes, and so is where it is: none is at 0. */
const UNITS_SHIFT = 16;
const UNITS_MASK = (1 << UNITS_SHIFT) - 1;
/**
 * A record: the next ones in the chains of its number and of its name (words 0, 1); its kind (byte 8, 0: free), its
 * name's length, how many units it takes; a word of its own (3; of those with names, their hash); three numbers (from
 * byte 16 on), of which the first is what it is found by; the one before in the chain of its number (word 10), which may have
 * as many records of one number as a file has names; its name.
 */
const [KIND, LENGTH, UNITS] = [8, 9, 10];
const EXTRA = 3;
const BEFORE = 10;
const NAME = 44;

/** A table's words in the head: where new records go, how many chains there are, how many records; free ones by their units. */
const [END, CHAINS, COUNT, FREE] = [0, 1, 2, 4];
const HEAD_WORDS = 32;
const FIRST_CHAINS = 64;

export interface Fields {
  readonly key: number;
  readonly a: number;
  readonly b: number;
  readonly extra?: number;
  /** From 1 to 255. */
  readonly kind?: number;
  /** Each character a byte. */
  readonly name?: string;
}

/**
 * Records in memory that outlives the process, found by a number, which several may have, or by number `a` and name. A record
 * counts from the moment on that its kind is written. Chains, and the lists of free records, may be left torn by a kill:
 * whoever uses the table knows, and calls rebuild().
 */
export class Table {
  readonly #head: Uint32Array;
  readonly #records: Strip;
  readonly #byKey: Strip;
  readonly #byName: Strip | undefined;

  /** @param number of this table in the memory's bank */
  constructor(memory: Memory, bank: number, number: number, by: "key" | "key and name") {
    const strip = (array: number): Strip => new Strip(memory, (number * ARRAYS + array) * BANKS + bank);
    const at = headOf(bank) + number * HEAD_WORDS;
    this.#head = memory.head.words.subarray(at, at + HEAD_WORDS);
    this.#records = strip(0);
    this.#byKey = strip(1);
    this.#byName = by === "key" ? undefined : strip(2);
    if (this.#head[CHAINS] === 0) this.#reset();
  }

  get size(): number {
    return this.#head[COUNT] ?? 0;
  }

  /** Bytes that records take, free ones too. */
  get bytes(): number {
    return (this.#head[END] ?? 0) * 16;
  }

  /** The first record of a number, that which was inserted last; 0: none. */
  find(key: number): number {
    return this.#match(this.#byKey.get(this.#chain(mix(key))), key);
  }

  /** The next record of the same number. */
  next(ref: number): number {
    const { words, numbers } = this.#piece(ref);
    const at = (ref & UNITS_MASK) << 2;
    return this.#match(words[at] ?? 0, numbers[(at >> 1) + 2] ?? 0);
  }

  /** @param key the record's; without it, that which was inserted last is found */
  findName(a: number, name: string, key?: number): number {
    const hash = hashOf(a, name);
    for (let ref = this.#byName?.get(this.#chain(hash)) ?? 0; ref !== 0;) {
      const { words } = this.#piece(ref);
      const at = (ref & UNITS_MASK) << 2;
      const isIt = words[at + EXTRA] === hash && this.#isNamed(ref, a, name);
      if (isIt && (key === undefined || this.keyOf(ref) === key)) return ref;
      ref = words[at + 1] ?? 0;
    }
    return 0;
  }

  #isNamed(ref: number, a: number, name: string): boolean {
    const { numbers, bytes } = this.#piece(ref);
    const at = (ref & UNITS_MASK) << 4;
    if (numbers[(at >> 3) + 3] !== a || bytes[at + LENGTH] !== name.length) return false;
    for (let index = 0; index < name.length; index++) {
      if (bytes[at + NAME + index] !== name.charCodeAt(index)) return false;
    }
    return true;
  }

  keyOf(ref: number): number {
    return this.#piece(ref).numbers[((ref & UNITS_MASK) << 1) + 2] ?? 0;
  }

  /** Its `b`. */
  valueOf(ref: number): number {
    return this.#piece(ref).numbers[((ref & UNITS_MASK) << 1) + 4] ?? 0;
  }

  read(ref: number): Required<Fields> {
    const { words, numbers, bytes } = this.#piece(ref);
    const at = (ref & UNITS_MASK) << 4;
    const number = at >> 3;
    return {
      key: numbers[number + 2] ?? 0,
      a: numbers[number + 3] ?? 0,
      b: numbers[number + 4] ?? 0,
      extra: words[(at >> 2) + EXTRA] ?? 0,
      kind: bytes[at + KIND] ?? 0,
      name: bytes.toString("latin1", at + NAME, at + NAME + (bytes[at + LENGTH] ?? 0)),
    };
  }

  /** Of records without names, each number by itself in one step. */
  update(ref: number, { a, b }: Pick<Fields, "a" | "b">): void {
    const { numbers } = this.#piece(ref);
    const number = (ref & UNITS_MASK) << 1;
    numbers[number + 3] = a;
    numbers[number + 4] = b;
  }

  /** Whether a record's name begins so. */
  begins(ref: number, start: string): boolean {
    const { bytes } = this.#piece(ref);
    const at = ((ref & UNITS_MASK) << 4) + NAME;
    for (let index = 0; index < start.length; index++) {
      if (bytes[at + index] !== start.charCodeAt(index)) return false;
    }
    return true;
  }

  /** Writes over a part of a name, which nothing is found by and which doesn't count before the record is of that kind. */
  overwrite(ref: number, from: number, text: string, kind: number): void {
    const { bytes } = this.#piece(ref);
    const at = (ref & UNITS_MASK) << 4;
    for (let index = 0; index < text.length; index++) bytes[at + NAME + from + index] = text.charCodeAt(index);
    Atomics.store(bytes, at + KIND, kind);
  }

  kindOf(ref: number): number {
    return this.#piece(ref).bytes[((ref & UNITS_MASK) << 4) + KIND] ?? 0;
  }

  insert({ key, a, b, extra = 0, kind = 1, name = "" }: Fields): void {
    const ref = this.#take((NAME + 15 + name.length) >> 4);
    const { words, numbers, bytes } = this.#piece(ref);
    const at = (ref & UNITS_MASK) << 4;
    const number = at >> 3;
    bytes[at + LENGTH] = name.length;
    words[(at >> 2) + EXTRA] = this.#byName === undefined ? extra : hashOf(a, name);
    numbers[number + 2] = key;
    numbers[number + 3] = a;
    numbers[number + 4] = b;
    for (let index = 0; index < name.length; index++) bytes[at + NAME + index] = name.charCodeAt(index);
    Atomics.store(bytes, at + KIND, kind);
    this.#link(ref);
  }

  delete(ref: number): void {
    const { words, numbers, bytes } = this.#piece(ref);
    const at = (ref & UNITS_MASK) << 2;
    this.#unlinkKey(ref, mix(numbers[(at >> 1) + 2] ?? 0));
    if (this.#byName !== undefined) this.#unlinkName(this.#byName, words[at + EXTRA] ?? 0, ref);
    this.#head[COUNT] = this.size - 1;
    bytes[(at << 2) + KIND] = 0;
    this.#free(ref, bytes[(at << 2) + UNITS] ?? 0);
  }

  /** All records, in no order; none may be inserted or deleted meanwhile. */
  *[Symbol.iterator](): IterableIterator<number> {
    for (const ref of this.#scan()) if (this.kindOf(ref) !== 0) yield ref;
  }

  /** Makes the chains and lists anew, from the records alone. */
  rebuild(): void {
    for (let chain = this.#head[CHAINS] ?? 0; chain >= 0; chain--) {
      this.#byKey.set(chain, 0);
      this.#byName?.set(chain, 0);
    }
    this.#reset();
    for (const ref of this.#scan()) {
      if (this.kindOf(ref) !== 0) this.#link(ref);
      else this.#free(ref, this.#unitsOf(ref));
    }
  }

  *#scan(): IterableIterator<number> {
    const end = this.#head[END] ?? 0;
    for (let ref = 1; ref < end;) {
      const units = this.#unitsOf(ref);
      if (units === 0) throw new Error(`there is no record at ${ref}`);
      yield ref;
      ref += units;
    }
  }

  #reset(): void {
    this.#head.fill(0, CHAINS);
    this.#head[CHAINS] = FIRST_CHAINS;
    if (this.#head[END] === 0) this.#head[END] = 1;
  }

  #piece(ref: number): Piece {
    return this.#records.piece(ref >>> UNITS_SHIFT);
  }

  #unitsOf(ref: number): number {
    return this.#piece(ref).bytes[((ref & UNITS_MASK) << 4) + UNITS] ?? 0;
  }

  #match(first: number, key: number): number {
    for (let ref = first; ref !== 0;) {
      const { words, numbers } = this.#piece(ref);
      const at = (ref & UNITS_MASK) << 2;
      if (numbers[(at >> 1) + 2] === key) return ref;
      ref = words[at] ?? 0;
    }
    return 0;
  }

  /** Room for a record: a free one's, or behind all others, but never over the end of a piece. */
  #take(units: number): number {
    const free = this.#head[FREE + units] ?? 0;
    if (free !== 0) {
      this.#head[FREE + units] = this.#piece(free).words[(free & UNITS_MASK) << 2] ?? 0;
      return free;
    }
    const end = this.#head[END] ?? 0;
    const left = UNITS_MASK + 1 - (end & UNITS_MASK);
    if (left >= units) return this.#append(end, units);
    this.#append(end, left);
    return this.#append(end + left, units);
  }

  #append(ref: number, units: number): number {
    this.#piece(ref).bytes[((ref & UNITS_MASK) << 4) + UNITS] = units;
    Atomics.store(this.#head, END, ref + units);
    return ref;
  }

  #free(ref: number, units: number): void {
    const at = FREE + units;
    this.#piece(ref).words[(ref & UNITS_MASK) << 2] = this.#head[at] ?? 0;
    this.#head[at] = ref;
  }

  #link(ref: number): void {
    if (this.size >= (this.#head[CHAINS] ?? 0)) this.#addChain();
    this.#head[COUNT] = this.size + 1;
    const { words, numbers } = this.#piece(ref);
    const at = (ref & UNITS_MASK) << 2;
    const chain = this.#chain(mix(numbers[(at >> 1) + 2] ?? 0));
    this.#join(0, ref);
    this.#join(ref, this.#byKey.get(chain));
    this.#byKey.set(chain, ref);
    if (this.#byName === undefined) return;
    const chainOfName = this.#chain(words[at + EXTRA] ?? 0);
    words[at + 1] = this.#byName.get(chainOfName);
    this.#byName.set(chainOfName, ref);
  }

  /** In the chain of a number: nothing is before or behind 0. */
  #join(before: number, ref: number): void {
    if (before !== 0) this.#setNext(before, 0, ref);
    if (ref !== 0) this.#piece(ref).words[((ref & UNITS_MASK) << 2) + BEFORE] = before;
  }

  #unlinkKey(ref: number, hash: number): void {
    const { words } = this.#piece(ref);
    const at = (ref & UNITS_MASK) << 2;
    const [before, behind] = [words[at + BEFORE] ?? 0, words[at] ?? 0];
    if (before === 0) {
      const chain = this.#chain(hash);
      if (this.#byKey.get(chain) !== ref) throw new Error(`the record at ${ref} is in no chain`);
      this.#byKey.set(chain, behind);
    }
    this.#join(before, behind);
  }

  #unlinkName(chains: Strip, hash: number, ref: number): void {
    const chain = this.#chain(hash);
    const behind = this.#piece(ref).words[((ref & UNITS_MASK) << 2) + 1] ?? 0;
    let at = chains.get(chain);
    if (at === ref) {
      chains.set(chain, behind);
      return;
    }
    for (;;) {
      const { words } = this.#piece(at);
      const word = ((at & UNITS_MASK) << 2) + 1;
      at = words[word] ?? 0;
      if (at === ref) {
        words[word] = behind;
        return;
      }
      if (at === 0) throw new Error(`the record at ${ref} is in no chain`);
    }
  }

  /** Which of the chains: of linear hashing, whose tables grow by one chain at a time. */
  #chain(hash: number): number {
    const chains = this.#head[CHAINS] ?? 1;
    const half = 1 << (31 - Math.clz32(chains));
    const chain = hash & (2 * half - 1);
    return chain < chains ? chain : hash & (half - 1);
  }

  #addChain(): void {
    const added = this.#head[CHAINS] ?? 1;
    const half = 1 << (31 - Math.clz32(added));
    this.#split(this.#byKey, added - half, added, 0);
    if (this.#byName !== undefined) this.#split(this.#byName, added - half, added, 1);
    this.#head[CHAINS] = added + 1;
  }

  /** Each chain keeps its order. */
  #split(chains: Strip, from: number, added: number, which: 0 | 1): void {
    const mask = 2 * (added - from) - 1;
    const heads = [0, 0];
    const tails = [0, 0];
    for (let ref = chains.get(from); ref !== 0;) {
      const { words, numbers } = this.#piece(ref);
      const at = (ref & UNITS_MASK) << 2;
      const hash = which === 0 ? mix(numbers[(at >> 1) + 2] ?? 0) : (words[at + EXTRA] ?? 0);
      const side = (hash & mask) === added ? 1 : 0;
      const tail = tails[side] ?? 0;
      if (tail === 0) heads[side] = ref;
      else this.#setNext(tail, which, ref);
      if (which === 0) words[at + BEFORE] = tail;
      tails[side] = ref;
      ref = words[at + which] ?? 0;
    }
    for (const tail of tails) if (tail !== 0) this.#setNext(tail, which, 0);
    chains.set(from, heads[0] ?? 0);
    chains.set(added, heads[1] ?? 0);
  }

  #setNext(ref: number, which: 0 | 1, next: number): void {
    this.#piece(ref).words[((ref & UNITS_MASK) << 2) + which] = next;
  }
}

/** Where a bank's words are in the head. */
export function headOf(bank: number): number {
  return 2048 * (1 + bank);
}

/** Gives back what a bank has taken: its tables are empty then. */
export function clearBank(memory: Memory, bank: number): void {
  memory.head.words.fill(0, headOf(bank), headOf(bank) + TABLES * HEAD_WORDS);
  for (let index = bank; index < memory.pieces; index += BANKS) memory.clear(index);
}

function mix(number: number): number {
  const hash = Math.imul((number | 0) ^ Math.imul((number / 2 ** 32) | 0, 0x9e3779b1), 0x85ebca6b);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** FNV-1a */
function hashOf(number: number, name: string): number {
  let hash = mix(number);
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
