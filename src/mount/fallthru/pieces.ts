import type { Fd } from "../../kernel/fd.ts";
import { allocate } from "../../kernel/io.ts";
import { mapFile, resizeFile } from "../../kernel/memory.ts";

const FALLOC_FL_PUNCH_HOLE = 3; // with FALLOC_FL_KEEP_SIZE; include/uapi/linux/falloc.h

/** What the file begins with: a multiple of every machine's page size. */
const HEAD_BYTES = 65536;
const PIECE_BYTES = 1 << 20;

/** As three kinds of numbers, of one piece of memory. */
export interface Piece {
  readonly words: Uint32Array;
  readonly numbers: Float64Array;
  readonly bytes: Buffer;
}

/** A memory file in pieces, mapped when they are first used; what nobody has written to takes no memory. */
export class Memory {
  readonly head: Piece;
  readonly #file: Fd;
  readonly #pieces: (Piece | undefined)[] = [];
  #size: number;

  /** @param isNew the file is empty */
  constructor(file: Fd, isNew: boolean) {
    this.#file = file;
    if (isNew) resizeFile(file, HEAD_BYTES);
    this.head = asPiece(mapFile(file, 0, HEAD_BYTES));
    if (isNew) this.head.words[FILE_BYTES] = HEAD_BYTES >>> 10;
    this.#size = (this.head.words[FILE_BYTES] ?? 0) * 1024;
  }

  piece(index: number): Piece {
    return (this.#pieces[index] ??= this.#map(index));
  }

  /** Gives a piece's memory back: it is all zeros again. */
  clear(index: number): void {
    const offset = HEAD_BYTES + index * PIECE_BYTES;
    if (offset < this.#size) allocate(this.#file.number, FALLOC_FL_PUNCH_HOLE, offset, PIECE_BYTES);
  }

  get pieces(): number {
    return (this.#size - HEAD_BYTES) / PIECE_BYTES;
  }

  #map(index: number): Piece {
    const offset = HEAD_BYTES + index * PIECE_BYTES;
    if (offset + PIECE_BYTES > this.#size) {
      this.#size = offset + PIECE_BYTES;
      resizeFile(this.#file, this.#size);
      this.head.words[FILE_BYTES] = this.#size >>> 10;
    }
    return asPiece(mapFile(this.#file, offset, PIECE_BYTES));
  }
}

/** Word 0 of the head: how long the file is, in KiB. */
const FILE_BYTES = 0;

function asPiece(bytes: Buffer): Piece {
  const { buffer, byteOffset, length } = bytes;
  return {
    words: new Uint32Array(buffer, byteOffset, length >> 2),
    numbers: new Float64Array(buffer, byteOffset, length >> 3),
    bytes,
  };
}

/** So many arrays share a file: each has every so manieth piece. */
const STRIPS = 48;

/** An array that grows piece by piece. */
export class Strip {
  readonly #memory: Memory;
  readonly #number: number;
  readonly #pieces: (Piece | undefined)[] = [];

  /** @param number from 0 on, below STRIPS */
  constructor(memory: Memory, number: number) {
    this.#memory = memory;
    this.#number = number;
  }

  piece(index: number): Piece {
    return (this.#pieces[index] ??= this.#memory.piece(index * STRIPS + this.#number));
  }

  /** Words of it, where it is one of words alone. */
  get(at: number): number {
    return this.piece(at >>> WORDS_SHIFT).words[at & WORDS_MASK] ?? 0;
  }

  set(at: number, value: number): void {
    this.piece(at >>> WORDS_SHIFT).words[at & WORDS_MASK] = value;
  }
}

const WORDS_SHIFT = 18;
const WORDS_MASK = (1 << WORDS_SHIFT) - 1;
