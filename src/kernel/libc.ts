import type koffi from "koffi";

type Koffi = typeof koffi;

/** What a C function takes here: a number, a 64-bit one, a buffer's address, or NULL. */
export type Argument = number | bigint | Uint8Array | null;
export type NativeFunction = (...args: Argument[]) => number;

let loaded: { koffi: Koffi; libc: ReturnType<Koffi["load"]> } | undefined;

/**
 * koffi and the C library, loaded at the first call that needs them (2 ms).
 * The compiled executable takes `koffi.node` from beside itself: embedded, Bun would unpack it into
 * /tmp at each start, where others can write.
 */
function load(): { koffi: Koffi; libc: ReturnType<Koffi["load"]> } {
  if (loaded !== undefined) return loaded;
  const koffi = isCompiled()
    ? loadBeside()
    : (process.getBuiltinModule("node:module").createRequire(import.meta.url)("koffi") as Koffi);
  loaded = { koffi, libc: koffi.load("libc.so.6") };
  return loaded;
}

/** Without require(), which looks through directories first. */
function loadBeside(): Koffi {
  const module: { exports: Koffi } = { exports: {} as Koffi };
  process.dlopen(module, `${process.execPath.slice(0, process.execPath.lastIndexOf("/"))}/koffi.node`);
  return module.exports;
}

/** True in the executable that `bun build --compile` makes, whose modules live in a virtual file system. */
export function isCompiled(): boolean {
  return import.meta.url.includes("/$bunfs/");
}

/**
 * Declares a function of the C library; it is looked up at its first call (each look-up costs 25 µs, and
 * a verb needs few of them). Pointers are declared `void *` and passed as buffers.
 */
export function native(symbol: string, result: string, parameters: readonly string[]): NativeFunction {
  let bound: NativeFunction | undefined;
  return (...args) => {
    bound ??= load().libc.func(symbol, result, [...parameters]) as NativeFunction;
    quickErrno = 0;
    return bound(...args);
  };
}

/**
 * As native(), for a function that changes nothing where it returns −1. In Bun it is called without koffi, whose loading
 * costs a start 1.3 ms, and reads a file, which a process that has changed its root must not: see bindInBun(). Other than
 * koffi that doesn't keep errno from what the runtime does before we look: a call that fails is made again until errno
 * says the same twice. ENOENT, EEXIST and ENODATA are believed at once, where it could be looked at: nothing that a runtime
 * does by itself meanwhile leaves those.
 * @param failure "told once" where the next call would know nothing of it, as with fsync(2): then errno is believed
 */
export function quick(
  symbol: string,
  result: "int" | "long",
  parameters: readonly ParameterType[],
  failure: "lasting" | "told once" = "lasting",
): NativeFunction {
  let bound: NativeFunction | undefined;
  const bind = (): NativeFunction => {
    if (failure === "told once") findErrno();
    return (bound = bindInBun(symbol, result, parameters) ?? native(symbol, result, parameters));
  };
  const failed = (...args: Argument[]): number => {
    const wasKnown = errnoCell !== undefined;
    const errno = findErrno();
    if (errno === undefined || bound === undefined) return -1;
    quickErrno = errno[0] ?? 0;
    return failure === "told once" || (wasKnown && believed.has(quickErrno)) ? -1 : callAgain(bound, args, errno);
  };
  return withArity(parameters.length, () => bound ?? bind(), failed);
}

function callAgain(call: NativeFunction, args: Argument[], errno: Int32Array): number {
  for (;;) {
    const before = errno[0] ?? 0;
    const value = call(...args);
    quickErrno = errno[0] ?? 0;
    if (value !== -1 || quickErrno === before) return value;
  }
}

/**
 * As quick(), for the calls of a hot path: a fifth of what koffi takes. A parameter of 32 bits must be given a number of 32
 * bits with its sign, and as such (`x | 0`): the engine may hold one that was above 2^31 elsewhere as a double.
 */
export function hot(
  symbol: string,
  result: "int" | "long",
  parameters: readonly ParameterType[],
  failure: "lasting" | "told once" = "lasting",
): NativeFunction {
  let bound: NativeFunction | undefined;
  const bind = (): NativeFunction => {
    findErrno();
    return (bound = bareInBun(symbol, result, parameters) ?? native(symbol, result, parameters));
  };
  const failed = (...args: Argument[]): number => {
    if (errnoCell === undefined || bound === undefined) return -1;
    quickErrno = errnoCell[0] ?? 0;
    return failure === "told once" || believed.has(quickErrno) ? -1 : callAgain(bound, args, errnoCell);
  };
  return withArity(parameters.length, () => bound ?? bind(), failed);
}

