import { readU64 } from "./numbers.ts";
import { EXT_GROUPS, IN_HEADER_SIZE } from "./protocol.ts";
import type { Name } from "./types.ts";

/** The bit of `unique` that says that this request had been read before: FUSE_UNIQUE_RESEND, bit 63. */
const RESEND_HIGH = 0x8000_0000;

/**
 * One request, in the buffer that it was read into: struct fuse_in_header's fields, and the rest as bytes.
 * The same object serves for every request of a connection: take from it what outlives the request.
 */
export class RequestBuffer {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly view: DataView;
  length = 0;
  opcode = 0;
  uniqueLow = 0;
  uniqueHigh = 0;
  nodeid = 0;
  uid = 0;
  gid = 0;
  pid = 0;
  /** Where the body ends and extensions begin. */
  end = 0;

  constructor(size: number) {
    this.bytes = Buffer.from(new ArrayBuffer(size));
    this.view = new DataView(this.bytes.buffer);
  }

  /** Takes the header of what was read, `length` bytes. @throws where it isn't a whole request */
  parseHeader(length: number): void {
    const { view } = this;
    if (length < IN_HEADER_SIZE || view.getUint32(0, true) !== length) {
      throw new Error(`a request of ${length} bytes says that it has ${view.getUint32(0, true)}`);
    }
    this.length = length;
    this.opcode = view.getUint32(4, true);
    this.uniqueLow = view.getUint32(8, true);
    this.uniqueHigh = view.getUint32(12, true);
    this.nodeid = readU64(view, 16);
    this.uid = view.getUint32(24, true);
    this.gid = view.getUint32(28, true);
    this.pid = view.getUint32(32, true);
    this.end = length - view.getUint16(36, true) * 8;
  }

  /** Whether the kernel sends it once more because an earlier server read it and didn't answer. */
  get isResend(): boolean {
    return this.uniqueHigh >= RESEND_HIGH;
  }

  /** `unique` as one number, whether sent once or again. */
  get key(): number {
    return this.uniqueLow + (this.uniqueHigh & 0x1f_ffff) * 0x1_0000_0000;
  }

  /** The name or path that begins at `at`, up to its NUL, as a byte string. */
  name(at: number): Name {
    return this.bytes.toString("latin1", at, this.nameEnd(at));
  }

  /** Where the NUL of the text that begins at `at` stands. */
  nameEnd(at: number): number {
    const { bytes, end } = this;
    let nul = at;
    while (nul < end && bytes[nul] !== 0) nul++;
    return nul;
  }

  /**
   * The caller's supplementary group that owns the parent directory, where CREATE_SUPP_GROUP was negotiated and there
   * is one: struct fuse_ext_header, struct fuse_supp_groups.
   */
  get supplementaryGroup(): number | undefined {
    for (let at = this.end; at + 8 <= this.length;) {
      const size = this.view.getUint32(at, true);
      if (this.view.getUint32(at + 4, true) === EXT_GROUPS && this.view.getUint32(at + 8, true) > 0) {
        return this.view.getUint32(at + 12, true);
      }
      if (size === 0) return undefined;
      at += size;
    }
    return undefined;
  }
}
