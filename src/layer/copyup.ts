import { E } from "../kernel/abi/errno.ts";
import { O, S } from "../kernel/abi/file.ts";
import {
  chmodName,
  chownName,
  closeFd,
  fail,
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
  utimesName,
} from "../kernel/at.ts";
import { truncateFd } from "../kernel/io.ts";
import { copyAttributes } from "./attributes.ts";
import { copyContent } from "./copydata.ts";

/** An entry of a layer, below an open directory; an empty name means the directory itself. */
export interface Entry {
  readonly fd: number;
  readonly name: Name;
}

export interface Copied {
  readonly type: number;
  readonly size: number;
  /** Of the original. */
  readonly nlink: number;
  readonly atime: Time;
  readonly mtime: Time;
}

/** Where a regular file's content comes from, and how much of it is wanted; undefined: none, only its size is kept. */
export interface Content extends Entry {
  readonly upTo: number;
}

/**
 * Makes a copy of an entry under a name that is free: content, owner, mode, attributes. `mark` may add to it before
 * its times are set, the last step.
 */
export function copyEntry(
  from: Entry,
  to: Entry,
  content: Content | undefined,
  isPrivate: (attribute: Name) => boolean,
  mark: (copied: Copied) => void,
): Copied {
  must("stat", from.name, from.name === "" ? statFd(from.fd) : statName(from.fd, from.name));
  const { mode, type, uid, gid, size, nlink } = stat;
  const copied: Copied = {
    type,
    size,
    nlink,
    atime: { seconds: stat.atime, nsec: stat.atimeNsec },
    mtime: { seconds: stat.mtime, nsec: stat.mtimeNsec },
  };
  const rdev = packDevice(stat.rdevMajor, stat.rdevMinor);
  make(from, to, type, rdev, content, size);
  must("chown", to.name, chownName(to.fd, to.name, uid, gid));
  if (type !== S.IFLNK) must("chmod", to.name, chmodName(to.fd, to.name, mode));
  copyAttributes(from.fd, from.name, to.fd, to.name, isPrivate);
  mark(copied);
  must("utimes", to.name, utimesName(to.fd, to.name, copied.atime, copied.mtime));
  return copied;
}

function make(from: Entry, to: Entry, type: number, rdev: bigint, content: Content | undefined, size: number): void {
  if (type === S.IFDIR) {
    must("mkdir", to.name, mkdirName(to.fd, to.name, 0o700));
  } else if (type === S.IFLNK) {
    const target = readlinkName(from.fd, from.name);
    if (typeof target === "number") fail("readlink", from.name, target);
    else must("symlink", to.name, symlinkName(target.toString("latin1"), to.fd, to.name));
  } else if (type === S.IFREG) {
    const fd = must("create", to.name, openName(to.fd, to.name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600));
    try {
      if (content === undefined) must("truncate", to.name, truncateFd(fd, size));
      else fillFile(fd, content);
    } finally {
      closeFd(fd);
    }
  } else {
    must("mknod", to.name, mknodName(to.fd, to.name, type | 0o600, rdev));
  }
}

/** Puts content from below into a file of the upper that is open for writing. */
export function fillFile(fd: number, content: Content): void {
  const flags = O.RDONLY | O.NOFOLLOW | O.NONBLOCK;
  let from = openName(content.fd, content.name, flags | O.NOATIME);
  if (from === -E.PERM) from = openName(content.fd, content.name, flags);
  must("open", content.name, from);
  try {
    must("stat", content.name, statFd(from));
    if (stat.type !== S.IFREG) fail("open", content.name, -E.IO);
    const size = stat.size;
    copyContent(from, fd, Math.min(content.upTo, size), size);
  } finally {
    closeFd(from);
  }
}

/** glibc's makedev(3). */
export function packDevice(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn);
}
