import { call } from "./kernel.ts";

const fallocate_ = call("fallocate", "int", ["int", "int", "int64_t", "int64_t"]);
const lseek_ = call("lseek", "int64_t", ["int", "int64_t", "int"]);
const copy_ = call("copy_file_range", "long", ["int", "void *", "int", "void *", "size_t", "unsigned int"]);
const sendfile_ = call("sendfile", "long", ["int", "int", "void *", "size_t"]);
const ioctl_ = call("ioctl", "int", ["int", "unsigned long", "long"]);
const ioctlBuffer_ = call("ioctl", "int", ["int", "unsigned long", "void *"]);
const fsync_ = call("fsync", "int", ["int"]);
const fcntl_ = call("fcntl", "int", ["int", "int", "int"]);
const pread_ = call("pread", "long", ["int", "uintptr_t", "size_t", "int64_t"]);
const pwrite_ = call("pwrite", "long", ["int", "uintptr_t", "size_t", "int64_t"]);
const pwritev2_ = call("pwritev2", "long", ["int", "void *", "int", "int64_t", "int"]);
const truncate_ = call("truncate", "int", ["void *", "int64_t"]);

// include/uapi/linux/falloc.h
export const FALLOC = { KEEP_SIZE: 1, PUNCH_HOLE: 2, COLLAPSE_RANGE: 8, ZERO_RANGE: 16, INSERT_RANGE: 32 } as const;

export function fallocate(fd: number, mode: number, offset: number, length: number): void {
  fallocate_(fd, mode, offset, length);
}

export const SEEK = { SET: 0, CUR: 1, END: 2, DATA: 3, HOLE: 4 } as const;

export function seek(fd: number, offset: number, whence: number): number {
  return lseek_(fd, offset, whence);
}

/** Where data is, as pairs of start and end. */
export function dataMap(fd: number): (readonly [number, number])[] {
  const pieces: [number, number][] = [];
  for (let at = 0; ;) {
    const start = dataFrom(fd, at);
    if (start === undefined) return pieces;
    at = seek(fd, start, SEEK.HOLE);
    pieces.push([start, at]);
  }
}

/** undefined: ENXIO, nothing but a hole from there on */
function dataFrom(fd: number, at: number): number | undefined {
  try {
    return seek(fd, at, SEEK.DATA);
  } catch (error) {
    if (error instanceof Error && "errno" in error && error.errno === "ENXIO") return undefined;
    throw error;
  }
}

export function copyRange(from: number, fromAt: number, to: number, toAt: number, length: number): number {
  const offsets = new BigInt64Array([BigInt(fromAt), BigInt(toAt)]);
  const [a, b] = [new Uint8Array(offsets.buffer, 0, 8), new Uint8Array(offsets.buffer, 8, 8)];
  return copy_(from, a, to, b, length, 0);
}

export function sendfile(from: number, to: number, at: number, length: number): number {
  return sendfile_(to, from, new Uint8Array(new BigInt64Array([BigInt(at)]).buffer), length);
}

const FICLONE = 0x40049409; // include/uapi/linux/fs.h

export function clone(from: number, to: number): void {
  ioctl_(to, FICLONE, from);
}

const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
export const FS = { IMMUTABLE: 0x10, APPEND: 0x20, NODUMP: 0x40, NOATIME: 0x80 } as const;

/** chattr(1)'s flags. */
export function getFlags(fd: number): number {
  const flags = Buffer.alloc(8);
  ioctlBuffer_(fd, FS_IOC_GETFLAGS, flags);
  return flags.readUInt32LE(0);
}

export function setFlags(fd: number, value: number): void {
  const flags = Buffer.alloc(8);
  flags.writeUInt32LE(value);
  ioctlBuffer_(fd, FS_IOC_SETFLAGS, flags);
}

export function fsync(fd: number): void {
  fsync_(fd);
}

/** F_GETFL 3, F_SETFL 4, F_SETLEASE 1024, F_GETLEASE 1025, F_ADD_SEALS 1033, … with a number */
export function fcntl(fd: number, command: number, argument = 0): number {
  return fcntl_(fd, command, argument);
}

/** Into and out of memory at an address: O_DIRECT wants it aligned. */
export function readInto(fd: number, address: number, length: number, at: number): number {
  return pread_(fd, address, length, at);
}

export function writeFrom(fd: number, address: number, length: number, at: number): number {
  return pwrite_(fd, address, length, at);
}

export const RWF_APPEND = 0x10;
export const RWF_NOAPPEND = 0x20;

/** @param address of the data; @see pwritev2(2) */
export function writeWith(fd: number, address: number, length: number, at: number, flags: number): number {
  const vector = new BigUint64Array([BigInt(address), BigInt(length)]);
  return pwritev2_(fd, new Uint8Array(vector.buffer), 1, at, flags);
}

export function truncate(path: string, size: number | bigint): void {
  truncate_(Buffer.from(`${path}\0`), size);
}
