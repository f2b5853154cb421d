import type koffi from "koffi";
import { callNumber } from "./abi/calls.ts";

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
 * costs a start 1.3 ms, and reads a file, which a process that has changed its root must not: see bind(). Other than
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
  return declare({ symbol, result, parameters, failure, bind, bound: undefined });
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
  return declare({ symbol, result, parameters, failure, bind: bindHot, bound: undefined });
}

/** As quick(), where nobody asks why it failed: lastErrno() says nothing of this call. */
export function withoutErrno(
  symbol: string,
  result: "int" | "long",
  parameters: readonly ParameterType[],
): NativeFunction {
  return declare({ symbol, result, parameters, failure: "untold", bind, bound: undefined });
}

/** A function of C's, which is looked for at its first call. */
interface Declared {
  readonly symbol: string;
  readonly result: "int" | "long";
  readonly parameters: readonly ParameterType[];
  readonly failure: "lasting" | "told once" | "untold";
  readonly bind: (declared: Declared) => NativeFunction;
  bound: NativeFunction | undefined;
}

/** Each with parameters of its own: gathering them in an array would cost more than the call does. */
function declare(it: Declared): NativeFunction {
  switch (it.parameters.length) {
    case 1:
      return (a) => {
        const value = (it.bound ?? find(it))(a);
        return value === -1 ? failed(it, a) : value;
      };
    case 2:
      return (a, b) => {
        const value = (it.bound ?? find(it))(a, b);
        return value === -1 ? failed(it, a, b) : value;
      };
    case 3:
      return (a, b, c) => {
        const value = (it.bound ?? find(it))(a, b, c);
        return value === -1 ? failed(it, a, b, c) : value;
      };
    case 4:
      return (a, b, c, d) => {
        const value = (it.bound ?? find(it))(a, b, c, d);
        return value === -1 ? failed(it, a, b, c, d) : value;
      };
    case 5:
      return (a, b, c, d, e) => {
        const value = (it.bound ?? find(it))(a, b, c, d, e);
        return value === -1 ? failed(it, a, b, c, d, e) : value;
      };
    case 6:
      return (a, b, c, d, e, f) => {
        const value = (it.bound ?? find(it))(a, b, c, d, e, f);
        return value === -1 ? failed(it, a, b, c, d, e, f) : value;
      };
    case 7:
      return (a, b, c, d, e, f, g) => {
        const value = (it.bound ?? find(it))(a, b, c, d, e, f, g);
        return value === -1 ? failed(it, a, b, c, d, e, f, g) : value;
      };
    default:
      return (...args) => {
        const value = (it.bound ?? find(it))(...args);
        return value === -1 ? failed(it, ...args) : value;
      };
  }
}

function find(it: Declared): NativeFunction {
  if (it.failure === "told once") findErrno();
  return (it.bound = it.bind(it));
}

function failed({ failure, bound }: Declared, ...args: Argument[]): number {
  if (failure === "untold") return -1;
  const wasKnown = errnoCell !== undefined;
  const errno = findErrno();
  if (errno === undefined || bound === undefined) return -1;
  quickErrno = errno[0] ?? 0;
  return failure === "told once" || (wasKnown && believed.has(quickErrno)) ? -1 : callAgain(bound, args, errno);
}

const believed: ReadonlySet<number> = new Set([2, 17, 61]); // ENOENT, EEXIST, ENODATA

function callAgain(call: NativeFunction, args: Argument[], errno: Int32Array): number {
  for (;;) {
    const before = errno[0] ?? 0;
    const value = call(...args);
    quickErrno = errno[0] ?? 0;
    if (value !== -1 || quickErrno === before) return value;
  }
}

/** errno of the last call, where that was a quick one and failed; else 0. */
let quickErrno = 0;

/** Where this runs in Bun, this thread's errno itself: reading an array's element is no call, which might change it. */
let errnoCell: Int32Array | undefined;

