import { E } from "../kernel/abi/errno.ts";
import { O, S } from "../kernel/abi/file.ts";
import { closeFd, fail, KEEP_ID, must, openName, stat, statName, statSerial, type Time } from "../kernel/at.ts";
import { truncateFd } from "../kernel/io.ts";
import type { Made } from "../layer/attributes.ts";
import { chmodMade, chownMade, utimesMade } from "../layer/copyup.ts";
import { copyUp, linkUp } from "./copyup.ts";
import { contentOf, type Core, hold, isHeld, locate, place, statPlace } from "./core.ts";
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
 * One statx(2), or two for a file whose content and attributes are in different layers. `stat` holds them then.
 * @param serial the statSerial() under which its attributes were read: none is needed where they are still there
 */
export function attrOf(core: Core, inode: Inode, serial = -1): UnionAttr {
  const isCounted = !inode.isMerged || inode.subdirectories >= 0 || canCount(core, inode);
  if (inode.isMerged && inode.subdirectories < 0 && isCounted) inode.subdirectories = countSubdirectories(core, inode);
  const blocks = inode.isMetacopy ? contentBlocks(inode) : -1;
  if (serial !== statSerial()) {
    locate(core, inode);
    must("stat", place.name, statPlace());
  }
  hold(inode);
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

/** Asked once: what is below stays as it is. */
function contentBlocks(inode: Inode): number {
  if (inode.dataBlocks >= 0) return inode.dataBlocks;
  const content = contentOf(inode);
  if (content === undefined || statName(content.fd, content.name) < 0) return -1;
  inode.dataBlocks = stat.blocks;
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

/**
 * Changes attributes, all or those given; a lower file's are copied up first, its content only for a new size.
 * @returns the statSerial() under which `stat` holds what they are now; −1: it doesn't
 */
export function setAttr(core: Core, inode: Inode, change: AttrChange, openFd = -1): number {
  // To set times to now is to add something.
  if (isTouch(change)) checkEntries(inode, "add");
  else checkUnprotected(inode);
  if (change.size !== undefined) setSize(core, inode, change.size, openFd);
  const isChanged = copyUp(core, inode, {
    content: "leave",
    change: (made) => {
      if (change.atime !== undefined) core.accessTimes.forget(inode.ino);
      changeMade(inode, made, change);
    },
  });
  // More names change the link count.
  const serial = inode.indexEntry === undefined && isHeld(inode) ? statSerial() : -1;
  // overlayfs does so for the name that was used, which isn't known here: the upper alone then shows all that is changed.
  for (const link of inode.links) linkUp(core, inode, link);
  core.changeTimes.forget(inode.ino);
  if (isChanged) return serial;
  if (change.atime !== undefined) core.accessTimes.forget(inode.ino);
  locate(core, inode);
  changeMade(inode, { fd: place.fd, name: place.name, open: -1 }, change);
  return -1;
}

function changeMade(inode: Inode, made: Made, change: AttrChange): void {
  const { uid = KEEP_ID, gid = KEEP_ID, mode, atime = "keep", mtime = "keep" } = change;
  const isOwned = uid !== KEEP_ID || gid !== KEEP_ID;
  if (isOwned || isBare(change)) must("chown", inode.path, chownMade(made, uid, gid));
  if (mode !== undefined && inode.type === S.IFLNK) fail("chmod", inode.path, -E.OPNOTSUPP);
  if (mode !== undefined) must("chmod", inode.path, chmodMade(made, mode));
  if (atime !== "keep" || mtime !== "keep") must("utimes", inode.path, utimesMade(made, atime, mtime));
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
export function checkBare({ mode, uid }: Pick<UnionAttr, "mode" | "uid">, asker: () => number): void {
  if ((mode & S.IFMT) === S.IFDIR || (mode & 0o6000) === 0 || (mode & 0o022) !== 0) return;
  const who = asker();
  if (who !== 0 && who !== uid) fail("chown", "", -E.PERM);
}

function setSize(core: Core, inode: Inode, size: number, openFd: number): void {
  if (inode.isDirectory) fail("truncate", inode.path, -E.ISDIR);
  if (inode.type !== S.IFREG) fail("truncate", inode.path, -E.INVAL);
  if (!Number.isSafeInteger(size)) fail("truncate", inode.path, -E.FBIG);
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
