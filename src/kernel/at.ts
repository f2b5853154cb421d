import { E } from "./abi/errno.ts";
import { AT, O, S, STATX_BASIC_STATS, STATX_BTIME, STATX_SIZE } from "./abi/file.ts";
import { F_DUPFD_CLOEXEC } from "./abi/process.ts";
import { KeptAttr } from "./attr.ts";
import { errnoName, KernelError } from "./error.ts";
import type { Attr } from "./file.ts";
import { type Argument, hot, lastErrno, placesIn } from "./libc.ts";

/**
 * The calls of a hot path. Names are byte strings (one character, one byte), results numbers: negative is −errno,
 * as the kernel itself has it, since an exception costs more than the call. Nothing is allocated: names and
 * attributes go through buffers of this module, so a StatBuffer is read before the next call fills it.
 */

/** A name or path as bytes: each character is one byte (ISO 8859-1), so that any name is one string. */
export type Name = string;

const nameBuffers = [Buffer.alloc(8192), Buffer.alloc(8192)] as const;

/** Which name is in the first buffer: an entry that is looked at is asked for several times in a row. */
let lastPut: Name = "";

/** A name as calls take it, until the next one is. */
export function nameBytes(name: Name): Uint8Array {
  return put(0, name);
}

function put(slot: 0 | 1, name: Name): Buffer {
  const buffer = nameBuffers[slot];
  if (slot === 0 && name === lastPut) return buffer;
  if (name.length > 8190) throw new KernelError({ syscall: "use name", path: "", errno: "ENAMETOOLONG" });
  if (slot === 0) lastPut = name;
  buffer[latin1(buffer).latin1Write(name, 0)] = 0;
  return buffer;
}

/** What both runtimes have for toString("latin1") and write(), which first find out what that is. */
interface Latin1 {
  latin1Slice(start: number, end: number): Name;
  latin1Write(name: Name, start: number): number;
}

function latin1(buffer: Buffer): Latin1 {
  return buffer as unknown as Latin1;
}

/** A name that is in a buffer. */
export function nameIn(buffer: Buffer, start: number, end: number): Name {
  return latin1(buffer).latin1Slice(start, end);
}

/** A C string of a byte string, for calls that aren't here. */
export function bytesOf(name: Name): Buffer {
  return Buffer.from(name, "latin1");
}

