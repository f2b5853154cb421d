import { AT, O, STATX_BASIC_STATS, STATX_SIZE } from "./abi/file.ts";
import {
  CQE_SIZE,
  IORING_FEAT_SINGLE_MMAP,
  IORING_OFF,
  IORING_OP,
  IOSQE_ASYNC,
  PARAMS,
  SQE_SIZE,
} from "./abi/uring.ts";
import { check, unless } from "./error.ts";
import { Fd } from "./fd.ts";
import { addressOf, cString, hot, type Path } from "./libc.ts";
import { mapFile } from "./memory.ts";

const setup_ = hot("syscall", "long", ["long", "unsigned int", "void *"]);
const enter_ = hot("syscall", "long", ["long", "int", "unsigned int", "unsigned int", "unsigned int"]);
const register_ = hot("syscall", "long", ["long", "int", "unsigned int", "void *", "unsigned int"]);
// The same on all architectures.
const [SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register] = [425, 426, 427];
const IORING_REGISTER_IOWQ_MAX_WORKERS = 19;

/** As many calls may wait at once. */
const ENTRIES = 256;

/** A call that a thread of the kernel's makes; what it fills in stays in reach until it is done. */
interface Call {
  readonly operation: number;
  readonly fd: number;
  /** addr, len, off and the flags of struct io_uring_sqe, as the operation has them. */
  readonly address: Uint8Array | undefined;
  readonly length: number;
  readonly offset: bigint;
  readonly flags: number;
  readonly done: (result: number) => void;
  /** What has to stay, beside `address`. */
  readonly kept?: Uint8Array;
}

/**
 * System calls that may take long, without waiting for them: the kernel has threads for that, one for each.
 * `descriptor` is ready to be read when some are done; finish() then hands out their results, −errno where negative.
 * @see io_uring(7)
 */
export class Uring {
  readonly descriptor: Fd;
  readonly #words: Int32Array;
  readonly #rings: DataView;
  readonly #entries: DataView;
  readonly #at: { readonly tail: number; readonly mask: number; readonly array: number };
  readonly #done: { readonly head: number; readonly tail: number; readonly mask: number; readonly entries: number };
  readonly #calls = new Map<number, Call>();
  readonly #waiting: Call[] = [];
  #next = 1;

  /** @returns undefined where there is none: sysctl kernel.io_uring_disabled, seccomp(2), an old kernel */
  static open(): Uring | undefined {
    const params = new DataView(new ArrayBuffer(PARAMS.SIZE));
    const call = (): number =>
      check("io_uring_setup", "", setup_(SYS_io_uring_setup, ENTRIES, new Uint8Array(params.buffer)));
    const number = unless(["EPERM", "ENOSYS", "ENOMEM", "EACCES"], call);
    if (number === undefined) return undefined;
    const descriptor = new Fd(number, "io_uring");
    if ((params.getUint32(PARAMS.FEATURES, true) & IORING_FEAT_SINGLE_MMAP) !== 0) return new Uring(descriptor, params);
    descriptor.close();
    return undefined;
  }

