import { E } from "../kernel/abi/errno.ts";
import { O, S } from "../kernel/abi/file.ts";
import { closeFd, fail, must, type Name, openName, stat, statFd, unlinkName } from "../kernel/at.ts";
import { statFileSystem } from "../kernel/io.ts";
import { probe } from "../layer/probe.ts";
import { isMarkedProtected } from "../layer/protected.ts";
import { copyUp, dropFromIndex, prepareUnlink } from "./copyup.ts";
import { type Core, locate, place, statPlace, writable } from "./core.ts";
import type { Inode, Link } from "./inode.ts";
import { mustLookUp, noteAbsent } from "./lookup.ts";
import { lowersWith } from "./names.ts";
import { checkEntries, checkUnprotected } from "./protection.ts";
import { checkEmpty } from "./readdir.ts";

/** Whether a name of a directory would be there if the upper didn't have it: then it takes a whiteout to delete it. */
export function isBelow(parent: Inode, name: Name): boolean {
  for (const directory of lowersWith(parent, name)) {
    const presence = probe(directory, name);
    if (presence !== "absent") return presence === "present";
  }
  return false;
}

/** @throws {KernelError} EISDIR, ENOENT */
export function unlink(core: Core, parent: Inode, name: Name): void {
  const upper = writable(core);
  const link = mustLookUp(core, parent, name);
  const { inode } = link;
  if (inode.isDirectory) fail("unlink", inode.path, -E.ISDIR);
  checkEntries(parent, "remove");
  copyUp(core, parent, { content: "leave" });
  prepareUnlink(core, inode, link);
  const directory = parent.upperDir;
  if (directory === undefined) return fail("unlink", name, -E.STALE);
  keep(core, link);
  const isWhiteout = !link.isUpper || isBelow(parent, name);
  if (!link.isUpper) upper.work.placeWhiteout(directory, name);
  else if (isWhiteout) upper.work.replaceByWhiteout(directory, name, "file");
  else must("unlink", name, unlinkName(directory.fd, name));
  afterUnlink(core, link);
  noteAbsent(parent, name, isWhiteout && upper.dialect.whiteouts === "in-place");
}

/** Before its last known name in the upper goes: a descriptor by which it stays in reach until it is forgotten. */
export function keep(core: Core, link: Link): void {
  const { inode } = link;
  inode.isLetGo = false;
  if (inode.pin >= 0 || !link.isUpper) return;
  if (inode.isDirectory ? inode.upperDir === undefined : inode.links.some((other) => other !== link && other.isUpper))
    return;
  const directory = link.parent.upperDir;
  if (directory === undefined) return;
  const fd = openName(directory.fd, link.name, O.PATH | O.NOFOLLOW);
  if (fd >= 0 && core.knowsOpens && inode.opens === 0 && isInTheWay(core, fd)) {
    inode.isLetGo = true;
    closeFd(fd);
  } else if (fd >= 0) inode.pin = fd;
  else if (fd !== -E.MFILE) fail("open", link.name, fd);
}

const LARGE_BLOCKS = 2048; // of 512 bytes
const SHORT_BYTES = 64 << 20;
const space = Buffer.alloc(120);

/**
 * The kernel forgets a removed file only after it was told that it is removed, so its room would still be taken when
 * the next one is written. Of a large one on a full disk that matters more than that somebody may have it as O_PATH.
 */
function isInTheWay(core: Core, fd: number): boolean {
  must("stat", "", statFd(fd));
  if (stat.type !== S.IFREG || stat.nlink !== 1 || stat.blocks < LARGE_BLOCKS) return false;
  must("statfs", "", statFileSystem(writable(core).layer.rootDir.fd, space));
  return Number(space.readBigUInt64LE(32)) * Number(space.readBigUInt64LE(8)) < SHORT_BYTES;
}

/** A name has gone; with the last one, the inode is only what holds it open. */
export function afterUnlink(core: Core, link: Link): void {
  const { inode, parent } = link;
  core.changeTimes.forget(inode.ino);
  inode.removeLink(link);
  parent.changed(inode, -1);
  if (inode.links.length > 0) {
    core.table.release(parent);
    return;
  }
  if (inode.isDirectory) {
    die(core, inode);
  } else if (!inode.hasUpper || inode.isLetGo) {
    die(core, inode);
  } else if (inode.pin >= 0) {
    locate(core, inode);
    must("stat", place.name, statPlace());
    if (inode.indexEntry !== undefined && stat.nlink + inode.nlinkExcess <= 0) {
      dropFromIndex(core, inode);
      die(core, inode);
    } else if (stat.nlink === 0) {
      die(core, inode);
    }
  }
  core.table.release(inode);
}

function die(core: Core, inode: Inode): void {
  inode.isDead = true;
  core.accessTimes.forget(inode.ino);
  if (inode.hasUpper) core.origins.forget(inode.upperIno);
  core.table.hide(inode);
}

/** From a directory that chattr(1) protects nothing is removed, empty or not. */
function checkNothingIn(core: Core, inode: Inode, parent: Inode): void {
  try {
    checkEmpty(core, inode);
  } catch (error) {
    locate(core, parent);
    must("stat", parent.path, statPlace());
    if (isMarkedProtected(place.fd, place.name)) fail("rmdir", inode.path, -E.PERM);
    throw error;
  }
}

/** @throws {KernelError} ENOTDIR, ENOTEMPTY */
export function rmdir(core: Core, parent: Inode, name: Name): void {
  const upper = writable(core);
  const link = mustLookUp(core, parent, name);
  const { inode } = link;
  if (!inode.isDirectory) fail("rmdir", inode.path, -E.NOTDIR);
  checkEntries(parent, "remove");
  checkUnprotected(inode);
  checkNothingIn(core, inode, parent);
  copyUp(core, parent, { content: "leave" });
  const directory = parent.upperDir;
  if (directory === undefined) return fail("rmdir", name, -E.STALE);
  keep(core, link);
  if (inode.upperDir === undefined) upper.work.placeWhiteout(directory, name);
  else if (isBelow(parent, name)) upper.work.replaceByWhiteout(directory, name, "directory");
  else upper.work.removeDirectory(directory.fd, name);
  inode.upperDir?.close();
  afterUnlink(core, link);
}
