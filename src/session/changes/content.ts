import { E } from "../../kernel/abi/errno.ts";
import { O } from "../../kernel/abi/file.ts";
import { closeFd, fail, type Name, openName } from "../../kernel/at.ts";
import { readAt, SEEK, seek } from "../../kernel/io.ts";

/** An entry of an open directory. */
export interface Entry {
  readonly fd: number;
  readonly name: Name;
}

const small = 1 << 17;
let buffers: { readonly one: Buffer; readonly other: Buffer } | undefined;

/** Opens a regular file for reading. @returns a descriptor, which the caller closes */
export type Opener = () => number;

/** Whether two regular files of this size hold the same; what both have as holes isn't read. */
export function sameContent(one: Opener, other: Opener, size: number): boolean {
  if (size === 0) return true;
  const first = one();
  try {
    const second = other();
    try {
      return sameBytes(first, second, size);
    } finally {
      closeFd(second);
    }
  } finally {
    closeFd(first);
  }
}

/** For reading; the file's access time stays. */
export function openEntry({ fd, name }: Entry): number {
  const flags = O.RDONLY | O.NOFOLLOW | O.NONBLOCK;
  let file = openName(fd, name, flags | O.NOATIME);
  if (file === -E.PERM) file = openName(fd, name, flags);
  return file < 0 ? fail("open", name, file) : file;
}

function sameBytes(first: number, second: number, size: number): boolean {
  buffers ??= { one: Buffer.allocUnsafeSlow(small), other: Buffer.allocUnsafeSlow(small) };
  const { one, other } = buffers;
  for (let at = 0; at < size;) {
    if (size > small) at = Math.min(nextData(first, at, size), nextData(second, at, size));
    const length = Math.min(size - at, small);
    if (length === 0) return true;
    const read = fill(first, one, at, length);
    if (fill(second, other, at, length) !== read) return false;
    if (one.compare(other, 0, read, 0, read) !== 0) return false;
    // It has just become shorter, both have.
    if (read < length) return true;
    at += read;
  }
  return true;
}

function nextData(file: number, at: number, size: number): number {
  const data = seek(file, at, SEEK.DATA);
  return data === -E.NXIO ? size : data < 0 ? at : Math.min(data, size);
}

function fill(file: number, buffer: Buffer, at: number, length: number): number {
  let done = 0;
  while (done < length) {
    const read = readAt(file, buffer.subarray(done, length), at + done);
    if (read === 0) break;
    if (read < 0 && read !== -E.INTR) fail("read", "", read);
    done += Math.max(0, read);
  }
  return done;
}
