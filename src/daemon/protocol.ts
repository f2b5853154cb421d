/**
 * What a client and the service say to each other, as bytes and as types: pure. Each message is a length (u32), a kind
 * (u8) and the rest, numbers in little endian. The first one is the client's request, with its descriptors 0 to 2.
 */

/** Where the service listens. Everybody may ask; what they get is the configuration's to say. */
export const socketPath = "/run/fallthrud/socket";

/** Both ends must speak the same one: they come from one package. */
export const protocolVersion = 3;

/** Linux takes 6 MiB of arguments and variables at most, with the usual limit of stacks a third of that. */
export const requestLimit = 4 << 20;
/** All other messages of a client are numbers. */
export const messageLimit = 64;
const wordLimit = 65_536;

/** What the service does for its clients. */
export type ProgramName = "schroot" | "login";

/** What a client asks for. */
export interface Request {
  readonly program: ProgramName;
  /** Without the name of the program. Whoever receives them has Buffers, as of all words. */
  readonly argv: readonly Uint8Array[];
  readonly environment: readonly (readonly [name: Uint8Array, value: Uint8Array])[];
  /** Undefined where it was deleted under the client. */
  readonly directory: Uint8Array | undefined;
  readonly umask: number;
  /** How many files a program may have open, unless it asks for more. */
  readonly fileLimit: number;
  /** Which of the descriptors 0, 1 and 2 the client has: they come with the message, in this order. */
  readonly descriptors: readonly number[];
  /** Whether its descriptor 0 is a terminal that was made for the commands, and is to be theirs. */
  readonly hasTerminal: boolean;
}

export type ClientMessage =
  | { readonly kind: "request"; readonly request: Request }
  | { readonly kind: "signal"; readonly signal: number }
  | { readonly kind: "shown" }; //  the answer to `show`

export type ServiceMessage =
  | { readonly kind: "say"; readonly stream: 1 | 2; readonly text: Uint8Array }
  | { readonly kind: "show" } //    answer when all that was said has been shown
  | { readonly kind: "accepted" } // to a login: somebody has begun with the request
  | { readonly kind: "started" } // to a login, and where there is a terminal: a command is being started, and has that
  | { readonly kind: "stopped" } // and was stopped
  | { readonly kind: "host" } //    nothing was done: be a shell on the machine's own root
  | { readonly kind: "exit"; readonly status: number };

/** What isn't a message of this protocol. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** The request is of another version: neither older nor newer ones are understood. */
export class VersionError extends ProtocolError {}

const clientKinds = { request: 1, signal: 2, shown: 3 } as const;
const serviceKinds = { say: 1, show: 2, started: 3, stopped: 4, exit: 5, host: 6, accepted: 7 } as const;

export function encodeClient(message: ClientMessage): Uint8Array {
  const kind = clientKinds[message.kind];
  switch (message.kind) {
    case "request":
      return frame(kind, encodeRequest(message.request));
    case "signal":
      return frame(kind, [Uint8Array.of(message.signal)]);
    case "shown":
      return frame(kind, []);
  }
}

export function encodeService(message: ServiceMessage): Uint8Array {
  const kind = serviceKinds[message.kind];
  switch (message.kind) {
    case "say":
      return frame(kind, [Uint8Array.of(message.stream), message.text]);
    case "exit":
      return frame(kind, [Uint8Array.of(message.status)]);
    default:
      return frame(kind, []);
  }
}

// No methods that take a function, and no Buffer: the first call of each costs a client's start 0.05 ms.
function frame(kind: number, parts: readonly Uint8Array[]): Uint8Array {
  let length = 1;
  for (const part of parts) length += part.length;
  const bytes = new Uint8Array(4 + length);
  put32(bytes, 0, length);
  bytes[4] = kind;
  let at = 5;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function encodeRequest(request: Request): Uint8Array[] {
  let mask = 0;
  for (const number of request.descriptors) mask |= 1 << number;
  const flags =
    (request.hasTerminal ? 1 : 0) | (request.directory === undefined ? 0 : 2) | (request.program === "login" ? 4 : 0);
  const head = Uint8Array.of(protocolVersion, 0, request.umask & 0xff, request.umask >> 8, mask, flags);
  const parts = [head, number32(request.fileLimit)];
  addWord(parts, request.directory ?? new Uint8Array());
  parts.push(number32(request.argv.length));
  for (const word of request.argv) addWord(parts, word);
  parts.push(number32(request.environment.length));
  for (const [name, value] of request.environment) {
    addWord(parts, name);
    addWord(parts, value);
  }
  return parts;
}

/** A word behind its length. */
function addWord(parts: Uint8Array[], word: Uint8Array): void {
  parts.push(number32(word.length), word);
}

function number32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  put32(bytes, 0, value);
  return bytes;
}

/** In little endian. */
function put32(bytes: Uint8Array, at: number, value: number): void {
  for (let byte = 0; byte < 4; byte++) bytes[at + byte] = (value >>> (8 * byte)) & 0xff;
}

/** Collects what arrives until it is a message. */
export class Inbox {
  readonly #limit: number;
  #chunks: Uint8Array[] = [];
  #length = 0;

  /** @param limit a longer message is refused as soon as its length is known */
  constructor(limit: number) {
    this.#limit = limit;
  }

  add(data: Uint8Array): void {
    // slice() of a Buffer would be no copy.
    this.#chunks.push(new Uint8Array(data));
    this.#length += data.length;
  }