/** Not before it is needed: most starts see no call fail, and to find it costs 0.1 ms. */
function findErrno(): Int32Array | undefined {
  if (errnoCell !== undefined) return errnoCell;
  const bun = bunFfi();
  if (bun === undefined) return undefined;
  const locate = bun.dlopen("libc.so.6", { __errno_location: { args: [], returns: "ptr" } }).symbols[
    "__errno_location"
  ];
  if (locate !== undefined) errnoCell = new Int32Array(bun.toArrayBuffer(locate(), 0, 4));
  return errnoCell;
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
type BunType = (typeof bunTypes)[ParameterType];

/** What Bun's module bun:ffi is made of; evaluating that module costs 0.5 ms. */
interface BunFfi {
  dlopen(
    file: string,
    symbols: Record<string, { args: readonly string[]; returns: string }>,
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

/**
 * In Node it is koffi's. In Bun one function makes all system calls: to look for another costs a start 0.02 ms. Each parameter
 * is a pointer to Bun, which takes numbers of every size as well; of those C and Linux take as many bits as they want.
 */
function bind({ symbol, result, parameters }: Declared): NativeFunction {
  const bun = bunFfi();
  if (bun === undefined) return native(symbol, result, parameters);
  const number = symbol === "syscall" ? undefined : callNumber(symbol);
  if (number === undefined && symbol !== "syscall") return findInBun(bun, symbol, pointers(parameters.length), result);
  const call = (systemCall ??= findInBun(bun, "syscall", pointers(7), "long"));
  if (number === undefined) return (given, a = 0, b = 0, c = 0, d = 0, e = 0) => call(given, a, b, c, d, e, 0);
  return (a = 0, b = 0, c = 0, d = 0, e = 0) => call(number, a, b, c, d, e, 0);
}

let systemCall: NativeFunction | undefined;

/**
 * What gives C's function itself, with no JavaScript around it: between two calls of such the engine neither compiles nor allocates, and so
 * makes no thread. Why one failed tells bareErrno(), at once. `syscall` has seven parameters, of which all must be given.
 */
export function bare(
  symbol: string,
  result: "int" | "long",
  parameters: readonly ParameterType[],
): () => NativeFunction {
  const find = (): NativeFunction => {
    const bun = bunFfi();
    if (bun === undefined) return native(symbol, result, parameters);
    if (symbol === "syscall") return (systemCall ??= findInBun(bun, symbol, pointers(7), "long"));
    return findInBun(bun, symbol, pointers(parameters.length), result);
  };
  let bound: NativeFunction | undefined;
  return () => (bound ??= find());
}

function pointers(count: number): BunType[] {
  const types: BunType[] = [];
  while (types.length < count) types.push("ptr");
  return types;
}

/** In Node as bind(). What comes back takes arguments unseen: a 32-bit number must be one, whatever its sign. */
function bindHot({ symbol, result, parameters }: Declared): NativeFunction {
  const bun = bunFfi();
  if (bun === undefined) return native(symbol, result, parameters);
  findErrno();
  const types = parameters.map((type) => bunTypes[type]);
  return findInBun(bun, symbol, types, result);
}

function findInBun(bun: BunFfi, symbol: string, args: readonly BunType[], result: "int" | "long"): NativeFunction {
  const found = bun.dlopen("libc.so.6", { [symbol]: { args, returns: bunTypes[result] } }).symbols[symbol];
  if (found === undefined) throw new Error(`the C library has no ${symbol}`);
  return found;
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

/** The calling thread's errno after a bare() call that failed; the engine makes other calls now and then, but none that fails. */
export function bareErrno(): number {
  return findErrno()?.[0] ?? load().koffi.errno();
}

/** The calling thread's errno after a call that returned −1. */
export function lastErrno(): number {
  return quickErrno === 0 ? load().koffi.errno() : quickErrno;
}

/** A pointer to `data` as bytes to be placed inside another structure; `data` must outlive its use. */
export function addressOf(data: Uint8Array): bigint {
  const bun = bunFfi();
  return bun === undefined ? load().koffi.address(data) : BigInt(bun.ptr(data));
}

/** Places a pointer to `data` at a 32-bit word of another structure. The first bigint costs a start 0.05 ms. */
export function putAddress(structure: Uint32Array, word: number, data: Uint8Array): void {
  const bun = bunFfi();
  const address = bun === undefined ? Number(load().koffi.address(data)) : bun.ptr(data);
  structure[word] = address % 2 ** 32;
  structure[word + 1] = address / 2 ** 32;
}

/**
 * The places in `data`, as arguments: for who makes hundreds of calls with one buffer. It must outlive them, and what is read there
 * end in it.
 */
export function placesIn(data: Uint8Array): (at: number) => Argument {
  const bun = bunFfi();
  if (bun === undefined) return (at) => data.subarray(at);
  const start = bun.ptr(data);
  return (at) => start + at;
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
