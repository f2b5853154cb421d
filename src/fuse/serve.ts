import { errnoNumber, KernelError } from "../kernel/error.ts";
import { pageSize } from "../kernel/fuse.ts";
import type { Fd } from "../kernel/fd.ts";
import { waitUntilReady } from "../kernel/poll.ts";
import type { Connection } from "./connection.ts";
import { Deferred, type Outcome } from "./deferred.ts";
import { agreeOn, MAX_WRITE_BYTES, type Wishes } from "./features.ts";
import type { FileSystem, Request } from "./filesystem.ts";
import { defineAttributes, defineXattrs } from "./operations/attributes.ts";
import { defineData, defineRest } from "./operations/data.ts";
import { type Incoming, type Operation, startDefinitions } from "./operations/define.ts";
import { defineDirectories } from "./operations/directories.ts";
import { defineFiles } from "./operations/files.ts";
import { defineLocks } from "./operations/locks.ts";
import { defineMoves, defineNames } from "./operations/names.ts";
import { readOffer, type Terms, writeTerms } from "./wire/init.ts";
import { readU64 } from "./wire/numbers.ts";
import { IN_HEADER_SIZE, MAJOR, OPCODE, OUT_HEADER_SIZE } from "./wire/protocol.ts";
import { ReplyBuffer, type Timeouts } from "./wire/reply.ts";
import { RequestBuffer } from "./wire/request.ts";

export interface ServeOptions extends Wishes, Partial<Timeouts> {
  /** INIT is done: from now on the mount answers. */
  readonly onReady?: (terms: Terms) => void;
  /** Told of each request that an earlier server had read: it may be what ended that one. */
  readonly retries?: Retries;
  readonly ahead?: Ahead;
  /** What a method threw that isn't an errno; the caller gets EIO. By default it is written to stderr. */
  readonly onError?: (error: unknown, opcode: number) => void;
}

/** What has to happen before some requests are answered, and takes time: others are answered meanwhile. */
export interface Ahead {
  /** Ready to be read when finish() has something to do. */
  readonly descriptor: Fd;
  /** @returns false: it can be answered now */
  begin(request: RequestBuffer): boolean;
  /** Calls with the `key` of each request that can be answered now. */
  finish(each: (key: number) => void): void;
  /** Nobody waits for that request any more. */
  cancel(key: number): void;
}

/** Around each request that is sent again. */
export interface Retries {
  /** @returns false: it is answered with EIO */
  start(): boolean;
  end(): void;
}

/**
 * Answers requests until the file system is unmounted. It blocks its thread, and the event loop with it: nothing else
 * happens in it, and what the methods do must not touch this mount. By default the kernel believes what it is told for
 * a second (`entryTimeoutMs`, `attrTimeoutMs`) and remembers no absent names (`negativeTimeoutMs`).
 */
export function serve(connection: Connection, fileSystem: FileSystem, options: ServeOptions = {}): void {
  const server = new Server(connection, fileSystem, options);
  if (options.ahead !== undefined) serveLater(connection, server, options.ahead);
  else serveNow(connection, server);
  fileSystem.destroy?.();
}

function serveNow(connection: Connection, server: Server): void {
  const watched = [{ file: connection.device }];
  for (;;) {
    if (server.hasFull && waitUntilReady(watched, 0).length === 0) server.retryFull(0);
    if (!connection.receive(server.request)) return;
    server.answer();
    server.retryFull(FORGETS_WITHIN);
  }
}

function serveLater(connection: Connection, server: Server, ahead: Ahead): void {
  const watched = [{ file: connection.device }, { file: ahead.descriptor }];
  connection.dontWait();
  for (;;) {
    const received = connection.receiveNow(server.request);
    if (received === false) return;
    if (received === "later") {
      if (server.hasFull) server.retryFull(0);
      else waitUntilReady(watched, -1);
    } else {
      if (!server.postpone(ahead)) server.answer();
      server.retryFull(FORGETS_WITHIN);
    }
    ahead.finish((key) => server.resume(key));
  }
}

const [EINTR, EINVAL, EIO, ENOSPC, ENOSYS, EPROTO, EDQUOT] = [4, 22, 5, 28, 38, 71, 122];

/** After so many requests Linux has sent what it wants to have forgotten, too. @see fs/fuse/dev.c, forget_batch */
const FORGETS_WITHIN = 8;

class IncomingRequest extends RequestBuffer implements Request {
  /** See Operation.encode(). */
  limit = 0;
  readonly #server: { defer<T>(): Deferred<T> };

  constructor(size: number, server: { defer<T>(): Deferred<T> }) {
    super(size);
    this.#server = server;
  }

  defer<T>(): Deferred<T> {
    return this.#server.defer<T>();
  }
}

