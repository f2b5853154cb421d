import * as fs from "node:fs";
import { AT_FDCWD, call, defer, path as cString } from "./kernel.ts";

/** Files by name and by descriptor; a name is text or bytes. */
export type Name = string | Buffer;

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW, O_DIRECTORY, O_NONBLOCK } =
  fs.constants;
export const O = {
  RDONLY: O_RDONLY,
  WRONLY: O_WRONLY,
  RDWR: O_RDWR,
  CREAT: O_CREAT,
  EXCL: O_EXCL,
  TRUNC: O_TRUNC,
  APPEND: O_APPEND,
  NOFOLLOW: O_NOFOLLOW,
  DIRECTORY: O_DIRECTORY,
  NONBLOCK: O_NONBLOCK,
} as const;

/** Makes or rewrites a file. */
export function put(path: Name, data: string | Uint8Array = "", mode = 0o644): void {
  fs.writeFileSync(path, data, { mode });
  fs.chmodSync(path, mode);
}

/** Makes files: names with a slash at the end are directories; the others contain their own names. */
export function tree(top: string, names: readonly string[]): void {
  for (const name of names) {
    if (name.endsWith("/")) fs.mkdirSync(`${top}/${name}`, { recursive: true });
    else put(`${top}/${name}`, name);
  }
}

export function text(path: Name): string {
  return fs.readFileSync(path, "utf8");
}

export function append(path: Name, data: string): void {
  const fd = open(path, O.WRONLY | O.APPEND);
  fs.writeSync(fd, data);
  close(fd);
}

/** Closed after the probe at the latest. */
export function open(path: Name, flags: number = O.RDONLY, mode = 0o644): number {
  return keep(fs.openSync(path, flags, mode));
}

const kept = new Set<number>();

export function keep(fd: number): number {
  kept.add(fd);
  defer(() => {
    if (kept.has(fd)) close(fd);
  });
  return fd;
}

export function close(fd: number): void {
  kept.delete(fd);
  fs.closeSync(fd);
}

/** Opens the file behind a descriptor anew. */
export function reopen(fd: number, flags: number): number {
  return open(`/proc/self/fd/${fd}`, flags);
}

export function read(fd: number, length = 65536, at = 0): string {
  const buffer = Buffer.alloc(length);
  return buffer.toString("latin1", 0, fs.readSync(fd, buffer, 0, length, at));
}

export function write(fd: number, data: string | Uint8Array, at = 0): void {
  const bytes = Buffer.from(data as string);
  let done = 0;
  while (done < bytes.length) done += fs.writeSync(fd, bytes, done, bytes.length - done, at + done);
}

export function stat(path: Name): fs.BigIntStats {
  return fs.lstatSync(path, { bigint: true });
}

export function fstat(fd: number): fs.BigIntStats {
  return fs.fstatSync(fd, { bigint: true });
}

/** Which inode it is, for comparing. */
export function id(path: Name | number): string {
  const { dev, ino } = typeof path === "number" ? fstat(path) : stat(path);
  return `${dev}:${ino}`;
}

export function exists(path: Name): boolean {
  return fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Sorted names. */
export function list(path: string): string[] {
  return fs.readdirSync(path, { encoding: "latin1" }).toSorted();
}

const utimensat_ = call("utimensat", "int", ["int", "void *", "void *", "int"]);
const futimens_ = call("futimens", "int", ["int", "void *"]);
const NOW = 0x3fffffffn;
const OMIT = 0x3ffffffen;

/** Times in nanoseconds since 1970; a link's own. @see utimensat(2) */
export function setTimes(
  path: Name | number,
  atimeNs: bigint | "omit" | "now",
  mtimeNs: bigint | "omit" | "now",
): void {
  const times = new BigInt64Array([...timespec(atimeNs), ...timespec(mtimeNs)]);
  const bytes = new Uint8Array(times.buffer);
  if (typeof path === "number") futimens_(path, bytes);
  else utimensat_(AT_FDCWD, cString(path), bytes, 0x100);
}

function timespec(ns: bigint | "omit" | "now"): [bigint, bigint] {
  if (ns === "omit") return [0n, OMIT];
  if (ns === "now") return [0n, NOW];
  const seconds = ns / 1_000_000_000n - (ns % 1_000_000_000n < 0n ? 1n : 0n);
  return [seconds, ns - seconds * 1_000_000_000n];
}

const mknod_ = call("mknod", "int", ["void *", "unsigned int", "uint64_t"]);

export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;
export const S_IFIFO = 0o010000;
export const S_IFSOCK = 0o140000;

/** @param mode with its S_IF bits; the umask doesn't count */
export function makeNode(path: Name, mode: number, major = 0, minor = 0): void {
  const [high, low] = [BigInt(major), BigInt(minor)];
  mknod_(cString(path), mode, (high << 8n) | (low & 0xffn) | ((low & ~0xffn) << 12n));
  fs.chmodSync(path, mode & 0o7777);
}

const rename_ = call("renameat2", "int", ["int", "void *", "int", "void *", "unsigned int"]);
export const NOREPLACE = 1;
export const EXCHANGE = 2;
export const WHITEOUT = 4;

export function rename2(from: Name, to: Name, flags: number): void {
  rename_(AT_FDCWD, cString(from), AT_FDCWD, cString(to), flags);
}

const linkat_ = call("linkat", "int", ["int", "void *", "int", "void *", "int"]);

/** Gives the file behind a descriptor a name. */
export function linkFd(fd: number, to: Name): void {
  linkat_(AT_FDCWD, cString(`/proc/self/fd/${fd}`), AT_FDCWD, cString(to), 0x400);
}

const syncfs_ = call("syncfs", "int", ["int"]);

export function syncfs(path: string): void {
  const fd = open(path);
  syncfs_(fd);
  close(fd);
}
