import type { Ahead } from "../../fuse/serve.ts";
import { readRead } from "../../fuse/wire/bodies.ts";
import { IN_HEADER_SIZE, OPCODE } from "../../fuse/wire/protocol.ts";
import type { RequestBuffer } from "../../fuse/wire/request.ts";
import { E } from "../../kernel/abi/errno.ts";
import { O } from "../../kernel/abi/file.ts";
import { bytesOf, closeFd, duplicateFd, type Name } from "../../kernel/at.ts";
import type { Fd } from "../../kernel/fd.ts";
import { Uring } from "../../kernel/uring.ts";
import type { RemotePlace } from "../../union/remote.ts";
import type { Union } from "../../union/union.ts";

/** What only looks, or begins by looking; those that name an entry of a directory do so at the body's beginning. */
const opcodes: ReadonlyMap<number, "name" | "inode"> = new Map([
  [OPCODE.LOOKUP, "name"],
  [OPCODE.UNLINK, "name"],
  [OPCODE.RMDIR, "name"],
  [OPCODE.GETATTR, "inode"],
  [OPCODE.SETATTR, "inode"],
  [OPCODE.READLINK, "inode"],
  [OPCODE.OPEN, "inode"],
  [OPCODE.READ, "inode"],
  [OPCODE.WRITE, "inode"],
  [OPCODE.FALLOCATE, "inode"],
  [OPCODE.LSEEK, "inode"],
  [OPCODE.GETXATTR, "inode"],
  [OPCODE.LISTXATTR, "inode"],
  [OPCODE.READDIR, "inode"],
  [OPCODE.READDIRPLUS, "inode"],
]);

/** Where nobody has opened it before, the first WRITE copies it up. */
const opening: ReadonlySet<number> = new Set([OPCODE.OPEN, OPCODE.READ, OPCODE.WRITE, OPCODE.FALLOCATE, OPCODE.LSEEK]);

const directoryFlags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW;
const fileFlags = O.RDONLY | O.NONBLOCK | O.NOFOLLOW;

/**
 * Has the kernel's threads ask a lower that may keep us waiting what a request is about to ask it. The request is answered
 * when that is through: it then finds what it needs in the lower's caches. One that hangs keeps only its own client.
 */
export class Rehearsal implements Ahead {
  readonly #union: Union;
  readonly #uring: Uring;
  /** By the request's key, how much of it is under way. */
  readonly #open = new Map<number, number>();
  readonly #finished: number[] = [];
  /** Nobody looks at what is read into it. */
  readonly #sink = Buffer.allocUnsafeSlow(1 << 20);

  private constructor(union: Union, uring: Uring) {
    this.#union = union;
    this.#uring = uring;
  }

  /** @returns undefined where no lower may keep us waiting, or the kernel gives us no threads */
  static open(union: Union): Rehearsal | undefined {
    const uring = union.hasRemote ? Uring.open() : undefined;
    return uring === undefined ? undefined : new Rehearsal(union, uring);
  }

  get descriptor(): Fd {
    return this.#uring.descriptor;
  }

  begin(request: RequestBuffer): boolean {
    const what = opcodes.get(request.opcode);
    if (what === undefined) return false;
    const text = what === "name" ? request.name(IN_HEADER_SIZE) : ".";
    const name = text === "." || text === ".." ? undefined : text;
    const places = this.#union.remotePlaces(request.nodeid, name);
    if (places.length === 0) return false;
    // The request is another one by the time that it is through.
    const { key } = request;
    this.#open.set(key, places.length);
    for (const place of places) this.#ask(place, request, () => this.#finish(key));
    return true;
  }

  finish(each: (key: number) => void): void {
    this.#uring.finish();
    for (let key = this.#finished.shift(); key !== undefined; key = this.#finished.shift()) each(key);
  }

  #finish(key: number): void {
    const left = (this.#open.get(key) ?? 1) - 1;
    this.#open.set(key, left);
    if (left > 0) return;
    this.#open.delete(key);
    this.#finished.push(key);
  }

  #ask({ dirfd, name, isFile }: RemotePlace, request: RequestBuffer, then: () => void): void {
    // The directory itself may be closed meanwhile, and its number another's.
    const directory = duplicateFd(dirfd);
    const done = (): void => {
      closeFd(directory);
      then();
    };
    if (isFile && opening.has(request.opcode)) {
      const range = request.opcode === OPCODE.READ ? readRead(request) : undefined;
      this.#read(directory, name, range, done);
      return;
    }
    this.#uring.stat(directory, bytesOf(name), (result) => {
      if (result < 0 || isFile) done();
      else this.#openAnd(directory, name === "" ? "." : name, directoryFlags, (fd) => this.#close(fd, done));
    });
  }

  #read(
    directory: number,
    name: Name,
    range: { readonly offset: number; readonly size: number } | undefined,
    done: () => void,
  ): void {
    this.#openAnd(directory, name, fileFlags, (fd) => {
      if (fd < 0 || range === undefined) this.#close(fd, done);
      else this.#uring.read(fd, this.#sink.subarray(0, range.size), range.offset, () => this.#close(fd, done));
    });
  }

  /** Without changing access times, where we may. */
  #openAnd(directory: number, name: Name, flags: number, then: (fd: number) => void): void {
    this.#uring.open(directory, bytesOf(name), flags | O.NOATIME, (fd) => {
      if (fd === -E.PERM) this.#uring.open(directory, bytesOf(name), flags, then);
      else then(fd);
    });
  }

  #close(fd: number, done: () => void): void {
    if (fd < 0) done();
    else this.#uring.close(fd, done);
  }
}
