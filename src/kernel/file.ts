import {
  AT,
  O,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  S,
  ST_RDONLY,
  STATX_ATTR_MOUNT_ROOT,
  STATX_BASIC_STATS,
  STATX_MNT_ID,
  STATX_SIZE,
  fileSystemNames,
} from "./abi/file.ts";
import { check, errnoName, KernelError } from "./error.ts";
import { Fd, under } from "./fd.ts";
import { cString, lastErrno, native, nativeAsync, type Path, quick } from "./libc.ts";

const openat2_ = quick("syscall", "long", ["long", "int", "void *", "void *", "size_t"]);
const statx_ = quick("statx", "int", ["int", "void *", "int", "unsigned int", "void *"]);
const mkdirat_ = quick("mkdirat", "int", ["int", "void *", "unsigned int"]);
const mknodat_ = quick("mknodat", "int", ["int", "void *", "unsigned int", "uint64_t"]);
const unlinkat_ = quick("unlinkat", "int", ["int", "void *", "int"]);
const renameat2_ = quick("renameat2", "int", ["int", "void *", "int", "void *", "unsigned int"]);
const linkat_ = quick("linkat", "int", ["int", "void *", "int", "void *", "int"]);
const symlinkat_ = quick("symlinkat", "int", ["void *", "int", "void *"]);
const readlinkat_ = quick("readlinkat", "long", ["int", "void *", "void *", "size_t"]);
const fchownat_ = quick("fchownat", "int", ["int", "void *", "unsigned int", "unsigned int", "int"]);
const fchmod_ = quick("fchmod", "int", ["int", "unsigned int"]);
const fchmodat_ = quick("fchmodat", "int", ["int", "void *", "unsigned int", "int"]);
const utimensat_ = quick("utimensat", "int", ["int", "void *", "void *", "int"]);
const statfs_ = quick("fstatfs", "int", ["int", "void *"]);
const getdents64_ = quick("getdents64", "long", ["int", "void *", "size_t"]);
const read_ = quick("read", "long", ["int", "void *", "size_t"]);
const write_ = quick("write", "long", ["int", "void *", "size_t"], "told once");
const fsync_ = quick("fsync", "int", ["int"], "told once");
const flock_ = quick("flock", "int", ["int", "int"]);
const ioctl_ = native("ioctl", "int", ["int", "unsigned long", "void *"]);

const SYS_openat2 = 437; // the same on every architecture (asm-generic/unistd.h)

/** As check(); the name for the message is put together only where there is one. */
function checkAt(syscall: string, dir: Fd | null, path: Path, result: number): number {
  return result === -1 ? check(syscall, under(dir, path), result) : result;
}

function at(dir: Fd | null): number {
  return dir === null ? AT.FDCWD : dir.number;
}

/**
 * Opens `path` below `dir` (null: the process's own working directory and root). O_CLOEXEC is always set.
 * @param resolve RESOLVE flags: IN_ROOT treats `dir` as the root for `..` and absolute links
 * @throws {KernelError} ENOENT, ELOOP, EXDEV (a RESOLVE flag forbids it), …
 * @see openat2(2)
 */
export function openAt(
  dir: Fd | null,
  path: Path,
  flags: number,
  options: { mode?: number; resolve?: number } = {},
): Fd {
  // Three 64-bit numbers, whose upper halves are 0: the first bigint costs a start 0.05 ms.
  const how = new Uint32Array(6);
  how[0] = flags | O.CLOEXEC;
  how[2] = options.mode ?? 0;
  how[4] = options.resolve ?? 0;
  const bytes = new Uint8Array(how.buffer);
  const name = cString(path);
  let number = openat2_(SYS_openat2, at(dir), name, bytes, 24);
  // Where a directory is renamed or a mount is made anywhere on the machine while `..` is resolved inside, the
  // kernel can't tell whether it was left, and asks to try again.
  for (let tries = 0; number === -1 && how[4] !== 0 && tries < 1000 && errnoName(lastErrno()) === "EAGAIN"; tries++) {
    number = openat2_(SYS_openat2, at(dir), name, bytes, 24);
  }
  checkAt("open", dir, path, number);
  return new Fd(number, path, dir);
}

/** Opens a directory for reading its entries and for calls relative to it. */
export function openDirectory(path: Path, dir: Fd | null = null, resolve = 0): Fd {
  return openAt(dir, path, O.RDONLY | O.DIRECTORY, { resolve });
}

