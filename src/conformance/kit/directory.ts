import { keep, open } from "./files.ts";
import { AT_FDCWD, call, path as cString } from "./kernel.ts";

const getdents_ = call("getdents64", "long", ["int", "void *", "size_t"]);
const lseek_ = call("lseek", "int64_t", ["int", "int64_t", "int"]);

export interface DirectoryEntry {
  readonly name: string;
  readonly ino: bigint;
  /** DT_ value: FIFO 1, CHR 2, DIR 4, BLK 6, REG 8, LNK 10, SOCK 12. */
  readonly type: number;
  /** Where to go on behind it. */
  readonly next: bigint;
}

/** A directory as getdents64(2) shows it. */
export class Directory {
  readonly fd: number;

  constructor(path: string | number) {
    this.fd = typeof path === "number" ? path : open(path);
  }

  /** One call's entries, `.` and `..` too; none at the end. */
  some(bufferSize = 32768): DirectoryEntry[] {
    const buffer = Buffer.alloc(bufferSize);
    const length = getdents_(this.fd, buffer, buffer.length);
    const entries: DirectoryEntry[] = [];
    for (let at = 0; at < length; at += buffer.readUInt16LE(at + 16)) {
      const end = buffer.indexOf(0, at + 19);
      entries.push({
        name: buffer.toString("latin1", at + 19, end),
        ino: buffer.readBigUInt64LE(at),
        type: buffer.readUInt8(at + 18),
        next: buffer.readBigInt64LE(at + 8),
      });
    }
    return entries;
  }

  /** From where it is to the end. */
  rest(bufferSize = 32768): DirectoryEntry[] {
    const entries: DirectoryEntry[] = [];
    for (let some = this.some(bufferSize); some.length > 0; some = this.some(bufferSize)) entries.push(...some);
    return entries;
  }

  /** rewinddir(3) and seekdir(3) */
  seek(position: bigint): void {
    lseek_(this.fd, position, 0);
  }
}

/** All entries but `.` and `..`. */
export function entries(path: string): DirectoryEntry[] {
  return new Directory(path).rest().filter(({ name }) => name !== "." && name !== "..");
}

const nameToHandle_ = call("name_to_handle_at", "int", ["int", "void *", "void *", "void *", "int"]);
const openByHandle_ = call("open_by_handle_at", "int", ["int", "void *", "int"]);

/** struct file_handle: what a file system calls an inode for good. */
export function handleOf(path: string): Buffer {
  const handle = Buffer.alloc(8 + 128);
  handle.writeUInt32LE(128, 0);
  nameToHandle_(AT_FDCWD, cString(path), handle, Buffer.alloc(8), 0);
  return Buffer.from(handle.subarray(0, 8 + handle.readUInt32LE(0)));
}

export function openHandle(mount: string, handle: Buffer, flags = 0): number {
  return keep(openByHandle_(open(mount), handle, flags | 0o2000000));
}