  private constructor(descriptor: Fd, params: DataView) {
    this.descriptor = descriptor;
    const word = (at: number): number => params.getUint32(at, true);
    const size = Math.max(
      word(PARAMS.SQ.ARRAY) + word(PARAMS.SQ_ENTRIES) * 4,
      word(PARAMS.CQ.CQES) + word(PARAMS.CQ_ENTRIES) * CQE_SIZE,
    );
    // By default some for each processor.
    const workers = new Uint8Array(Uint32Array.of(ENTRIES, ENTRIES).buffer);
    register_(SYS_io_uring_register, descriptor.number, IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2);
    const rings = mapFile(descriptor, IORING_OFF.RINGS, size);
    const entries = mapFile(descriptor, IORING_OFF.SQES, word(PARAMS.SQ_ENTRIES) * SQE_SIZE);
    this.#words = new Int32Array(rings.buffer, rings.byteOffset, size >> 2);
    this.#rings = new DataView(rings.buffer, rings.byteOffset, size);
    this.#entries = new DataView(entries.buffer, entries.byteOffset, entries.length);
    const ring = (at: number): number => this.#rings.getUint32(at, true);
    this.#at = { tail: word(PARAMS.SQ.TAIL), mask: ring(word(PARAMS.SQ.MASK)), array: word(PARAMS.SQ.ARRAY) };
    this.#done = {
      head: word(PARAMS.CQ.HEAD),
      tail: word(PARAMS.CQ.TAIL),
      mask: ring(word(PARAMS.CQ.MASK)),
      entries: word(PARAMS.CQ.CQES),
    };
  }

  /** statx(2) of `name` below an open directory; an empty one: of the open file itself. */
  stat(dirfd: number, name: Path, done: (result: number) => void): void {
    const kept = new Uint8Array(STATX_SIZE);
    const flags = AT.SYMLINK_NOFOLLOW | (name.length === 0 ? AT.EMPTY_PATH : 0);
    const [operation, offset] = [IORING_OP.STATX, addressOf(kept)];
    const call = { operation, fd: dirfd, address: cString(name), length: STATX_BASIC_STATS, offset, flags, done, kept };
    this.#submit(call);
  }

  /** openat(2); the result is a descriptor. */
  open(dirfd: number, name: Path, flags: number, done: (result: number) => void): void {
    const [operation, address] = [IORING_OP.OPENAT, cString(name)];
    this.#submit({ operation, fd: dirfd, address, length: 0, offset: 0n, flags: flags | O.CLOEXEC, done });
  }

  /** pread(2) */
  read(fd: number, buffer: Uint8Array, offset: number, done: (result: number) => void): void {
    const [operation, length] = [IORING_OP.READ, buffer.length];
    this.#submit({ operation, fd, address: buffer, length, offset: BigInt(offset), flags: 0, done });
  }

  /** write(2), to what has no offsets. */
  write(fd: number, data: Uint8Array, done: (result: number) => void): void {
    const [operation, length] = [IORING_OP.WRITE, data.length];
    this.#submit({ operation, fd, address: data, length, offset: 0n, flags: 0, done });
  }

  /** close(2), which may have to tell a server. */
  close(fd: number, done: (result: number) => void): void {
    this.#submit({ operation: IORING_OP.CLOSE, fd, address: undefined, length: 0, offset: 0n, flags: 0, done });
  }

  /** Tells each call that is done of its result. */
  finish(): void {
    const { head, tail, mask, entries } = this.#done;
    for (let at = this.#words[head >> 2] ?? 0; at !== Atomics.load(this.#words, tail >> 2); at = (at + 1) | 0) {
      const entry = entries + ((at & mask) >>> 0) * CQE_SIZE;
      const [id, result] = [this.#rings.getUint32(entry, true), this.#rings.getInt32(entry + 8, true)];
      Atomics.store(this.#words, head >> 2, (at + 1) | 0);
      const call = this.#calls.get(id);
      this.#calls.delete(id);
      call?.done(result);
    }
    // The ring has room for what may be under way, and its second half for as many results again.
    while (this.#waiting.length > 0 && this.#calls.size < ENTRIES) {
      const call = this.#waiting.shift();
      if (call !== undefined) this.#submit(call);
    }
  }

  #submit(call: Call): void {
    if (this.#calls.size >= ENTRIES) {
      this.#waiting.push(call);
      return;
    }
    const id = this.#next++ % 0x1_0000_0000;
    this.#calls.set(id, call);
    const { tail, mask, array } = this.#at;
    const at = this.#words[tail >> 2] ?? 0;
    const index = at & mask;
    this.#write(index * SQE_SIZE, call, id);
    this.#rings.setUint32(array + index * 4, index, true);
    Atomics.store(this.#words, tail >> 2, (at + 1) | 0);
    check("io_uring_enter", "", enter_(SYS_io_uring_enter, this.descriptor.number, 1, 0, 0));
  }

  /** struct io_uring_sqe */
  #write(at: number, { operation, fd, address, length, offset, flags }: Call, id: number): void {
    const entry = this.#entries;
    for (let word = 0; word < SQE_SIZE; word += 4) entry.setUint32(at + word, 0, true);
    entry.setUint8(at, operation);
    entry.setUint8(at + 1, IOSQE_ASYNC);
    entry.setInt32(at + 4, fd, true);
    entry.setBigUint64(at + 8, offset, true);
    entry.setBigUint64(at + 16, address === undefined ? 0n : addressOf(address), true);
    entry.setUint32(at + 24, length, true);
    entry.setUint32(at + 28, flags, true);
    entry.setUint32(at + 32, id, true);
  }
}