  /** @returns the next whole message, without its length. @throws {ProtocolError} too long, or empty */
  next(): Uint8Array | undefined {
    if (this.#length < 4) return undefined;
    let first = this.#chunks[0];
    if (first === undefined || first.length < 4) first = this.#join();
    const length = number(first, 4);
    if (length === 0 || length > this.#limit) throw new ProtocolError(`a message of ${length} bytes`);
    if (this.#length < 4 + length) return undefined;
    const all = this.#join();
    this.#chunks = [all.subarray(4 + length)];
    this.#length -= 4 + length;
    return all.subarray(4, 4 + length);
  }

  #join(): Uint8Array {
    let all = this.#chunks[0] ?? new Uint8Array();
    if (this.#chunks.length > 1) {
      all = new Uint8Array(this.#length);
      let at = 0;
      for (const chunk of this.#chunks) {
        all.set(chunk, at);
        at += chunk.length;
      }
    }
    this.#chunks = [all];
    return all;
  }
}

/** @throws {ProtocolError} */
export function decodeClient(message: Uint8Array): ClientMessage {
  const body = new Body(message, 1);
  switch (message[0]) {
    case clientKinds.request:
      return { kind: "request", request: decodeRequest(body) };
    case clientKinds.signal:
      return body.end({ kind: "signal", signal: body.number8() });
    case clientKinds.shown:
      return body.end({ kind: "shown" });
    default:
      throw new ProtocolError(`a message of the unknown kind ${String(message[0])}`);
  }
}

/** @throws {ProtocolError} */
export function decodeService(message: Uint8Array): ServiceMessage {
  const body = new Body(message, 1);
  switch (message[0]) {
    case serviceKinds.say: {
      const stream = body.number8();
      if (stream !== 1 && stream !== 2) throw new ProtocolError(`words for descriptor ${stream}`);
      return { kind: "say", stream, text: body.rest() };
    }
    case serviceKinds.show:
      return body.end({ kind: "show" });
    case serviceKinds.started:
      return body.end({ kind: "started" });
    case serviceKinds.stopped:
      return body.end({ kind: "stopped" });
    case serviceKinds.accepted:
      return body.end({ kind: "accepted" });
    case serviceKinds.host:
      return body.end({ kind: "host" });
    case serviceKinds.exit:
      return body.end({ kind: "exit", status: body.number8() });
    default:
      throw new ProtocolError(`a message of the unknown kind ${String(message[0])}`);
  }
}

function decodeRequest(body: Body): Request {
  const version = body.number16();
  if (version !== protocolVersion) throw new VersionError(`version ${version} of the protocol`);
  const umask = body.number16();
  const mask = body.number8();
  const flags = body.number8();
  if (umask > 0o777 || mask > 7 || flags > 7) throw new ProtocolError("a request with unknown flags");
  const fileLimit = body.number32();
  const directory = body.word();
  const argv = Array.from({ length: body.count() }, () => body.word());
  const environment = Array.from({ length: body.count() }, () => [body.word(), body.word()] as const);
  if (environment.some(([name]) => name.length === 0 || name.includes(0x3d)))
    throw new ProtocolError("a variable without a name");
  const hasTerminal = (flags & 1) !== 0;
  const descriptors = [0, 1, 2].filter((number) => (mask & (1 << number)) !== 0);
  if (hasTerminal && !descriptors.includes(0)) throw new ProtocolError("a terminal that isn't there");
  return body.end({
    program: (flags & 4) === 0 ? "schroot" : "login",
    argv,
    environment,
    directory: (flags & 2) === 0 ? undefined : directory,
    umask,
    fileLimit,
    descriptors,
    hasTerminal,
  });
}

/** The number in the first bytes, in little endian. */
function number(bytes: Uint8Array, size: number): number {
  let value = 0;
  for (let byte = size - 1; byte >= 0; byte--) value = value * 256 + (bytes[byte] ?? 0);
  return value;
}

/** Reads a message from its start; whoever sent it may have meant harm. */
class Body {
  readonly #data: Uint8Array;
  #at: number;

  constructor(data: Uint8Array, at: number) {
    this.#data = data;
    this.#at = at;
  }

  number8(): number {
    return number(this.#take(1), 1);
  }

  number16(): number {
    return number(this.#take(2), 2);
  }

  number32(): number {
    return number(this.#take(4), 4);
  }

  count(): number {
    const count = this.number32();
    if (count > wordLimit) throw new ProtocolError(`${count} words`);
    return count;
  }

  /** Without a NUL: what comes behind one would be hidden from whoever checks the word. A Buffer: toString() is its text. */
  word(): Buffer {
    const { buffer, byteOffset, length } = this.#take(this.number32());
    const word = Buffer.from(buffer, byteOffset, length);
    if (word.includes(0)) throw new ProtocolError("a word with a NUL");
    return word;
  }

  rest(): Uint8Array {
    return this.#take(this.#data.length - this.#at);
  }

  end<T>(value: T): T {
    if (this.#at !== this.#data.length) throw new ProtocolError("a message with more than belongs to it");
    return value;
  }

  #take(length: number): Uint8Array {
    if (length > this.#data.length - this.#at) throw new ProtocolError("a message that ends too early");
    this.#at += length;
    return this.#data.subarray(this.#at - length, this.#at);
  }
}