/** What statx(2) says of an inode. Times are nanoseconds since 1970; `dev` and `rdev` as stat(2) packs them. */
export interface Attr {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly ino: bigint;
  readonly size: number;
  readonly blocks: number;
  readonly dev: { readonly major: number; readonly minor: number };
  readonly rdev: { readonly major: number; readonly minor: number };
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly mountId: bigint;
  readonly isMountRoot: boolean;
}

/**
 * The attributes of `path` below `dir`; a final symbolic link is not followed, an empty path means `dir` itself.
 * @param freshness "fresh" asks a file system that is served by somebody anew, instead of trusting what it said before
 * @see statx(2)
 */
export function statAt(dir: Fd | null, path: Path = "", freshness: "usual" | "fresh" = "usual"): Attr {
  const buffer = new Uint8Array(STATX_SIZE);
  const sync = freshness === "fresh" ? AT.STATX_FORCE_SYNC : 0;
  const flags = AT.SYMLINK_NOFOLLOW | sync | (path.length === 0 ? AT.EMPTY_PATH : 0);
  checkAt("stat", dir, path, statx_(at(dir), cString(path), flags, STATX_BASIC_STATS | STATX_MNT_ID, buffer));
  return parseStatx(buffer);
}

/** As statAt(), where there may be nothing: no error is made of that, which takes 0.03 ms. */
export function findAt(dir: Fd | null, name: Path): Attr | undefined {
  const buffer = new Uint8Array(STATX_SIZE);
  const wanted = STATX_BASIC_STATS | STATX_MNT_ID;
  const result = statx_(at(dir), cString(name), AT.SYMLINK_NOFOLLOW, wanted, buffer);
  if (result === -1 && errnoName(lastErrno()) === "ENOENT") return undefined;
  checkAt("stat", dir, name, result);
  return parseStatx(buffer);
}

/** The attributes of what a path leads to: a final symbolic link is followed. */
export function statFollowed(path: Path): Attr {
  const buffer = new Uint8Array(STATX_SIZE);
  checkAt("stat", null, path, statx_(AT.FDCWD, cString(path), 0, STATX_BASIC_STATS | STATX_MNT_ID, buffer));
  return parseStatx(buffer);
}

/** struct statx, include/uapi/linux/stat.h */
function parseStatx(buffer: Uint8Array): Attr {
  const view = new DataView(buffer.buffer, buffer.byteOffset);
  const time = (offset: number) =>
    view.getBigInt64(offset, true) * 1_000_000_000n + BigInt(view.getUint32(offset + 8, true));
  return {
    nlink: view.getUint32(16, true),
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    mode: view.getUint16(28, true),
    ino: view.getBigUint64(32, true),
    size: Number(view.getBigUint64(40, true)),
    blocks: Number(view.getBigUint64(48, true)),
    atimeNs: time(64),
    ctimeNs: time(96),
    mtimeNs: time(112),
    rdev: { major: view.getUint32(128, true), minor: view.getUint32(132, true) },
    dev: { major: view.getUint32(136, true), minor: view.getUint32(140, true) },
    mountId: view.getBigUint64(144, true),
    isMountRoot: (view.getBigUint64(8, true) & BigInt(STATX_ATTR_MOUNT_ROOT)) !== 0n,
  };
}

export function isDirectory(attr: Attr): boolean {
  return (attr.mode & S.IFMT) === S.IFDIR;
}

export function isRegularFile(attr: Attr): boolean {
  return (attr.mode & S.IFMT) === S.IFREG;
}

export function isSocket(attr: Attr): boolean {
  return (attr.mode & S.IFMT) === S.IFSOCK;
}

export function sameDevice(a: Attr, b: Attr): boolean {
  return a.dev.major === b.dev.major && a.dev.minor === b.dev.minor;
}

export function makeDirectoryAt(dir: Fd | null, name: Path, mode: number): void {
  checkAt("mkdir", dir, name, mkdirat_(at(dir), cString(name), mode));
}

/** @param rdev for S_IFCHR and S_IFBLK; @see mknod(2) */
export function makeNodeAt(
  dir: Fd | null,
  name: Path,
  mode: number,
  rdev: { major: number; minor: number } = { major: 0, minor: 0 },
): void {
  checkAt("mknod", dir, name, mknodat_(at(dir), cString(name), mode, packDevice(rdev.major, rdev.minor)));
}

/** glibc's makedev(3): 12 + 20 bits, spread over 64. */
function packDevice(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn);
}

export function unlinkAt(dir: Fd | null, name: Path): void {
  checkAt("unlink", dir, name, unlinkat_(at(dir), cString(name), 0));
}

export function removeDirectoryAt(dir: Fd | null, name: Path): void {
  checkAt("rmdir", dir, name, unlinkat_(at(dir), cString(name), AT.REMOVEDIR));
}