const believed: ReadonlySet<number> = new Set([2, 17, 61]); // ENOENT, EEXIST, ENODATA

/** Each with parameters of its own: gathering them in an array would cost more than the call does. */
function withArity(count: number, bound: () => NativeFunction, failed: NativeFunction): NativeFunction {
  switch (count) {
    case 1:
      return (a) => {
        const value = bound()(a);
        return value === -1 ? failed(a) : value;
      };
    case 2:
      return (a, b) => {
        const value = bound()(a, b);
        return value === -1 ? failed(a, b) : value;
      };
    case 3:
      return (a, b, c) => {
        const value = bound()(a, b, c);
        return value === -1 ? failed(a, b, c) : value;
      };
    case 4:
      return (a, b, c, d) => {
        const value = bound()(a, b, c, d);
        return value === -1 ? failed(a, b, c, d) : value;
      };
    case 5:
      return (a, b, c, d, e) => {
        const value = bound()(a, b, c, d, e);
        return value === -1 ? failed(a, b, c, d, e) : value;
      };
    default:
      return (...args) => {
        const value = bound()(...args);
        return value === -1 ? failed(...args) : value;
      };
  }
}

/** errno of the last call, where that was a quick one and failed; else 0. */
let quickErrno = 0;

/** Where this runs in Bun, this thread's errno itself: reading an array's element is no call, which might change it. */
let errnoCell: Int32Array | undefined;

/** Not before it is needed: most starts see no call fail, and to find it costs 0.1 ms. */
function findErrno(): Int32Array | undefined {
  const bun = bunFfi();
  if (bun === undefined || errnoCell !== undefined) return errnoCell;
  const locate = bun.dlopen("libc.so.6", { __errno_location: { args: [], returns: "ptr" } }).symbols[
    "__errno_location"
  ];
  if (locate !== undefined) errnoCell = new Int32Array(bun.toArrayBuffer(locate(), 0, 4));
  return errnoCell;
}

/** As quick(), where nobody asks why it failed: lastErrno() says nothing of this call. */
export function withoutErrno(
  symbol: string,
  result: "int" | "long",
  parameters: readonly ParameterType[],
): NativeFunction {
  let bound: NativeFunction | undefined;
  const bind = (): NativeFunction =>
    (bound ??= bindInBun(symbol, result, parameters) ?? native(symbol, result, parameters));
  return withArity(parameters.length, bind, () => -1);
}

/** C's types as Bun knows them; a result that fits is no bigint with the fast ones. */
const bunTypes = {
  short: "i16",
  int: "i32",
  "unsigned int": "u32",
  long: "i64_fast",
  "unsigned long": "u64_fast",
  size_t: "u64_fast",
  uint64_t: "u64_fast",
  "void *": "ptr",
} as const;

type ParameterType = keyof typeof bunTypes;

/** What Bun's module bun:ffi is made of; evaluating that module costs 0.5 ms. */
interface BunFfi {
  dlopen(
    file: string,
    symbols: Record<string, { args: string[]; returns: string }>,
  ): { symbols: Record<string, NativeFunction> };
  ptr(data: Uint8Array): number;
  toArrayBuffer(address: number, offset: number, size: number): ArrayBuffer;
}

export function isBun(): boolean {
  return bunFfi() !== undefined;
}

function bunFfi(): BunFfi | undefined {
  return (globalThis as { Bun?: { FFI?: BunFfi } }).Bun?.FFI;
}

/** @returns undefined in Node. What comes back takes arguments unseen: a 32-bit number must be one, whatever its sign. */
function bareInBun(
  symbol: string,
  result: "int" | "long",
  parameters: readonly ParameterType[],
): NativeFunction | undefined {
  const bun = bunFfi();
  if (bun === undefined) return undefined;
  const args = parameters.map((type) => bunTypes[type]);
  return bun.dlopen("libc.so.6", { [symbol]: { args, returns: bunTypes[result] } }).symbols[symbol];
}

