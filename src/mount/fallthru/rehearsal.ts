import type { Ahead } from "../../fuse/serve.ts";
import { readRead } from "../../fuse/wire/bodies.ts";
import { OPCODE } from "../../fuse/wire/protocol.ts";
import type { RequestBuffer } from "../../fuse/wire/request.ts";
import { E } from "../../kernel/abi/errno.ts";
import { O } from "../../kernel/abi/file.ts";
import { bytesOf, closeFd, duplicateFd, type Name } from "../../kernel/at.ts";
import type { Fd } from "../../kernel/fd.ts";
import { Uring } from "../../kernel/uring.ts";
import { Answers, type Demand, type RemotePlace } from "../../union/remote.ts";
import type { Union } from "../../union/union.ts";
import { needsOf } from "./demands.ts";
import { Errands } from "./errands.ts";

/** Where nobody has opened it before, the first WRITE copies it up. */
const opening: ReadonlySet<number> = new Set([OPCODE.OPEN, OPCODE.READ, OPCODE.WRITE, OPCODE.FALLOCATE, OPCODE.LSEEK]);

const directoryFlags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW;
const fileFlags = O.RDONLY | O.NONBLOCK | O.NOFOLLOW;

/** A request that can't be answered yet. */
interface Postponed {
  /** How many of its looks are under way. */
  looks: number;
  readonly demands: readonly Demand[];
  /** From the moment on that all looks are through. */
  answers: Answers | undefined;
}

/**
 * Has others ask a lower that may keep us waiting what a request is about to ask it: the kernel's threads look, open and read, after which
 * the answer is in the lower's caches; what they can't do, or what no cache keeps, a process does, and its answer is
 * handed to the operation. One that hangs keeps only its own client.
 */
export class Rehearsal implements Ahead {
  readonly #union: Union;
  readonly #uring: Uring;
  readonly #errands: Errands;
  /** By the request's key. */
  readonly #postponed = new Map<number, Postponed>();
  readonly #finished: number[] = [];
  /** Nobody looks at what is read into it. */
  readonly #sink = Buffer.allocUnsafeSlow(1 << 20);

  private constructor(union: Union, uring: Uring) {
    this.#union = union;
    this.#uring = uring;
    this.#errands = new Errands(uring);
  }

  /** @returns undefined where no lower may keep us waiting, or the kernel gives us no threads */
  static open(union: Union): Rehearsal | undefined {
    const uring = union.remote.exist ? Uring.open() : undefined;
    return uring === undefined ? undefined : new Rehearsal(union, uring);
  }

  get descriptor(): Fd {
    return this.#uring.descriptor;
  }

  begin(request: RequestBuffer): boolean {
    const needs = needsOf(request);
    const places = needs?.looks.flatMap(({ nodeid, name }) => this.#union.remote.places(nodeid, name)) ?? [];
    if (needs === undefined || places.length === 0) return false;
    // The request is another one by the time that it is through.
    const { key } = request;
    const postponed: Postponed = { looks: places.length, demands: needs.demands, answers: undefined };
    this.#postponed.set(key, postponed);
    for (const place of places) {
      this.#ask(place, request, () => {
        if (--postponed.looks === 0) this.#send(key, postponed);
      });
    }
    return true;
  }

  finish(each: (key: number) => void): void {
    this.#uring.finish();
    for (let key = this.#finished.shift(); key !== undefined; key = this.#finished.shift()) {
      const done = key;
      const answers = this.#postponed.get(key)?.answers;
      this.#postponed.delete(key);
      if (answers === undefined) each(key);
      else this.#union.remote.withAnswers(answers, () => each(done));
    }
  }

  cancel(key: number): void {
    const answers = this.#postponed.get(key)?.answers;
    this.#postponed.delete(key);
    this.#errands.cancel(key);
    if (answers !== undefined) this.#union.remote.drop(answers);
  }

  /** What looking doesn't answer. */
  #send(key: number, postponed: Postponed): void {
    if (this.#postponed.get(key) !== postponed) return;
    const pending = this.#union.remote.errandsOf(postponed.demands);
    if (pending.length === 0) {
      this.#finished.push(key);
      return;
    }
    const answers = new Answers();
    postponed.answers = answers;
    this.#errands.run(key, pending, (results) => {
      for (const [index, { take }] of pending.entries()) take(results[index] ?? { status: -E.IO }, answers);
      if (this.#postponed.get(key) === postponed) this.#finished.push(key);
      else this.#union.remote.drop(answers);
    });
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