/** Renames; what stands at the new name is replaced. @see rename(2) */
export function renameAt(from: Fd | null, oldName: Path, to: Fd | null, newName: Path): void {
  checkAt("rename", to, newName, renameat2_(at(from), cString(oldName), at(to), cString(newName), 0));
}

/** Renames; EEXIST where the new name is taken. @see renameat2(2) */
export function renameNoReplaceAt(from: Fd | null, oldName: Path, to: Fd | null, newName: Path): void {
  checkAt("rename", to, newName, renameat2_(at(from), cString(oldName), at(to), cString(newName), RENAME_NOREPLACE));
}

/** Lets two names change their places, at once. @see renameat2(2) */
export function renameExchangeAt(dir: Fd, one: Path, other: Path): void {
  const result = renameat2_(dir.number, cString(one), dir.number, cString(other), RENAME_EXCHANGE);
  check("rename", under(dir, other), result);
}

/** A further name for an inode; a final symbolic link at `oldName` is itself linked, not followed. */
export function linkAt(from: Fd | null, oldName: Path, to: Fd | null, newName: Path): void {
  checkAt("link", to, newName, linkat_(at(from), cString(oldName), at(to), cString(newName), 0));
}

export function symlinkAt(target: Path, dir: Fd | null, name: Path): void {
  checkAt("symlink", dir, name, symlinkat_(cString(target), at(dir), cString(name)));
}

export function readLinkAt(dir: Fd | null, name: Path): Buffer {
  const buffer = Buffer.alloc(4096);
  return buffer.subarray(0, checkAt("readlink", dir, name, readlinkat_(at(dir), cString(name), buffer, buffer.length)));
}

/** Changes the owner, of a symbolic link itself too; an empty name means `dir`. */
export function changeOwnerAt(dir: Fd, name: Path, uid: number, gid: number): void {
  const flags = AT.SYMLINK_NOFOLLOW | (name.length === 0 ? AT.EMPTY_PATH : 0);
  checkAt("chown", dir, name, fchownat_(at(dir), cString(name), uid, gid, flags));
}

/** Changes the mode of what isn't a symbolic link: follows a final one, so know what `name` is. */
export function changeModeAt(dir: Fd, name: Path, mode: number): void {
  checkAt("chmod", dir, name, fchmodat_(at(dir), cString(name), mode & 0o7777, 0));
}

/** Changes the mode of an open file, which isn't O_PATH. */
export function changeMode(file: Fd, mode: number): void {
  check("chmod", file, fchmod_(file.number, mode & 0o7777));
}

/** Sets both times of an open file, which isn't O_PATH, to the same. @see futimens(3) */
export function setTimes(file: Fd, timeNs: bigint): void {
  const times = new BigInt64Array(4);
  [times[0], times[1]] = split(timeNs);
  times.copyWithin(2, 0, 2);
  // Not NULL for the path, which the C library's own function refuses.
  check("utimes", file, utimensat_(file.number, cString(""), new Uint8Array(times.buffer), AT.EMPTY_PATH));
}

/** Sets both times, of a symbolic link itself too. @see utimensat(2) */
export function setTimesAt(dir: Fd, name: Path, atimeNs: bigint, mtimeNs: bigint): void {
  const times = new BigInt64Array([...split(atimeNs), ...split(mtimeNs)]);
  checkAt("utimes", dir, name, utimensat_(at(dir), cString(name), new Uint8Array(times.buffer), AT.SYMLINK_NOFOLLOW));
}

/** Seconds and nanoseconds, the latter never negative. */
function split(timeNs: bigint): [bigint, bigint] {
  const seconds = timeNs / 1_000_000_000n - (timeNs % 1_000_000_000n < 0n ? 1n : 0n);
  return [seconds, timeNs - seconds * 1_000_000_000n];
}

/** One name of a directory: its bytes, and its type where the file system says it (0: ask stat). */
export interface DirectoryEntry {
  readonly name: Buffer;
  readonly ino: bigint;
  /** DT_* of readdir(3): 4 is a directory, 8 a regular file, 10 a symbolic link. */
  readonly type: number;
}

/** The entries of an open directory, from its current position to the end, without `.` and `..`. @see getdents64(2) */
export function* readDirectory(dir: Fd): Generator<DirectoryEntry> {
  const buffer = Buffer.alloc(32768);
  for (;;) {
    const length = check("readdir", dir, getdents64_(dir.number, buffer, buffer.length));
    if (length === 0) return;
    for (let offset = 0; offset < length;) {
      const size = buffer.readUInt16LE(offset + 16);
      const end = buffer.indexOf(0, offset + 19);
      const name = Buffer.from(buffer.subarray(offset + 19, end));
      if (!isDots(name)) yield { name, ino: buffer.readBigUInt64LE(offset), type: buffer.readUInt8(offset + 18) };
      offset += size;
    }
  }
}