class Server {
  readonly request: Incoming;
  readonly #connection: Connection;
  readonly #fileSystem: FileSystem;
  readonly #options: ServeOptions;
  readonly #reply: ReplyBuffer;
  readonly #operations: readonly (Operation | undefined)[];
  /** By RequestBuffer.key: those that wait for their answer. */
  readonly #deferred = new Map<number, Deferred<unknown>>();
  /**
   * Those that found the disk full. What was removed before them gives its room back when the kernel has it forgotten, and that it
   * says only when it has time: they are tried once more then.
   */
  readonly #full: Buffer[] = [];
  #sinceFull = 0;
  #mayBeFull = true;
  /** By RequestBuffer.key: the bytes of those that something has to happen for first. */
  readonly #postponed = new Map<number, Buffer>();

  constructor(connection: Connection, fileSystem: FileSystem, options: ServeOptions) {
    this.#connection = connection;
    this.#fileSystem = fileSystem;
    this.#options = options;
    const size = (connection.terms?.maxWriteBytes ?? options.maxWriteBytes ?? MAX_WRITE_BYTES) + 65536;
    this.request = new IncomingRequest(size, this);
    const { entryTimeoutMs = 1000, attrTimeoutMs = 1000, negativeTimeoutMs = 0 } = options;
    this.#reply = new ReplyBuffer(size, { entryTimeoutMs, attrTimeoutMs, negativeTimeoutMs });
    const definitions = startDefinitions(fileSystem, this.#reply);
    defineNames(definitions);
    defineMoves(definitions);
    defineAttributes(definitions);
    defineXattrs(definitions, () => (connection.terms?.features.includes("SETXATTR_EXT") === true ? 16 : 8));
    defineFiles(definitions);
    defineData(definitions);
    defineRest(definitions);
    defineDirectories(definitions);
    defineLocks(definitions);
    this.#operations = definitions.table;
  }

  /** Answers the request that was received. */
  answer(): void {
    const { request } = this;
    const operation = this.#operations[request.opcode];
    if (operation === undefined) {
      this.#answerOther();
      return;
    }
    if (request.isResend && this.#options.retries !== undefined) this.#retry(operation, this.#options.retries);
    else this.#perform(operation);
  }

  /** @returns false: the request that was received can be answered now */
  postpone(ahead: Ahead): boolean {
    const { request } = this;
    if (!ahead.begin(request)) return false;
    this.#postponed.set(request.key, Buffer.from(request.bytes.subarray(0, request.length)));
    return true;
  }

  /** Answers one that was postponed, unless nobody waits for it any more. */
  resume(key: number): void {
    const bytes = this.#postponed.get(key);
    if (bytes === undefined) return;
    this.#postponed.delete(key);
    this.#answerKept(bytes);
  }

  /** It isn't kept again where the disk is full: what was done ahead for one that was postponed would be done anew, by this thread. */
  #answerKept(bytes: Buffer): void {
    this.request.bytes.set(bytes);
    this.request.parseHeader(bytes.length);
    this.#mayBeFull = false;
    this.answer();
    this.#mayBeFull = true;
  }

  get hasFull(): boolean {
    return this.#full.length > 0;
  }

  /** Tries those once more that found the disk full, when the kernel has sent `after` more requests since. */
  retryFull(after: number): void {
    if (this.#full.length === 0 || this.#sinceFull++ < after) return;
    for (const bytes of this.#full.splice(0)) this.#answerKept(bytes);
  }

  #refuse(errno: number): void {
    const { bytes, length, uniqueLow, uniqueHigh } = this.request;
    if ((errno !== ENOSPC && errno !== EDQUOT) || !this.#mayBeFull) {
      this.#sendError(errno, uniqueLow, uniqueHigh);
      return;
    }
    if (this.#full.length === 0) this.#sinceFull = 0;
    this.#full.push(Buffer.from(bytes.subarray(0, length)));
  }

  /** A signal has reached who waits. Of a request that has been answered meanwhile, nothing is said. */
  #interrupt(key: number): void {
    this.#deferred.get(key)?.onInterrupt?.();
    const bytes = this.#postponed.get(key);
    if (bytes === undefined) return;
    this.#postponed.delete(key);
    this.#options.ahead?.cancel(key);
    this.#sendError(EINTR, bytes.readUInt32LE(8), bytes.readUInt32LE(12));
  }

  #retry(operation: Operation, retries: Retries): void {
    const { request } = this;
    if (retries.start()) this.#perform(operation);
    else this.#sendError(EIO, request.uniqueLow, request.uniqueHigh);
    retries.end();
  }

  #perform(operation: Operation): void {
    const { request } = this;
    request.limit = 0;
    let result: unknown;
    try {
      result = operation.call(request);
    } catch (error) {
      this.#refuse(this.#errnoOf(error, request.opcode));
      return;
    }
    if (result instanceof Deferred) {
      if (!result.isDone) this.#deferred.set(request.key, result);
      return;
    }
    if (typeof result === "number" && result < 0) {
      this.#refuse(-result);
      return;
    }
    this.#send(operation, result, request.limit, request.uniqueLow, request.uniqueHigh);
  }

