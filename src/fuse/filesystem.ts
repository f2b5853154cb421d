import type { Deferred } from "./deferred.ts";
import type { DirectoryWriter } from "./wire/dirent.ts";
import type {
  AttrReply,
  CopyRequest,
  Created,
  CreateRequest,
  Entry,
  FileFlags,
  IoctlReply,
  IoctlRequest,
  Lock,
  LockRequest,
  Name,
  Opened,
  PollRequest,
  ReadRequest,
  ReleaseRequest,
  SetAttr,
  StatFs,
  StatxReply,
  WriteRequest,
} from "./wire/types.ts";

/** Who asks. Valid until the method returns: the next request is told by the same object. */
export interface Request {
  /**
   * The caller's file system user and group, and its thread's id; of requests of the kernel's own, 0. With ALLOW_IDMAP the
   * first two are 2^32 − 1 in all requests but those that make something.
   */
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** Of the caller's supplementary groups the one that owns the parent directory; see CREATE_SUPP_GROUP. */
  readonly supplementaryGroup: number | undefined;
  /** An earlier server had read it and may have done it already: creating and deleting must reckon with that. */
  readonly isResend: boolean;
  /** Its number: that of no other request of the connection, and the same when it is sent again. */
  readonly key: number;
  /** For what takes longer: return it, and answer through it later. The caller waits, others don't. */
  defer<T>(): Deferred<T>;
}

/** What a method answers: its result; a negative errno, which is cheaper than throwing; or later. */
export type Answer<T> = T | number | Deferred<T>;

/**
 * A file system, as one method for each thing that the kernel asks. Methods are synchronous. To refuse they return a
 * negative errno, or throw a KernelError (or any Error with an errno's name as `code`). Of those that are absent, the kernel is told ENOSYS, which it
 * remembers for most: `open` absent means that files need no handle, `flush` absent that closing sends nothing.
 * @see fuse(4), Documentation/filesystems/fuse/, and STYLE.md's vocabulary
 */
export interface FileSystem {
  /** Undefined where the name doesn't exist: the kernel may remember it. */
  lookup(parent: number, name: Name, request: Request): Answer<Entry | undefined>;
  /** The kernel has dropped `count` lookups of this nodeid; at 0 it doesn't know it any more. */
  forget?(nodeid: number, count: number): void;
  /** After forget() for each of those that the kernel has dropped at once. */
  forgotten?(): void;

  /** @param fh where the caller asks by an open file */
  getattr(nodeid: number, fh: number | undefined, request: Request): Answer<AttrReply>;
  setattr?(nodeid: number, change: SetAttr, request: Request): Answer<AttrReply>;
  /** getattr with the time of birth; asked for only where somebody wants to know it. */
  statx?(nodeid: number, fh: number | undefined, request: Request): Answer<StatxReply>;
  /** @param mask R_OK, W_OK, X_OK; not called with the mount option `default_permissions` */
  access?(nodeid: number, mask: number, request: Request): Answer<void>;
  readlink?(nodeid: number, request: Request): Answer<Uint8Array | string>;
  statfs?(nodeid: number, request: Request): Answer<StatFs>;

  /** @param mode not yet reduced by `umask` where DONT_MASK was negotiated, as it is by default */
  mknod?(parent: number, name: Name, node: NewNode, request: Request): Answer<Entry>;
  mkdir?(parent: number, name: Name, node: NewInode, request: Request): Answer<Entry>;
  symlink?(parent: number, name: Name, target: string, request: Request): Answer<Entry>;
  link?(nodeid: number, newParent: number, newName: Name, request: Request): Answer<Entry>;
  unlink?(parent: number, name: Name, request: Request): Answer<void>;
  rmdir?(parent: number, name: Name, request: Request): Answer<void>;
  /** @param flags RENAME_* of renameat2(2); answer EINVAL to those you don't know */
  rename?(parent: number, name: Name, newParent: number, newName: Name, flags: number, request: Request): Answer<void>;

