import { E } from "../kernel/abi/errno.ts";
import { O, S } from "../kernel/abi/file.ts";
import {
  chmodFd,
  chmodName,
  chownName,
  closeFd,
  fail,
  type KnownTime,
  linkFd,
  mkdirName,
  mknodName,
  must,
  type Name,
  openName,
  readlinkName,
  stat,
  statFd,
  statName,
  symlinkName,
  type Time,
  utimesFd,
  utimesName,
} from "../kernel/at.ts";
import { syncFd, truncateFd } from "../kernel/io.ts";
import { copyAttributes, type Entry, type Made } from "./attributes.ts";
import { copyContent } from "./copydata.ts";

/** What is to be copied, as stat(2) has it. */
export interface Original {
  readonly mode: number;
  readonly type: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly blocks: number;
  readonly nlink: number;
  readonly rdev: bigint;
  readonly atime: KnownTime;
  readonly mtime: KnownTime;
  readonly ctime: KnownTime;
}

export function readOriginal(from: Entry): Original {
  must("stat", from.name, from.name === "" ? statFd(from.fd) : statName(from.fd, from.name));
  return heldOriginal();
}

/** What `stat` holds. */
export function heldOriginal(): Original {
  return {
    mode: stat.mode,
    type: stat.type,
    uid: stat.uid,
    gid: stat.gid,
    size: stat.size,
    blocks: stat.blocks,
    nlink: stat.nlink,
    rdev: stat.type === S.IFCHR || stat.type === S.IFBLK ? packDevice(stat.rdevMajor, stat.rdevMinor) : 0n,
    atime: { seconds: stat.atime, nsec: stat.atimeNsec },
    mtime: { seconds: stat.mtime, nsec: stat.mtimeNsec },
    ctime: { seconds: stat.ctime, nsec: stat.ctimeNsec },
  };
}

/** How a copy is made; its directory is private to us, so that nobody sees it half done. */
export interface CopyPlan {
  /** Undefined: only the size is kept. */
  readonly content: Content | undefined;
  /**
   * An open directory, on the same mount, that hands nothing down to what is made in it: a regular file is made without a
   * name there, and so lies on the disk where that directory's files do.
   */
  readonly near?: number | undefined;
  /** The process's own ids, which new entries have. */
  readonly ownUid: number;
  readonly ownGid: number;
  /** Whether the file system of the copy has owners; where it has not, neither has it such modes. */
  readonly hasOwners: boolean;
  /** Which of the original's attributes it doesn't get; undefined: the original has none. */
  readonly isPrivate: ((attribute: Name) => boolean) | undefined;
  /** Adds marks, before the times are set. */
  readonly mark: (made: Made) => void;
  /** What else it is to be before anybody sees it, when it is what the original was. */
  readonly change?: ((made: Made) => void) | undefined;
}

/**
 * Where a regular file's content comes from (an empty name: the file that is open, perhaps as O_PATH), and how much of it
 * is wanted.
 */
export interface Content extends Entry {
  readonly upTo: number;
  /**
   * Whether it is on the disk before the copy takes the original's place: file systems write names before content, so a
   * loss of power could leave an empty file where one from below was.
   */
  readonly isSynced: boolean;
}

/** Makes a copy of an entry under a name that is free: content, owner, mode, attributes, times. */
export function copyEntry(original: Original, from: Entry, to: Entry, plan: CopyPlan): void {
  const open = make(original, from, to, plan);
  try {
    finish(original, from, { fd: to.fd, name: to.name, open }, plan);
  } finally {
    if (open >= 0) closeFd(open);
  }
}

function finish(original: Original, from: Entry, made: Made, plan: CopyPlan): void {
  const { mode, type, uid, gid } = original;
  const isForeign = uid !== plan.ownUid || gid !== plan.ownGid;
  if (isForeign && plan.hasOwners) must("chown", made.name, chownMade(made, uid, gid));
  // What chown takes away from files, and mkdir doesn't take from us.
  if ((mode & 0o6000) !== 0 && type !== S.IFLNK && plan.hasOwners) must("chmod", made.name, chmodMade(made, mode));
  if (plan.isPrivate !== undefined) copyAttributes(from, made, plan.isPrivate);
  plan.mark(made);
  must("utimes", made.name, utimesMade(made, original.atime, original.mtime));
  plan.change?.(made);
}

/** As chownName(). */
export function chownMade({ fd, name, open }: Made, uid: number, gid: number): number {
  return open < 0 ? chownName(fd, name, uid, gid) : chownName(open, "", uid, gid);
}

/** As chmodName(). */
export function chmodMade({ fd, name, open }: Made, mode: number): number {
  return open < 0 ? chmodName(fd, name, mode) : chmodFd(open, mode);
}

/** As utimesName(). */
export function utimesMade({ fd, name, open }: Made, atime: Time, mtime: Time): number {
  return open < 0 ? utimesName(fd, name, atime, mtime) : utimesFd(open, atime, mtime);
}

/** @returns a descriptor of a regular file; −1 of what else is made */
function make({ type, mode, size, rdev }: Original, from: Entry, to: Entry, { content, near }: CopyPlan): number {
  if (type === S.IFDIR) {
    must("mkdir", to.name, mkdirName(to.fd, to.name, mode & 0o1777));
  } else if (type === S.IFLNK) {
    const target = readlinkName(from.fd, from.name);
    if (typeof target === "number") fail("readlink", from.name, target);
    else must("symlink", to.name, symlinkName(target.toString("latin1"), to.fd, to.name));
  } else if (type === S.IFREG) {
    const nameless = near === undefined ? -E.OPNOTSUPP : openName(near, ".", O.WRONLY | O.TMPFILE, mode & 0o1777);
    const flags = O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW;
    // Not every file system has such.
    const fd = nameless >= 0 ? nameless : must("create", to.name, openName(to.fd, to.name, flags, mode & 0o1777));
    try {
      if (content === undefined) must("truncate", to.name, truncateFd(fd, size));
      else fillFile(fd, content);
      if (nameless >= 0) must("link", to.name, linkFd(fd, to.fd, to.name));
    } catch (error) {
      closeFd(fd);
      throw error;
    }
    return fd;
  } else {
    must("mknod", to.name, mknodName(to.fd, to.name, mode & ~0o6000, rdev));
  }
  return -1;
}

/** Puts content from below into a file of the upper that is open for writing. */
export function fillFile(fd: number, content: Content): void {
  const isItself = content.name === "";
  const path = isItself ? `/proc/self/fd/${content.fd}` : content.name;
  const flags = O.RDONLY | O.NONBLOCK | (isItself ? 0 : O.NOFOLLOW);
  let from = openName(content.fd, path, flags | O.NOATIME);
  if (from === -E.PERM) from = openName(content.fd, path, flags);
  must("open", content.name, from);
  try {
    must("stat", content.name, statFd(from));
    if (stat.type !== S.IFREG) fail("open", content.name, -E.IO);
    const size = stat.size;
    const isWritten = copyContent(from, fd, Math.min(content.upTo, size), size);
    if (isWritten && content.isSynced) must("sync", content.name, syncFd(fd, "data"));
  } finally {
    closeFd(from);
  }
}

/** glibc's makedev(3). */
export function packDevice(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn);
}
