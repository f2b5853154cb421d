import { E } from "./abi/errno.ts";
import { AT } from "./abi/file.ts";
import { bytesOf, type Name, nameBytes, nameIn, result } from "./at.ts";
import { cString, hot, putAddress } from "./libc.ts";

/** Reading, writing and shaping open files; negative results are −errno, as in at.ts. */

const pread_ = hot("pread", "long", ["int", "void *", "size_t", "long"]);
const pwrite_ = hot("pwrite", "long", ["int", "void *", "size_t", "long"], "told once");
const lseek_ = hot("lseek", "long", ["int", "long", "int"]);
const ftruncate_ = hot("ftruncate", "int", ["int", "long"]);
const fallocate_ = hot("fallocate", "int", ["int", "int", "long", "long"], "told once");
const fsync_ = hot("fsync", "int", ["int"], "told once");
const fdatasync_ = hot("fdatasync", "int", ["int"], "told once");
const syncfs_ = hot("syncfs", "int", ["int"], "told once");
const ioctlNumber_ = hot("ioctl", "int", ["int", "unsigned long", "long"]);
const ioctlBuffer_ = hot("ioctl", "int", ["int", "unsigned long", "void *"]);
const copyFileRange_ = hot(
  "copy_file_range",
  "long",
  ["int", "void *", "int", "void *", "size_t", "unsigned int"],
  "told once",
);
const getdents_ = hot("getdents64", "long", ["int", "void *", "size_t"]);
const fstatfs_ = hot("fstatfs", "int", ["int", "void *"]);

export const SEEK = { SET: 0, CUR: 1, END: 2, DATA: 3, HOLE: 4 } as const;

/** Numbers from here on aren't exact, and no file system of Linux has files of that size. */
const TOO_LARGE = 2 ** 53;

export function readAt(fd: number, buffer: Uint8Array, offset: number): number {
  return result(pread_(fd, buffer, buffer.length, offset));
}

export function writeAt(fd: number, buffer: Uint8Array, offset: number): number {
  if (offset >= TOO_LARGE) return -E.FBIG;
  return result(pwrite_(fd, buffer, buffer.length, offset));
}

/** @returns the new position; −ENXIO: no data (or no hole) from there to the end; @see lseek(2) */
export function seek(fd: number, offset: number, whence: number): number {
  // Beyond 2^53 it comes as a bigint: some file systems have directories that end there.
  const position: unknown = result(lseek_(fd, offset, whence | 0));
  return Number(position);
}

/** −EFBIG: larger than the file system's files can be. @see ftruncate(2) */
export function truncateFd(fd: number, size: number): number {
  if (size >= TOO_LARGE) return -E.FBIG;
  return result(ftruncate_(fd, size));
}

/** @param mode FALLOC_FL flags; @see fallocate(2) */
export function allocate(fd: number, mode: number, offset: number, length: number): number {
  if (offset + length >= TOO_LARGE) return -E.FBIG;
  return result(fallocate_(fd, mode | 0, offset, length));
}

export function syncFd(fd: number, what: "data" | "all"): number {
  return result(what === "data" ? fdatasync_(fd) : fsync_(fd));
}

/** Everything of the file system that the open file lies on. @see syncfs(2) */
export function syncFileSystemOf(fd: number): number {
  return result(syncfs_(fd));
}

/** An ioctl(2) with a structure. */
export function control(fd: number, request: number, argument: Uint8Array): number {
  return result(ioctlBuffer_(fd, request, argument));
}

const FICLONE = 0x40049409; // include/uapi/linux/fs.h

/** Makes `to` share all blocks of `from`. −EOPNOTSUPP, −EXDEV, −EINVAL where it can't be. @see ioctl_ficlone(2) */
export function cloneFile(from: number, to: number): number {
  return result(ioctlNumber_(to, FICLONE, from));
}

const offsets = [Buffer.alloc(8), Buffer.alloc(8)] as const;

/** copy_file_range(2) at given offsets; the positions of the descriptors stay. */
export function copyRange(from: number, fromOffset: number, to: number, toOffset: number, length: number): number {
  if (fromOffset >= TOO_LARGE || toOffset >= TOO_LARGE) return -E.FBIG;
  offsets[0].writeBigInt64LE(BigInt(fromOffset));
  offsets[1].writeBigInt64LE(BigInt(toOffset));
  return result(copyFileRange_(from, offsets[0], to, offsets[1], length, 0));
}