  open?(nodeid: number, how: FileFlags, request: Request): Answer<Opened>;
  create?(parent: number, name: Name, how: CreateRequest, request: Request): Answer<Created>;
  /** An inode without a name, in the file system of `parent`: O_TMPFILE. */
  tmpfile?(parent: number, how: CreateRequest, request: Request): Answer<Created>;
  /**
   * @param into of the size that was asked for; valid until the method returns
   * @returns how many bytes were placed there, or a negative errno: fewer at the file's end only; a deferred answer brings its own
   */
  read?(nodeid: number, from: ReadRequest, into: Uint8Array, request: Request): number | Deferred<Uint8Array>;
  /** @param data a window, valid until the method returns; @returns how many of its bytes were taken */
  write?(nodeid: number, to: WriteRequest, data: Uint8Array, request: Request): Answer<number>;
  /** Each close(2) of a descriptor; may answer with an error that close returns. */
  flush?(nodeid: number, fh: number, lockOwner: bigint, request: Request): Answer<void>;
  /** The last descriptor and mapping of an open file are gone. */
  release?(nodeid: number, what: ReleaseRequest, request: Request): Answer<void>;
  fsync?(nodeid: number, fh: number, what: "all" | "data", request: Request): Answer<void>;
  /** @param mode FALLOC_FL_* of fallocate(2) */
  fallocate?(
    nodeid: number,
    range: { readonly fh: number; readonly offset: number; readonly length: number; readonly mode: number },
    request: Request,
  ): Answer<void>;
  /** SEEK_HOLE and SEEK_DATA of lseek(2). @returns the new offset */
  lseek?(
    nodeid: number,
    from: { readonly fh: number; readonly offset: number; readonly whence: number },
    request: Request,
  ): Answer<number>;
  /** @returns how many bytes were copied; @see copy_file_range(2) */
  copyFileRange?(nodeid: number, what: CopyRequest, request: Request): Answer<number>;

  opendir?(nodeid: number, how: FileFlags, request: Request): Answer<Opened>;
  /** Adds entries behind `offset` (0: from the beginning) until there are no more or the writer is full. */
  readdir?(nodeid: number, fh: number, offset: number, writer: DirectoryWriter, request: Request): number | void;
  /** readdir and lookup at once: as readdir, with writer.addEntry(). */
  readdirplus?(nodeid: number, fh: number, offset: number, writer: DirectoryWriter, request: Request): number | void;
  releasedir?(nodeid: number, what: ReleaseRequest, request: Request): Answer<void>;
  fsyncdir?(nodeid: number, fh: number, what: "all" | "data", request: Request): Answer<void>;

  /** Undefined where there is no such attribute. */
  getxattr?(nodeid: number, name: Name, request: Request): Answer<Uint8Array | undefined>;
  /** @param value a window, valid until the method returns */
  setxattr?(nodeid: number, name: Name, value: Uint8Array, how: SetXattr, request: Request): Answer<void>;
  /** Each name is followed by a NUL. */
  listxattr?(nodeid: number, request: Request): Answer<Uint8Array>;
  removexattr?(nodeid: number, name: Name, request: Request): Answer<void>;

  /** The lock that stands in the way of `lock`, or undefined. */
  getlk?(nodeid: number, lock: LockRequest, request: Request): Answer<Lock | undefined>;
  /** Takes or gives back a lock; "try": EAGAIN where it can't be had at once; "wait": defer. */
  setlk?(nodeid: number, lock: LockRequest, how: "try" | "wait", request: Request): Answer<void>;

  ioctl?(nodeid: number, what: IoctlRequest, request: Request): Answer<IoctlReply>;
  /** @returns those of the POLL* events that are true now */
  poll?(nodeid: number, what: PollRequest, request: Request): Answer<number>;
  /** Asked of file systems on block devices and virtiofs only. */
  syncfs?(nodeid: number, request: Request): Answer<void>;
  destroy?(): void;
}

export interface NewInode {
  readonly mode: number;
  readonly umask: number;
}

export interface NewNode extends NewInode {
  readonly rdev: { readonly major: number; readonly minor: number };
}

export interface SetXattr {
  /** XATTR_CREATE, XATTR_REPLACE */
  readonly flags: number;
  /** Setting system.posix_acl_access clears the set-group-ID bit; with SETXATTR_EXT. */
  readonly killSetGid: boolean;
}
