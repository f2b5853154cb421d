import { isErrno } from "../../kernel/error.ts";
import { call } from "./kernel.ts";

const flock_ = call("flock", "int", ["int", "int"]);
const fcntl_ = call("fcntl", "int", ["int", "int", "void *"]);

/** flock(2), without waiting. @returns whether it was got */
export function flock(fd: number, kind: "shared" | "exclusive" | "unlock"): boolean {
  return attempt(() => flock_(fd, { shared: 1, exclusive: 2, unlock: 8 }[kind] | 4));
}

// include/uapi/asm-generic/fcntl.h
const commands = { own: { set: 6, get: 5 }, "open file": { set: 37, get: 36 } } as const;
const types = { read: 0, write: 1, unlock: 2 } as const;

/** Whose the lock is: the process's (F_SETLK), or the open file's (F_OFD_SETLK). */
export type Owner = keyof typeof commands;

/** A lock of fcntl(2), without waiting. `length` 0 means to the end. @returns whether it was got */
export function lock(fd: number, owner: Owner, type: keyof typeof types, start = 0, length = 0): boolean {
  return attempt(() => fcntl_(fd, commands[owner].set, struct(types[type], start, length)));
}

export interface Holder {
  readonly type: "read" | "write";
  readonly start: number;
  readonly length: number;
  readonly pid: number;
}

/** Who holds what would keep us from locking; undefined: nobody. */
export function holder(fd: number, owner: Owner, type: "read" | "write", start = 0, length = 0): Holder | undefined {
  const lock = struct(types[type], start, length);
  fcntl_(fd, commands[owner].get, lock);
  const found = lock.readInt16LE(0);
  if (found === types.unlock) return undefined;
  return {
    type: found === types.read ? "read" : "write",
    start: Number(lock.readBigInt64LE(8)),
    length: Number(lock.readBigInt64LE(16)),
    pid: lock.readInt32LE(24),
  };
}

/** struct flock: type, whence, start, length, pid */
function struct(type: number, start: number, length: number): Buffer {
  const lock = Buffer.alloc(32);
  lock.writeInt16LE(type, 0);
  lock.writeBigInt64LE(BigInt(start), 8);
  lock.writeBigInt64LE(BigInt(length), 16);
  return lock;
}

function attempt(call: () => void): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (isErrno(error, "EAGAIN", "EACCES")) return false;
    throw error;
  }
}