/** @returns undefined in Node. Numbers are made to be of 32 bits where C wants them so. */
function bindInBun(
  symbol: string,
  result: "int" | "long",
  parameters: readonly ParameterType[],
): NativeFunction | undefined {
  let isNarrow = 0;
  for (const [index, type] of parameters.entries()) {
    if (type === "int" || type === "unsigned int" || type === "short") isNarrow |= 1 << index;
  }
  const call = bareInBun(symbol, result, parameters);
  if (call === undefined || isNarrow === 0) return call;
  return narrowed(parameters.length, isNarrow, call);
}

/** As withArity(). @param which parameters are of 32 bits, the first in bit 0 */
function narrowed(count: number, which: number, call: NativeFunction): NativeFunction {
  const [first, second, third] = [(which & 1) !== 0, (which & 2) !== 0, (which & 4) !== 0];
  const [fourth, fifth] = [(which & 8) !== 0, (which & 16) !== 0];
  switch (count) {
    case 1:
      return (a) => call(first ? narrow(a) : a);
    case 2:
      return (a, b) => call(first ? narrow(a) : a, second ? narrow(b) : b);
    case 3:
      return (a, b, c) => call(first ? narrow(a) : a, second ? narrow(b) : b, third ? narrow(c) : c);
    case 4:
      return (a, b, c, d) =>
        call(first ? narrow(a) : a, second ? narrow(b) : b, third ? narrow(c) : c, fourth ? narrow(d) : d);
    case 5:
      return (a, b, c, d, e) =>
        call(
          first ? narrow(a) : a,
          second ? narrow(b) : b,
          third ? narrow(c) : c,
          fourth ? narrow(d) : d,
          fifth ? narrow(e) : e,
        );
    default:
      return (...given) => {
        for (let index = 0; index < given.length; index++) {
          if ((which >> index) & 1) given[index] = Number(given[index]) | 0;
        }
        return call(...given);
      };
  }
}

function narrow(value: Argument): number {
  return typeof value === "number" ? value | 0 : Number(value) | 0;
}

/**
 * As native(), but the call is made by a thread of the pool, for calls that block; signals go on being handled.
 * errno stays with that thread: the call must tell its outcome in what it fills in.
 */
export function nativeAsync(
  symbol: string,
  result: string,
  parameters: readonly string[],
): (...args: Argument[]) => Promise<number> {
  let bound: AsyncFunction | undefined;
  return (...args) => {
    bound ??= (load().libc.func(symbol, result, [...parameters]) as unknown as { async: AsyncFunction }).async;
    const call = bound;
    return new Promise((resolve, reject) => {
      call(...args, (error, value) => (error === null || error === undefined ? resolve(value) : reject(error)));
    });
  };
}

type AsyncFunction = (...args: [...Argument[], (error: Error | null | undefined, value: number) => void]) => void;

/** The calling thread's errno after a call that returned −1. */
export function lastErrno(): number {
  return quickErrno === 0 ? load().koffi.errno() : quickErrno;
}

/** A pointer to `data` as bytes to be placed inside another structure; `data` must outlive its use. */
export function addressOf(data: Uint8Array): bigint {
  const bun = bunFfi();
  return bun === undefined ? load().koffi.address(data) : BigInt(bun.ptr(data));
}

/** A path or name as the kernel takes it: bytes with a terminating NUL. */
export type Path = string | Uint8Array;

export function cString(path: Path): Uint8Array {
  const bytes = typeof path === "string" ? encoder.encode(`${path}\0`) : Buffer.concat([path, nul]);
  if (bytes.indexOf(0) !== bytes.length - 1) throw new TypeError(`a NUL byte inside ${JSON.stringify(pathText(path))}`);
  return bytes;
}

const nul = new Uint8Array(1);
// The first Buffer.from() of a text costs a start 0.1 ms, this 0.03.
const encoder = new TextEncoder();

/** A path for messages: bytes that aren't UTF-8 are shown as \xNN, control characters likewise. */
export function pathText(path: Path): string {
  const text = typeof path === "string" ? path : Buffer.from(path).toString("utf8");
  if (typeof path !== "string" && text.includes("\uFFFD")) {
    return Array.from(path, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : hex(byte))).join("");
  }
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f]/g, (char) => hex(char.charCodeAt(0)));
}

function hex(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}

/** Memory at an address as bytes; it must stay there as long as they are used. */
export function viewOf(address: bigint, size: number): ArrayBuffer {
  return load().koffi.view(address, size);
}