  /** For the request at hand: what it needs to be answered when the buffer holds another one. */
  defer<T>(): Deferred<T> {
    const { uniqueLow, uniqueHigh, opcode, key, limit } = this.request;
    const operation = this.#operations[opcode];
    if (operation === undefined) throw new Error("there is no request to defer");
    const send = (outcome: Outcome<T>): void => {
      this.#deferred.delete(key);
      if (outcome.kind === "value") this.#send(operation, outcome.value, limit, uniqueLow, uniqueHigh);
      else this.#sendError(this.#errnoOf(outcome.error, opcode), uniqueLow, uniqueHigh);
    };
    return new Deferred<T>({ send });
  }

  #send(operation: Operation, result: unknown, limit: number, uniqueLow: number, uniqueHigh: number): void {
    const reply = this.#reply;
    const size = operation.encode(reply, result, limit);
    if (size < 0) {
      this.#sendError(-size, uniqueLow, uniqueHigh);
      return;
    }
    reply.writeHeader(OUT_HEADER_SIZE + size, 0, uniqueLow, uniqueHigh);
    this.#connection.send(reply, OUT_HEADER_SIZE + size);
  }

  #sendError(errno: number, uniqueLow: number, uniqueHigh: number): void {
    this.#reply.writeHeader(OUT_HEADER_SIZE, errno, uniqueLow, uniqueHigh);
    this.#connection.send(this.#reply, OUT_HEADER_SIZE);
  }

  /** What isn't a method of the file system's, or one that it lacks. */
  #answerOther(): void {
    const { opcode, uniqueLow, uniqueHigh, nodeid, view } = this.request;
    switch (opcode) {
      case OPCODE.FORGET:
        this.#fileSystem.forget?.(nodeid, readU64(view, IN_HEADER_SIZE));
        this.#fileSystem.forgotten?.();
        return;
      case OPCODE.BATCH_FORGET:
        this.#forgetMany();
        return;
      case OPCODE.INTERRUPT:
        this.#interrupt(interruptedKey(view));
        return;
      case OPCODE.INIT:
        this.#initialize();
        return;
      case OPCODE.DESTROY:
        this.#sendError(0, uniqueLow, uniqueHigh);
        return;
      default:
        this.#sendError(ENOSYS, uniqueLow, uniqueHigh);
    }
  }

  /** struct fuse_batch_forget_in, and as many struct fuse_forget_one */
  #forgetMany(): void {
    const { view } = this.request;
    const count = view.getUint32(IN_HEADER_SIZE, true);
    for (let at = IN_HEADER_SIZE + 8; at < IN_HEADER_SIZE + 8 + count * 16; at += 16) {
      this.#fileSystem.forget?.(readU64(view, at), readU64(view, at + 8));
    }
    this.#fileSystem.forgotten?.();
  }

  #initialize(): void {
    const { request } = this;
    const { uniqueLow, uniqueHigh } = request;
    const offer = readOffer(request);
    if (offer.major < MAJOR) {
      this.#sendError(EPROTO, uniqueLow, uniqueHigh);
      return;
    }
    const terms = agreeOn(offer, this.#options, this.#fileSystem);
    const size = OUT_HEADER_SIZE + writeTerms(this.#reply, terms, pageSize());
    this.#connection.agree(terms);
    this.#reply.writeHeader(size, 0, uniqueLow, uniqueHigh);
    this.#connection.send(this.#reply, size);
    // A kernel with a newer major version says INIT again, with ours.
    if (offer.major === MAJOR) this.#options.onReady?.(terms);
  }

  #errnoOf(error: unknown, opcode: number): number {
    const name = error instanceof KernelError ? error.errno : codeOf(error);
    const number = name === undefined ? undefined : (errnoNumber(name) ?? /^errno (\d+)$/.exec(name)?.[1] ?? EINVAL);
    if (number !== undefined) return Number(number);
    const { onError = writeError } = this.#options;
    onError(error, opcode);
    return EIO;
  }
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  return errnoNumber(error.code) === undefined ? undefined : error.code;
}

function interruptedKey(view: DataView): number {
  return view.getUint32(IN_HEADER_SIZE, true) + (view.getUint32(IN_HEADER_SIZE + 4, true) & 0x1f_ffff) * 0x1_0000_0000;
}

function writeError(error: unknown, opcode: number): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`fuse: opcode ${opcode}: ${text}\n`);
}