/** Not in use: a reading that is begun during another has its own. */
const listings: Listing[] = [];

/** Where struct linux_dirent64s are read to; the same as bytes and in numbers of 32 bits, at whose borders each begins. */
interface Listing {
  readonly bytes: Buffer;
  readonly words: Uint32Array;
}

function makeListing(): Listing {
  const bytes = Buffer.allocUnsafeSlow(65536);
  return { bytes, words: new Uint32Array(bytes.buffer) };
}

/**
 * Reads all entries of an open directory from its start, `.` and `..` too.
 * @param each gets the name, d_ino's two halves, and the type (DT_ value, 0: unknown)
 * @returns 0 or −errno
 */
export function listDirectory(fd: number, each: EachEntry): number {
  const start = seek(fd, 0, SEEK.SET);
  return start < 0 ? start : listOpened(fd, each);
}

/** As listDirectory(), from where it was read to: of one that has just been opened all. */
export function listOpened(fd: number, each: EachEntry): number {
  const listing = listings.pop() ?? makeListing();
  try {
    return readEntries(fd, listing, each);
  } finally {
    listings.push(listing);
  }
}

type EachEntry = (name: Name, inoHigh: number, inoLow: number, type: number) => void;

function readEntries(fd: number, { bytes, words }: Listing, each: EachEntry): number {
  for (;;) {
    const length = result(getdents_(fd, bytes, bytes.length));
    if (length <= 0) return length;
    for (let at = 0; at < length;) {
      const start = at + 19;
      let end = start;
      while (bytes[end] !== 0) end++;
      const low = words[at >> 2] ?? 0;
      const high = words[(at >> 2) + 1] ?? 0;
      // d_reclen is the lower half of that, the type the third byte.
      const more = words[(at >> 2) + 4] ?? 0;
      each(nameIn(bytes, start, end), high, low, (more >> 16) & 0xff);
      at += more & 0xffff;
    }
  }
}

/** struct statfs of the file system under an open file, into `buffer` (120 bytes). @see statfs(2) */
export function statFileSystem(fd: number, buffer: Uint8Array): number {
  return result(fstatfs_(fd, buffer));
}

const lgetxattr_ = hot("lgetxattr", "long", ["void *", "void *", "void *", "size_t"]);
const lsetxattr_ = hot("lsetxattr", "int", ["void *", "void *", "void *", "size_t", "int"]);
const llistxattr_ = hot("llistxattr", "long", ["void *", "void *", "size_t"]);
const lremovexattr_ = hot("lremovexattr", "int", ["void *", "void *"]);
const fgetxattr_ = hot("fgetxattr", "long", ["int", "void *", "void *", "size_t"]);
const flistxattr_ = hot("flistxattr", "long", ["int", "void *", "size_t"]);
const fsetxattr_ = hot("fsetxattr", "int", ["int", "void *", "void *", "size_t", "int"]);
const getxattr_ = hot("getxattr", "long", ["void *", "void *", "void *", "size_t"]);
const setxattr_ = hot("setxattr", "int", ["void *", "void *", "void *", "size_t", "int"]);
const listxattr_ = hot("listxattr", "long", ["void *", "void *", "size_t"]);
const removexattr_ = hot("removexattr", "int", ["void *", "void *"]);

const paths = Buffer.alloc(8192);

/** `/proc/self/fd/N/NAME` (a final link not followed), or with an empty name the open file itself. */
function pathBelow(dirfd: number, name: Name): Buffer {
  const length = paths.write(name === "" ? `/proc/self/fd/${dirfd}` : `/proc/self/fd/${dirfd}/${name}`, 0, "latin1");
  paths[length] = 0;
  return paths;
}

/**
 * What most attributes have room in. The kernel allocates, and clears, as much as it is offered: with 64 KiB that costs
 * several times what the call does. Where it isn't enough the kernel says ERANGE, and is asked again.
 */
const short = 512;

const getxattrat_ = hot("syscall", "long", ["long", "int", "void *", "unsigned int", "void *", "void *", "size_t"]);
const SYS_getxattrat = 464; // the same on every architecture; Linux ≥ 6.13
let isGetxattratThere = true;
/** struct xattr_args: where the value goes, and how much of it. */
const xattrArgs = new Uint32Array(4);
const xattrArgsBytes = new Uint8Array(xattrArgs.buffer);