export function nameOf(bytes: Uint8Array | Name): Name {
  if (typeof bytes === "string") return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/**
 * Attributes are filled in where they may stay: who keeps them (takeAttr()) makes no copy, and the next are filled in behind
 * them. Of the 256 bytes of struct statx 160 are kept: what is filled in behind them overwrites the rest.
 */
const attrWords = 40;
/**
 * So many share an array: one for each would cost more than all else that is done with most of them. Each array is twice as long as
 * the one before, up to this.
 */
const mostTogether = 4096;
let together = 32;

/** What `stat` shows, from `base` on. */
let words = new Uint32Array(STATX_SIZE / 4);
let base = 0;
/** Where the next call fills in. */
let [freeWords, free] = [words, base];
let freePlace: Argument = new Uint8Array(words.buffer);
let freePlaces = (_at: number): Argument => freePlace;

function word(at: number): number {
  return words[base + at] ?? 0;
}

/** What the last statName() or statFd() that returned 0 has filled in: struct statx, include/uapi/linux/stat.h. */
export const stat = {
  get mode(): number {
    return word(7) & 0xffff;
  },
  get type(): number {
    return word(7) & S.IFMT;
  },
  get nlink(): number {
    return word(4);
  },
  get uid(): number {
    return word(5);
  },
  get gid(): number {
    return word(6);
  },
  get blksize(): number {
    return word(1);
  },
  /** Exact below 2^53. */
  get ino(): number {
    return word(9) * 0x1_0000_0000 + word(8);
  },
  get inoHigh(): number {
    return word(9);
  },
  get inoLow(): number {
    return word(8);
  },
  get size(): number {
    return word(11) * 0x1_0000_0000 + word(10);
  },
  get blocks(): number {
    return word(13) * 0x1_0000_0000 + word(12);
  },
  get atime(): number {
    return (word(17) | 0) * 0x1_0000_0000 + word(16);
  },
  get atimeNsec(): number {
    return word(18);
  },
  get ctime(): number {
    return (word(25) | 0) * 0x1_0000_0000 + word(24);
  },
  get ctimeNsec(): number {
    return word(26);
  },
  get mtime(): number {
    return (word(29) | 0) * 0x1_0000_0000 + word(28);
  },
  get mtimeNsec(): number {
    return word(30);
  },
  get rdevMajor(): number {
    return word(32);
  },
  get rdevMinor(): number {
    return word(33);
  },
  /** Major and minor as one number, to be compared. */
  get device(): number {
    return word(34) * 0x10_0000 + word(35);
  },
  /** chattr(1)'s immutable or append-only: STATX_ATTR_IMMUTABLE, STATX_ATTR_APPEND. */
  get isProtected(): boolean {
    return (word(2) & 0x30) !== 0;
  },
  /** A character device 0:0: overlayfs's whiteout. */
  get isWhiteoutDevice(): boolean {
    return (word(7) & S.IFMT) === S.IFCHR && word(32) === 0 && word(33) === 0;
  },
};

/** What a native function returned, its −1 as −errno. */
export function result(value: number): number {
  return value === -1 ? -lastErrno() : value;
}

/** Throws what a call answered; for results that are errors to the caller too. */
export function fail(syscall: string, name: Name, result: number): never {
  throw new KernelError({ syscall, path: Buffer.from(name, "latin1"), errno: errnoName(-result) });
}

/** Passes a result on, or throws it. */
export function must(syscall: string, name: Name, result: number): number {
  return result < 0 ? fail(syscall, name, result) : result;
}

const statx_ = hot("statx", "int", ["int", "void *", "int", "unsigned int", "void *"]);
const openat_ = hot("openat", "int", ["int", "void *", "int", "unsigned int"]);
const close_ = hot("close", "int", ["int"], "told once");
const mkdirat_ = hot("mkdirat", "int", ["int", "void *", "unsigned int"]);
const mknodat_ = hot("mknodat", "int", ["int", "void *", "unsigned int", "uint64_t"]);
const unlinkat_ = hot("unlinkat", "int", ["int", "void *", "int"]);
const renameat2_ = hot("renameat2", "int", ["int", "void *", "int", "void *", "unsigned int"]);
const linkat_ = hot("linkat", "int", ["int", "void *", "int", "void *", "int"]);
const symlinkat_ = hot("symlinkat", "int", ["void *", "int", "void *"]);
const readlinkat_ = hot("readlinkat", "long", ["int", "void *", "void *", "size_t"]);
const fchownat_ = hot("fchownat", "int", ["int", "void *", "unsigned int", "unsigned int", "int"]);
const fchmodat_ = hot("fchmodat", "int", ["int", "void *", "unsigned int", "int"]);
const fchmod_ = hot("fchmod", "int", ["int", "unsigned int"]);
const futimens_ = hot("futimens", "int", ["int", "void *"]);
const utimensat_ = hot("utimensat", "int", ["int", "void *", "void *", "int"]);

/** How often `stat` was filled: what was read of it before is still there while this is the same. */
export function statSerial(): number {
  return serial;
}

let serial = 0;

/** Attributes of `name` below `dirfd`, a final link not followed, into `stat`. @param sync AT_STATX flags @see statx(2) */
export function statName(dirfd: number, name: Name, sync = 0): number {
  serial++;
  if (statx_(dirfd, put(0, name), AT.SYMLINK_NOFOLLOW | sync, STATX_BASIC_STATS, freePlace) !== 0) return -lastErrno();
  words = freeWords;
  base = free;
  return 0;
}

/** All of what `stat` shows, to be kept; each field is read when it is asked for. */
export function takeAttr(): Attr {
  if (words === freeWords && base === free) {
    free += attrWords;
    if (free * 4 + STATX_SIZE > freeWords.byteLength) {
      together = Math.min(together * 2, mostTogether);
      freeWords = new Uint32Array((together - 1) * attrWords + STATX_SIZE / 4);
      free = 0;
      freePlaces = placesIn(new Uint8Array(freeWords.buffer));
    }
    freePlace = freePlaces(free * 4);
  }
  return new KeptAttr(words, base);
}

/** What was taken last isn't kept after all: nobody has it any more, and the next call fills in there. */
export function dropAttr(): void {
  if (words !== freeWords || base !== free - attrWords) return;
  free = base;
  freePlace = freePlaces(free * 4);
}

const empty = Buffer.alloc(1);
const birth = Buffer.alloc(STATX_SIZE);

/**
 * When the inode of `name` below `dirfd` was made, an empty name: the descriptor's own; `stat` stays as it is.
 * @returns undefined where the file system doesn't say
 */
export function birthTime(dirfd: number, name: Name): KnownTime | undefined {
  const flags = AT.SYMLINK_NOFOLLOW | (name === "" ? AT.EMPTY_PATH : 0);
  const found = result(statx_(dirfd, put(0, name), flags, STATX_BTIME, birth));
  if (found < 0 || (birth.readUInt32LE(0) & STATX_BTIME) === 0) return undefined;
  return { seconds: birth.readInt32LE(84) * 0x1_0000_0000 + birth.readUInt32LE(80), nsec: birth.readUInt32LE(88) };
}

/** Attributes of an open file, O_PATH too, into `stat`. */
export function statFd(fd: number): number {
  serial++;
  if (statx_(fd, empty, AT.EMPTY_PATH, STATX_BASIC_STATS, freePlace) !== 0) return -lastErrno();
  words = freeWords;
  base = free;
  return 0;
}

/**
 * Opens one name below `dirfd`. The name has no slash and isn't `..`, so that with O_NOFOLLOW nothing is left;
 * layers are opened on mounts of their own, which have no mounts below them.
 */
export function openName(dirfd: number, name: Name, flags: number, mode = 0): number {
  return result(openat_(dirfd, put(0, name), flags | O.CLOEXEC, mode | 0));
}

const openat2_ = hot("syscall", "long", ["long", "int", "void *", "void *", "size_t"]);
const SYS_openat2 = 437; // the same on every architecture (asm-generic/unistd.h)
/** struct open_how: three numbers of 64 bits, of which the upper halves are 0. */
const how = new Uint32Array(6);
const howBytes = new Uint8Array(how.buffer);

/** As openName(), of a path. @param resolve RESOLVE flags @see openat2(2) */
export function openPath(dirfd: number, path: Name, flags: number, resolve: number): number {
  how[0] = flags | O.CLOEXEC;
  how[4] = resolve;
  for (let tries = 0; ; tries++) {
    const fd = result(openat2_(SYS_openat2, dirfd, put(0, path), howBytes, 24));
    // Something was renamed or mounted on the machine while `..` was resolved: see openAt() of file.ts.
    if (fd !== -E.AGAIN || tries === 1000) return fd;
  }
}

export function closeFd(fd: number): void {
  close_(fd);
}

const fcntl_ = hot("fcntl", "int", ["int", "int", "int"]);

/** A second number of the same open file. */
export function duplicateFd(fd: number): number {
  return must("duplicate", "", result(fcntl_(fd, F_DUPFD_CLOEXEC, 0)));
}

export function mkdirName(dirfd: number, name: Name, mode: number): number {
  return result(mkdirat_(dirfd, put(0, name), mode | 0));
}

export function mknodName(dirfd: number, name: Name, mode: number, rdev: bigint): number {
  return result(mknodat_(dirfd, put(0, name), mode | 0, rdev));
}

export function unlinkName(dirfd: number, name: Name): number {
  return result(unlinkat_(dirfd, put(0, name), 0));
}

export function rmdirName(dirfd: number, name: Name): number {
  return result(unlinkat_(dirfd, put(0, name), AT.REMOVEDIR));
}

export function renameName(fromfd: number, from: Name, tofd: number, to: Name, flags: number): number {
  return result(renameat2_(fromfd, put(0, from), tofd, put(1, to), flags | 0));
}

export function linkName(fromfd: number, from: Name, tofd: number, to: Name): number {
  return result(linkat_(fromfd, put(0, from), tofd, put(1, to), 0));
}

/** A name for an open file that has none (O_TMPFILE), or has lost all but open descriptors. */
export function linkFd(fd: number, tofd: number, to: Name): number {
  return result(linkat_(AT.FDCWD, put(0, fdPath(fd)), tofd, put(1, to), AT.SYMLINK_FOLLOW));
}

export function symlinkName(target: Name, dirfd: number, name: Name): number {
  return result(symlinkat_(put(0, target), dirfd, put(1, name)));
}

const linkBuffer = Buffer.alloc(4096);

/** @returns the target as a fresh buffer, or −errno */
export function readlinkName(dirfd: number, name: Name): Buffer | number {
  const length = result(readlinkat_(dirfd, put(0, name), linkBuffer, linkBuffer.length));
  return length < 0 ? length : Buffer.from(linkBuffer.subarray(0, length));
}

export const KEEP_ID = 0xffffffff;

/** Of a symbolic link itself too; an empty name means the open file. KEEP_ID leaves an id as it is. */
export function chownName(dirfd: number, name: Name, uid: number, gid: number): number {
  const flags = AT.SYMLINK_NOFOLLOW | (name === "" ? AT.EMPTY_PATH : 0);
  return result(fchownat_(dirfd, put(0, name), uid | 0, gid | 0, flags));
}

/** Follows a final link: know what the name is. An empty name means the open file, O_PATH too. */
export function chmodName(dirfd: number, name: Name, mode: number): number {
  if (name === "") return result(fchmodat_(AT.FDCWD, put(0, fdPath(dirfd)), mode & 0o7777, 0));
  return result(fchmodat_(dirfd, put(0, name), mode & 0o7777, 0));
}

/** Of an open file that isn't O_PATH: half the cost. */
export function chmodFd(fd: number, mode: number): number {
  return result(fchmod_(fd, mode & 0o7777));
}

/** A file's time: seconds and nanoseconds, "now", or "keep". */
export type Time = "now" | "keep" | KnownTime;

/** Seconds since 1970, and nanoseconds. */
export interface KnownTime {
  readonly seconds: number;
  readonly nsec: number;
}

/** Two of struct timespec, whose numbers have 64 bits. */
const times = new Uint32Array(8);
const timesBuffer = new Uint8Array(times.buffer);
const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;

function putTime(at: number, time: Time): void {
  const seconds = typeof time === "string" ? 0 : time.seconds;
  times[at] = seconds;
  times[at + 1] = Math.floor(seconds / 0x1_0000_0000);
  times[at + 2] = time === "now" ? UTIME_NOW : time === "keep" ? UTIME_OMIT : time.nsec;
}

/** Of a symbolic link itself too; an empty name means the open file. @see utimensat(2) */
export function utimesName(dirfd: number, name: Name, atime: Time, mtime: Time): number {
  putTime(0, atime);
  putTime(4, mtime);
  if (name === "") return result(utimensat_(AT.FDCWD, put(0, fdPath(dirfd)), timesBuffer, 0));
  return result(utimensat_(dirfd, put(0, name), timesBuffer, AT.SYMLINK_NOFOLLOW));
}

/** Of an open file that isn't O_PATH: a third of the cost. */
export function utimesFd(fd: number, atime: Time, mtime: Time): number {
  putTime(0, atime);
  putTime(4, mtime);
  return result(futimens_(fd, timesBuffer));
}

/** A path that means the open file itself, for calls that take only paths. */
function fdPath(fd: number): Name {
  return `/proc/self/fd/${fd}`;
}
