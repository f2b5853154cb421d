import { E } from "../kernel/abi/errno.ts";
import { O, S } from "../kernel/abi/file.ts";
import {
  chmodName,
  chownName,
  closeFd,
  fail,
  KEEP_ID,
  must,
  type Name,
  openName,
  stat,
  statName,
  statSerial,
  type Time,
  utimesName,
} from "../kernel/at.ts";
import { truncateFd } from "../kernel/io.ts";
import { copyUp, linkUp } from "./copyup.ts";
import { type Core, locate, place, statPlace } from "./core.ts";
import type { Inode } from "./inode.ts";
import { checkEntries, checkUnprotected } from "./protection.ts";
import { countSubdirectories } from "./readdir.ts";
import { canCount } from "./remote.ts";

/** What stat(2) says; times are seconds and nanoseconds, `blocks` of 512 bytes. All numbers are exact. */
export interface UnionAttr {
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdevMajor: number;
  readonly rdevMinor: number;
  readonly size: number;
  readonly blocks: number;
  readonly blksize: number;
  readonly atime: number;
  readonly atimeNsec: number;
  readonly mtime: number;
  readonly mtimeNsec: number;
  readonly ctime: number;
  readonly ctimeNsec: number;
  /** `nlink` isn't what it will be once a lower that may keep us waiting was asked. */
  readonly isUncounted?: boolean;
}

/**
 * One statx(2), or two for a file whose content and attributes are in different layers.
 * @param serial the statSerial() under which its attributes were read: none is needed where they are still there
 */
export function attrOf(core: Core, inode: Inode, serial = -1): UnionAttr {
  const blocks = inode.isMetacopy ? contentBlocks(inode) : -1;
  const isCounted = !inode.isMerged || inode.subdirectories >= 0 || canCount(core, inode);
  if (inode.isMerged && inode.subdirectories < 0 && isCounted) inode.subdirectories = countSubdirectories(core, inode);
  if (serial !== statSerial()) {
    locate(core, inode);
    must("stat", place.name, statPlace());
  }
  const read = readSince(core, inode);
  const changed = core.changeTimes.of(inode.ino);
  return {
    ino: inode.ino,
    mode: inode.isNestedWhiteout ? S.IFCHR | (stat.mode & 0o7777) : stat.mode,
    nlink: nlinkOf(inode),
    uid: stat.uid,
    gid: stat.gid,
    rdevMajor: stat.rdevMajor,
    rdevMinor: stat.rdevMinor,
    size: stat.size,
    blocks: blocks < 0 ? stat.blocks : blocks,
    blksize: stat.blksize,
    atime: read < 0 ? stat.atime : Math.floor(read / 1e6),
    atimeNsec: read < 0 ? stat.atimeNsec : (read % 1e6) * 1000,
    mtime: stat.mtime,
    mtimeNsec: stat.mtimeNsec,
    ctime: changed?.seconds ?? stat.ctime,
    ctimeNsec: changed?.nsec ?? stat.ctimeNsec,
    ...(!isCounted && { isUncounted: true }),
  };
}

/** When it was read, after what `stat` says of that: see AccessTimes. −1: it wasn't. */
function readSince(core: Core, inode: Inode): number {
  const time = core.accessTimes.of(inode.ino) ?? -1;
  return time < stat.atime * 1e6 + stat.atimeNsec / 1000 ? -1 : time;
}

function contentBlocks(inode: Inode): number {
  const directory = inode.dataDir;
  if (directory === undefined || statName(directory.fd, inode.dataName) < 0) return -1;
  return stat.blocks;
}

/** What `stat` holds, as the union counts it. Some file systems don't count a directory's subdirectories: it has 1 then. */
function nlinkOf(inode: Inode): number {
  if (inode.isDead) return inode.links.length > 0 ? stat.nlink : 0;
  if (inode.isDirectory) return inode.isMerged && stat.nlink !== 1 ? Math.max(1, 2 + inode.subdirectories) : stat.nlink;
  return inode.indexEntry === undefined ? stat.nlink : Math.max(0, stat.nlink + inode.nlinkExcess);
}

export interface AttrChange {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: Time;
  readonly mtime?: Time;
}

/** Changes attributes, all or those given; a lower file's are copied up first, its content only for a new size. */
export function setAttr(core: Core, inode: Inode, change: AttrChange, openFd = -1): void {
  // To set times to now is to add something.
  if (isTouch(change)) checkEntries(inode, "add");
  else checkUnprotected(inode);
  if (change.size !== undefined) setSize(core, inode, change.size, openFd);
  copyUp(core, inode, { content: "leave" });
  // overlayfs does so for the name that was used, which isn't known here: the upper alone then shows all that is changed.
  for (const link of inode.links) linkUp(core, inode, link);
  core.changeTimes.forget(inode.ino);
  locate(core, inode);
  const { fd, name } = place;
  if (isBare(change) || change.uid !== undefined || change.gid !== undefined) {
    must("chown", inode.path, chownName(fd, name, change.uid ?? KEEP_ID, change.gid ?? KEEP_ID));
  }
  if (change.mode !== undefined) setMode(inode, fd, name, change.mode);
  if (change.atime !== undefined || change.mtime !== undefined) {
    if (change.atime !== undefined) core.accessTimes.forget(inode.ino);
    must("utimes", inode.path, utimesName(fd, name, change.atime ?? "keep", change.mtime ?? "keep"));
  }
}

function isTouch({ mode, uid, gid, atime, mtime }: AttrChange): boolean {
  return mode === undefined && uid === undefined && gid === undefined && atime === "now" && mtime === "now";
}

/** It asks for nothing: chown(2) to nobody else, which sets the ctime all the same, or a write that takes set-user-ID away. */
export function isBare({ mode, size, atime, mtime, uid, gid }: AttrChange): boolean {
  if (mode !== undefined || size !== undefined || uid !== undefined || gid !== undefined) return false;
  return atime === undefined && mtime === undefined;
}

/**
 * Whether somebody may take set-user-ID away so. Linux has asked for no right: of a chown(2) it doesn't, and of a write
 * it has when the file was opened.
 * @throws {KernelError} EPERM
 */
export function checkBare({ mode, uid }: Pick<UnionAttr, "mode" | "uid">, who: number): void {
  const isFree = (mode & S.IFMT) === S.IFDIR || (mode & 0o6000) === 0 || (mode & 0o022) !== 0;
  if (!isFree && who !== 0 && who !== uid) fail("chown", "", -E.PERM);
}

function setMode(inode: Inode, fd: number, name: Name, mode: number): void {
  if (inode.type === S.IFLNK) fail("chmod", inode.path, -E.OPNOTSUPP);
  must("chmod", inode.path, chmodName(fd, name, mode));
}

function setSize(core: Core, inode: Inode, size: number, openFd: number): void {
  if (inode.isDirectory) fail("truncate", inode.path, -E.ISDIR);
  if (inode.type !== S.IFREG) fail("truncate", inode.path, -E.INVAL);
  copyUp(core, inode, { content: "copy", upTo: size });
  if (openFd >= 0) {
    must("truncate", inode.path, truncateFd(openFd, size));
    return;
  }
  locate(core, inode);
  const path = place.name === "" ? `/proc/self/fd/${place.fd}` : place.name;
  const fd = must("open", inode.path, openName(place.fd, path, O.WRONLY | (place.name === "" ? 0 : O.NOFOLLOW)));
  const result = truncateFd(fd, size);
  closeFd(fd);
  must("truncate", inode.path, result);
}