function getXattrAt(dirfd: number, name: Name, attribute: Uint8Array, value: Uint8Array, size: number): number {
  putAddress(xattrArgs, 0, value);
  xattrArgs[2] = size;
  const call = getxattrat_;
  return result(call(SYS_getxattrat, dirfd, nameBytes(name), AT.SYMLINK_NOFOLLOW, attribute, xattrArgsBytes, 16));
}

/**
 * The attribute's value into `value`; half as dear where the kernel has a call for it. @see getxattrat(2)
 * @returns its length, or −errno; with an empty `value` the length alone
 */
export function getXattr(dirfd: number, name: Name, attribute: Uint8Array, value: Uint8Array): number {
  if (isGetxattratThere && name !== "") {
    const size = getXattrAt(dirfd, name, attribute, value, Math.min(value.length, short));
    if (isMore(size, value)) return getXattrAt(dirfd, name, attribute, value, value.length);
    if (size !== -E.NOSYS) return size;
    isGetxattratThere = false;
  }
  const call = name === "" ? getxattr_ : lgetxattr_;
  const path = pathBelow(dirfd, name);
  const size = result(call(path, attribute, value, Math.min(value.length, short)));
  return isMore(size, value) ? result(call(path, attribute, value, value.length)) : size;
}

/** Of an open file that isn't O_PATH: a third of the cost. */
export function getXattrOfFd(fd: number, attribute: Uint8Array, value: Uint8Array): number {
  const size = result(fgetxattr_(fd, attribute, value, Math.min(value.length, short)));
  return isMore(size, value) ? result(fgetxattr_(fd, attribute, value, value.length)) : size;
}

/** The names of the attributes of an open file that isn't O_PATH, each ended by NUL. */
export function listXattrsOfFd(fd: number, list: Uint8Array): number {
  const size = result(flistxattr_(fd, list, Math.min(list.length, short)));
  return isMore(size, list) ? result(flistxattr_(fd, list, list.length)) : size;
}

function isMore(size: number, buffer: Uint8Array): boolean {
  return size === -E.RANGE && buffer.length > short;
}

/** @param attribute with its terminating NUL; @param flags XATTR_CREATE 1, XATTR_REPLACE 2 */
export function setXattrOf(dirfd: number, name: Name, attribute: Uint8Array, value: Uint8Array, flags = 0): number {
  return result(
    (name === "" ? setxattr_ : lsetxattr_)(pathBelow(dirfd, name), attribute, value, value.length, flags | 0),
  );
}

/** Of an open file that isn't O_PATH: a third of the cost. */
export function setXattrOfFd(fd: number, attribute: Uint8Array, value: Uint8Array): number {
  return result(fsetxattr_(fd, attribute, value, value.length, 0));
}

export function listXattrs(dirfd: number, name: Name, list: Uint8Array): number {
  const call = name === "" ? listxattr_ : llistxattr_;
  const path = pathBelow(dirfd, name);
  const size = result(call(path, list, Math.min(list.length, short)));
  return isMore(size, list) ? result(call(path, list, list.length)) : size;
}

const listxattrat_ = hot("syscall", "long", ["long", "int", "void *", "unsigned int", "void *", "size_t"]);
const SYS_listxattrat = 465; // the same on every architecture; Linux ≥ 6.13
let isListxattratThere = true;

/** As listXattrs(), at half the cost where the kernel has a call for it. @see listxattrat(2) */
export function listXattrsOf(dirfd: number, name: Name, list: Uint8Array): number {
  if (isListxattratThere && name !== "") {
    const room = Math.min(list.length, short);
    const size = result(listxattrat_(SYS_listxattrat, dirfd, nameBytes(name), AT.SYMLINK_NOFOLLOW, list, room));
    if (size !== -E.NOSYS && !isMore(size, list)) return size;
    isListxattratThere = size !== -E.NOSYS;
  }
  return listXattrs(dirfd, name, list);
}

export function removeXattr(dirfd: number, name: Name, attribute: Uint8Array): number {
  return result((name === "" ? removexattr_ : lremovexattr_)(pathBelow(dirfd, name), attribute));
}

/** An attribute's name as these calls take it. */
export function attributeName(name: Name): Uint8Array {
  return cString(bytesOf(name));
}
