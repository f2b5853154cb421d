/**
 * A name as a byte string: each character is one byte (ISO 8859-1), so that any name is one string, a key for a Map.
 * `Buffer.from(name, "latin1")` has the bytes, which are UTF-8 where people type names.
 */
export type Name = string;

/** What an inode is. Times are seconds and nanoseconds since 1970, sizes bytes, `blocks` 512 bytes each. */
export interface Attr {
  readonly ino: bigint | number;
  /** Type and permissions, as in stat(2). */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly blocks: number;
  /** A device's numbers; without them 0. */
  readonly rdevMajor?: number;
  readonly rdevMinor?: number;
  readonly atime: number;
  readonly atimeNsec: number;
  readonly mtime: number;
  readonly mtimeNsec: number;
  readonly ctime: number;
  readonly ctimeNsec: number;
  /** Without it, 4096. */
  readonly blksize?: number;
}

/** Seconds since 1970, negative before, and nanoseconds, which never are. */
export interface Time {
  readonly seconds: number;
  readonly nsec: number;
}

/** Attributes, and for how long the kernel may believe them; without a time-out, the connection's. */
export interface AttrReply {
  readonly attr: Attr;
  readonly attrTimeoutMs?: number;
}

/** A name that leads to an inode: its nodeid's lookup count is one higher from now on, until `forget` takes it back. */
export interface Entry extends AttrReply {
  /** From 1 (the root) to 2**53 − 1. */
  readonly nodeid: number;
  /** Tells two inodes apart that had the same nodeid one after the other; 0 where nodeids aren't used again. */
  readonly generation?: number;
  readonly entryTimeoutMs?: number;
}

/** An open file or directory. */
export interface Opened {
  /** The handle: handed back with every request on this open file, below 2**53. */
  readonly fh: number;
  /** FOPEN flags. */
  readonly flags?: number;
  /** From Connection.openBacking(), with FOPEN.PASSTHROUGH. */
  readonly backingId?: number;
}

export interface Created {
  readonly entry: Entry;
  readonly opened: Opened;
}

/** What to change; what is absent stays. "now" is the file system's own clock. */
export interface SetAttr {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: Time | "now";
  readonly mtime?: Time | "now";
  /** Sent with WRITEBACK_CACHE only. */
  readonly ctime?: Time;
  /** The open file that ftruncate(2), fchmod(2) and so on were called with. */
  readonly fh?: number;
  readonly lockOwner?: bigint;
  /** HANDLE_KILLPRIV_V2: clear the set-user-ID bit, and set-group-ID where the group may execute. */
  readonly killSuidGid: boolean;
}

/** What statfs(2) tells. */
export interface StatFs {
  readonly blocks: number;
  readonly freeBlocks: number;
  readonly availableBlocks: number;
  readonly files: number;
  readonly freeFiles: number;
  readonly blockSize: number;
  readonly fragmentSize: number;
  readonly nameLength: number;
}

/** A byte range lock of fcntl(2). `end` is the last byte; 2**63 − 1 means the end of the file, however far. */
export interface Lock {
  /** fcntl's F_RDLCK, F_WRLCK, F_UNLCK. */
  readonly type: "read" | "write" | "unlock";
  readonly start: bigint;
  readonly end: bigint;
  readonly pid: number;
}

/** A lock that is asked for: of a byte range, or flock(2)'s of the whole file. */
export interface LockRequest extends Lock {
  readonly kind: "range" | "flock";
  readonly fh: number;
  /** Who holds it: a process for fcntl(2), an open file for flock(2) and OFD locks. */
  readonly owner: bigint;
}

export interface FileFlags {
  /** O_* flags of open(2). */
  readonly flags: number;
  /** Truncating it clears set-user-ID and set-group-ID bits. */
  readonly killSuidGid: boolean;
}

export interface CreateRequest extends FileFlags {
  readonly mode: number;
  readonly umask: number;
}

export interface ReadRequest {
  readonly fh: number;
  readonly offset: number;
  readonly size: number;
  /** The open file's O_* flags. */
  readonly flags: number;
  readonly lockOwner: bigint | undefined;
}

export interface WriteRequest {
  readonly fh: number;
  readonly offset: number;
  readonly flags: number;
  readonly lockOwner: bigint | undefined;
  /** From the page cache (WRITEBACK_CACHE, mappings): `fh` is one of those that are open for writing, whichever. */
  readonly isFromCache: boolean;
  readonly killSuidGid: boolean;
}

export interface ReleaseRequest {
  readonly fh: number;
  readonly flags: number;
  readonly lockOwner: bigint;
  /** flock(2)'s lock of this open file ends with it. */
  readonly unlockFlock: boolean;
}

export interface CopyRequest {
  readonly fh: number;
  readonly offset: number;
  readonly toNodeid: number;
  readonly toFh: number;
  readonly toOffset: number;
  readonly length: number;
}

export interface IoctlRequest {
  readonly fh: number;
  readonly command: number;
  /** The caller's third argument: an address of its own, or a number. */
  readonly argument: bigint;
  /** A window, valid until the method returns. */
  readonly input: Uint8Array;
  readonly outputSize: number;
  readonly isDirectory: boolean;
}

export interface IoctlReply {
  /** What ioctl(2) returns. */
  readonly result: number;
  readonly output?: Uint8Array;
}

export interface PollRequest {
  readonly fh: number;
  /** POLL* of poll(2). */
  readonly events: number;
  /** Where it is there, notify it once when one of the events comes true. */
  readonly notifyHandle: bigint | undefined;
}

export interface StatxReply extends AttrReply {
  readonly birthTime?: Time;
  /** STATX_ATTR_* flags, and those of them that are known at all. */
  readonly attributes?: bigint;
  readonly attributesMask?: bigint;
}
