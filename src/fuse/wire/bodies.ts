import { readSeconds, readU64 } from "./numbers.ts";
import {
  FATTR,
  IN_HEADER_SIZE,
  LK_FLOCK,
  OPEN_KILL_SUIDGID,
  POLL_SCHEDULE_NOTIFY,
  READ_LOCKOWNER,
  RELEASE_FLOCK_UNLOCK,
  WRITE_CACHE,
  WRITE_KILL_SUIDGID,
  WRITE_LOCKOWNER,
} from "./protocol.ts";
import type { RequestBuffer } from "./request.ts";
import type {
  CopyRequest,
  CreateRequest,
  FileFlags,
  IoctlRequest,
  LockRequest,
  PollRequest,
  ReadRequest,
  ReleaseRequest,
  SetAttr,
  Time,
  WriteRequest,
} from "./types.ts";

// Offsets below count from the body's beginning, behind the header, as the structures of linux/fuse.h do.
const B = IN_HEADER_SIZE;

/** struct fuse_setattr_in */
export function readSetAttr({ view }: RequestBuffer): SetAttr {
  const valid = view.getUint32(B, true);
  const has = (bit: number): boolean => (valid & bit) !== 0;
  return {
    ...(has(FATTR.MODE) && { mode: view.getUint32(B + 68, true) }),
    ...(has(FATTR.UID) && { uid: view.getUint32(B + 76, true) }),
    ...(has(FATTR.GID) && { gid: view.getUint32(B + 80, true) }),
    ...(has(FATTR.SIZE) && { size: readU64(view, B + 16) }),
    ...(has(FATTR.ATIME) && { atime: has(FATTR.ATIME_NOW) ? "now" : readTime(view, B + 32, B + 56) }),
    ...(has(FATTR.MTIME) && { mtime: has(FATTR.MTIME_NOW) ? "now" : readTime(view, B + 40, B + 60) }),
    ...(has(FATTR.CTIME) && { ctime: readTime(view, B + 48, B + 64) }),
    ...(has(FATTR.FH) && { fh: readU64(view, B + 8) }),
    ...(has(FATTR.LOCKOWNER) && { lockOwner: view.getBigUint64(B + 24, true) }),
    killSuidGid: has(FATTR.KILL_SUIDGID),
  };
}

function readTime(view: DataView, at: number, nsecAt: number): Time {
  return { seconds: readSeconds(view, at), nsec: view.getUint32(nsecAt, true) };
}

/** struct fuse_open_in */
export function readOpen({ view }: RequestBuffer): FileFlags {
  return {
    flags: view.getUint32(B, true),
    killSuidGid: (view.getUint32(B + 4, true) & OPEN_KILL_SUIDGID) !== 0,
  };
}

/** struct fuse_create_in; the name follows it, at CREATE_IN_SIZE. */
export function readCreate({ view }: RequestBuffer): CreateRequest {
  return {
    flags: view.getUint32(B, true),
    mode: view.getUint32(B + 4, true),
    umask: view.getUint32(B + 8, true),
    killSuidGid: (view.getUint32(B + 12, true) & OPEN_KILL_SUIDGID) !== 0,
  };
}

/** struct fuse_read_in */
export function readRead({ view }: RequestBuffer): ReadRequest {
  const hasOwner = (view.getUint32(B + 20, true) & READ_LOCKOWNER) !== 0;
  return {
    fh: readU64(view, B),
    offset: readU64(view, B + 8),
    size: view.getUint32(B + 16, true),
    flags: view.getUint32(B + 32, true),
    lockOwner: hasOwner ? view.getBigUint64(B + 24, true) : undefined,
  };
}

/** struct fuse_write_in: 40 bytes, and the data behind them. */
export function readWrite({ view }: RequestBuffer): WriteRequest {
  const how = view.getUint32(B + 20, true);
  return {
    fh: readU64(view, B),
    offset: readU64(view, B + 8),
    flags: view.getUint32(B + 32, true),
    lockOwner: (how & WRITE_LOCKOWNER) === 0 ? undefined : view.getBigUint64(B + 24, true),
    isFromCache: (how & WRITE_CACHE) !== 0,
    killSuidGid: (how & WRITE_KILL_SUIDGID) !== 0,
  };
}

/** The data of a WRITE: a window onto the request, which the next request overwrites. */
export function readWriteData({ view, bytes }: RequestBuffer): Uint8Array {
  return bytes.subarray(B + 40, B + 40 + view.getUint32(B + 16, true));
}

/** struct fuse_release_in */
export function readRelease({ view }: RequestBuffer): ReleaseRequest {
  return {
    fh: readU64(view, B),
    flags: view.getUint32(B + 8, true),
    unlockFlock: (view.getUint32(B + 12, true) & RELEASE_FLOCK_UNLOCK) !== 0,
    lockOwner: view.getBigUint64(B + 16, true),
  };
}

/** struct fuse_copy_file_range_in */
export function readCopy({ view }: RequestBuffer): CopyRequest {
  return {
    fh: readU64(view, B),
    offset: readU64(view, B + 8),
    toNodeid: readU64(view, B + 16),
    toFh: readU64(view, B + 24),
    toOffset: readU64(view, B + 32),
    length: readU64(view, B + 40),
  };
}

const lockTypes = ["read", "write", "unlock"] as const; // F_RDLCK, F_WRLCK, F_UNLCK

/** struct fuse_lk_in */
export function readLock({ view }: RequestBuffer): LockRequest {
  return {
    fh: readU64(view, B),
    owner: view.getBigUint64(B + 8, true),
    start: view.getBigUint64(B + 16, true),
    end: view.getBigUint64(B + 24, true),
    type: lockTypes[view.getUint32(B + 32, true)] ?? "unlock",
    pid: view.getUint32(B + 36, true),
    kind: (view.getUint32(B + 40, true) & LK_FLOCK) === 0 ? "range" : "flock",
  };
}

/** struct fuse_ioctl_in, and the data that the command brings */
export function readIoctl({ view, bytes }: RequestBuffer): IoctlRequest {
  return {
    fh: readU64(view, B),
    isDirectory: (view.getUint32(B + 8, true) & 16) !== 0, // FUSE_IOCTL_DIR
    command: view.getUint32(B + 12, true),
    argument: view.getBigUint64(B + 16, true),
    input: bytes.subarray(B + 32, B + 32 + view.getUint32(B + 24, true)),
    outputSize: view.getUint32(B + 28, true),
  };
}

/** struct fuse_poll_in */
export function readPoll({ view }: RequestBuffer): PollRequest {
  const wants = (view.getUint32(B + 16, true) & POLL_SCHEDULE_NOTIFY) !== 0;
  return {
    fh: readU64(view, B),
    notifyHandle: wants ? view.getBigUint64(B + 8, true) : undefined,
    events: view.getUint32(B + 20, true),
  };
}
