/** The bytes of a stream in order: exact reads for headers, pieces as they come for contents. */
export class ByteSource implements AsyncDisposable {
  readonly #input: AsyncIterator<Uint8Array>;
  #chunk: Buffer = Buffer.alloc(0);
  #isEnded = false;
  /** How many bytes have been taken. */
  offset = 0;

  constructor(input: AsyncIterable<Uint8Array>) {
    this.#input = input[Symbol.asyncIterator]();
  }

  /** The next `length` bytes, as a copy; fewer only at the end of the stream. */
  async read(length: number): Promise<Buffer> {
    const result = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const piece = await this.piece(length - filled);
      if (piece === undefined) break;
      filled += piece.copy(result, filled);
    }
    return result.subarray(0, filled);
  }

  /** Between 1 and `limit` of the next bytes, valid until the next call; undefined at the end of the stream. */
  async piece(limit: number): Promise<Buffer | undefined> {
    while (this.#chunk.length === 0) {
      if (this.#isEnded) return undefined;
      const next = await this.#input.next();
      if (next.done === true) this.#isEnded = true;
      else this.#chunk = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.length);
    }
    const piece = this.#chunk.subarray(0, limit);
    this.#chunk = this.#chunk.subarray(piece.length);
    this.offset += piece.length;
    return piece;
  }

  /** Passes over bytes; false where the stream ends first. */
  async skip(length: number): Promise<boolean> {
    for (let left = length; left > 0;) {
      const piece = await this.piece(left);
      if (piece === undefined) return false;
      left -= piece.length;
    }
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    await this.#input.return?.();
  }
}