function isDots(name: Buffer): boolean {
  return name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e));
}

/**
 * Everything from an open file's current position to its end.
 * @param hint what stat says of its size: read in one call then; large buffers for small files cost a garbage collection
 */
export function readAll(file: Fd, hint = 0): Buffer {
  const chunks: Buffer[] = [];
  for (let size = hint === 0 ? 4096 : hint + 1; ; size = 65536) {
    const chunk = Buffer.allocUnsafe(size);
    const length = check("read", file, read_(file.number, chunk, size));
    if (length === 0) return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
    chunks.push(chunk.subarray(0, length));
    // As long as stat said: the end of a file on a disk. One of the kernel's own has a size of 0.
    if (length === hint && hint > 0 && chunks.length === 1) return chunk.subarray(0, length);
  }
}

/** The whole of a file that we own, by its path. */
export function readFile(path: Path): Buffer {
  using file = openAt(null, path, O.RDONLY);
  return readAll(file);
}

/** What one read(2) gives: a message of a descriptor that hands out messages. */
export function readAvailable(file: Fd): Buffer {
  const buffer = Buffer.alloc(4096);
  return buffer.subarray(0, check("read", file, read_(file.number, buffer, buffer.length)));
}

export function writeAll(file: Fd, data: Uint8Array): void {
  for (let rest = data; rest.length > 0;) rest = rest.subarray(writeTo(file, rest));
}

/** One write(2). @returns how many bytes were taken */
export function writeTo(file: Fd, data: Uint8Array): number {
  return check("write", file, write_(file.number, data, data.length));
}

/** Makes the content and metadata of an open file or directory durable. @see fsync(2) */
export function sync(file: Fd): void {
  check("sync", file, fsync_(file.number));
}

export interface FileSystemInfo {
  /** As /proc/filesystems names it, or the magic number in hexadecimal. */
  readonly type: string;
  readonly freeBytes: number;
  readonly freeInodes: number;
  readonly totalInodes: number;
  /** It, or the mount by which it was opened. */
  readonly isReadOnly: boolean;
}

/** What the file system under an open file says of itself. @see statfs(2) */
export function fileSystemOf(file: Fd): FileSystemInfo {
  const buffer = Buffer.alloc(120);
  check("statfs", file, statfs_(file.number, buffer));
  const magic = Number(buffer.readBigUInt64LE(0) & 0xffffffffn);
  return {
    type: fileSystemNames[magic] ?? `0x${magic.toString(16)}`,
    freeBytes: Number(buffer.readBigUInt64LE(32)) * Number(buffer.readBigUInt64LE(8)),
    totalInodes: Number(buffer.readBigUInt64LE(40)),
    freeInodes: Number(buffer.readBigUInt64LE(48)),
    isReadOnly: (buffer.readUInt32LE(80) & ST_RDONLY) !== 0,
  };
}

export type LockMode = "shared" | "exclusive";

/** Takes a lock on an open file; it ends with the last descriptor of this opening, so with its holder. @see flock(2) */
export function lock(file: Fd, mode: LockMode): void {
  check("lock", file, flock_(file.number, mode === "shared" ? 1 : 2));
}

/** As lock(), but answers false at once where somebody else holds it. */
export function tryLock(file: Fd, mode: LockMode): boolean {
  const result = flock_(file.number, (mode === "shared" ? 1 : 2) | 4);
  if (result === 0) return true;
  try {
    check("lock", file, result);
  } catch (error) {
    if (error instanceof Error && "errno" in error && error.errno === "EAGAIN") return false;
    throw error;
  }
  return false;
}

/** A device's or file's ioctl(2) with one buffer. */
export function ioctl(file: Fd, request: number, argument: Uint8Array | null, name = "ioctl"): number {
  return check(name, file, ioctl_(file.number, request, argument));
}

const syncfs_ = nativeAsync("syncfs", "int", ["int"]);

/**
 * Makes everything durable that was written to the file system of an open file; takes as long as its disk.
 * @throws {KernelError} EIO: something couldn't be written; @see syncfs(2)
 */
export async function syncFileSystem(file: Fd): Promise<void> {
  // errno stays with the pool's thread; space is reserved when a page is written, so what is left is EIO.
  if ((await syncfs_(file.number)) !== 0) throw new KernelError({ syscall: "syncfs", path: file.path, errno: "EIO" });
}
