import { E } from "../kernel/abi/errno.ts";
import { O, RENAME_EXCHANGE, RENAME_NOREPLACE, S } from "../kernel/abi/file.ts";
import {
  chmodName,
  chownName,
  closeFd,
  fail,
  KEEP_ID,
  mkdirName,
  mknodName,
  must,
  type Name,
  openName,
  renameName,
  stat,
  statFd,
  statName,
  symlinkName,
} from "../kernel/at.ts";
import { attributeName, setXattrOf } from "../kernel/io.ts";
import { packDevice } from "../layer/copyup.ts";
import { readMark } from "../layer/dialect/overlay.ts";
import { LayerDirectory } from "../layer/directory.ts";
import { hasWhiteoutBeside, probe } from "../layer/probe.ts";
import { copyUp } from "./copyup.ts";
import { type Core, statIno, type Writable, writable } from "./core.ts";
import type { Inode } from "./inode.ts";
import { markNested, markOpaque, mustHaveMarks } from "./marks.ts";
import { isWhitedOut, lookUp } from "./lookup.ts";
import { checkEntries } from "./protection.ts";

/** Who creates, and what their umask is where nobody has applied it yet. */
export interface Creator {
  readonly uid: number;
  readonly gid: number;
  readonly umask?: number;
}

export interface NewEntry {
  /** With the S_IF bits. */
  readonly mode: number;
  readonly rdevMajor?: number;
  readonly rdevMinor?: number;
  /** A symbolic link's target, as bytes. */
  readonly target?: Name;
  /** Of a regular file: opened with these flags as it is made. */
  readonly openFlags?: number;
}

export interface Created {
  readonly inode: Inode;
  /** −1 where it wasn't to be opened. */
  readonly fd: number;
}

/** Makes an entry in the upper; `stat` holds its attributes afterwards. @throws {KernelError} EEXIST, … */
export function create(core: Core, parent: Inode, name: Name, entry: NewEntry, creator: Creator): Created {
  const upper = writable(core);
  checkNewName(core, upper, parent, name);
  copyUp(core, parent, { content: "leave" });
  const directory = parent.upperDir;
  if (directory === undefined) return fail("create", name, -E.STALE);
  const mode = parent.hasDefaultAcl || creator.umask === undefined ? entry.mode : entry.mode & ~creator.umask;
  const isNested = (mode & S.IFMT) === S.IFCHR && (entry.rdevMajor ?? 0) === 0 && (entry.rdevMinor ?? 0) === 0;
  if (isNested) return createNested(core, upper, parent, name, mode & 0o7777, creator);
  const wanted = { ...entry, mode };
  let fd = isWhitedOut(parent, name) ? -E.EXIST : makeNode(directory.fd, name, wanted);
  const isOver = fd === -E.EXIST;
  if (isOver) fd = createOverWhiteout(core, upper, parent, name, wanted, creator);
  else if (fd < 0) return fail("create", `${parent.path}/${name}`, fd);
  if (!isOver) own(upper, parent, directory.fd, name, wanted, creator);
  dropWhiteoutBeside(upper, directory.fd, name, mode & S.IFMT);
  must("stat", name, statName(directory.fd, name));
  const inode = adoptNew(core, upper, parent, directory, name);
  inode.lacks = "capability";
  parent.changed(inode, 1);
  return { inode, fd: entry.openFlags === undefined ? -1 : fd };
}

/**
 * A device 0:0, which here would be a whiteout, for a union above this one that uses it as one: an empty file with
 * the mark that overlayfs stores for it.
 */
function createNested(core: Core, upper: Writable, parent: Inode, name: Name, mode: number, creator: Creator): Created {
  const directory = parent.upperDir;
  if (directory === undefined) return fail("mknod", name, -E.STALE);
  const { nestedWhiteout } = mustHaveMarks(upper, name);
  markNested(upper, parent);
  const temporary = upper.work.temporaryName();
  try {
    must("mknod", name, makeNode(upper.work.fd, temporary, { mode: S.IFREG | mode }));
    own(upper, parent, upper.work.fd, temporary, { mode: S.IFREG | mode }, creator);
    must("mark", name, setXattrOf(upper.work.fd, temporary, nestedWhiteout, Buffer.from("y")));
    const result = renameName(upper.work.fd, temporary, directory.fd, name, RENAME_NOREPLACE);
    if (result === -E.EXIST) replaceWhiteout(upper.work.fd, temporary, directory, name, false);
    else must("mknod", name, result);
  } finally {
    upper.work.discard(temporary);
  }
  parent.version++;
  must("stat", name, statName(directory.fd, name));
  return { inode: adoptNew(core, upper, parent, directory, name, true), fd: -1 };
}

/** Only what is not there can be made. */
export function checkNewName(core: Core, upper: Writable, parent: Inode, name: Name): void {
  if (parent.isDead) fail("create", name, -E.NOENT);
  if (upper.layer.dialect.isReserved(name)) fail("create", name, -E.PERM);
  if (lookUp(core, parent, name) !== undefined) fail("create", `${parent.path}/${name}`, -E.EXIST);
  checkEntries(parent, "add");
}

/** @returns a descriptor, 0, or −errno */
function makeNode(dirfd: number, name: Name, entry: NewEntry): number {
  const mode = entry.mode & 0o7777;
  switch (entry.mode & S.IFMT) {
    case S.IFDIR:
      return mkdirName(dirfd, name, mode);
    case S.IFLNK:
      return symlinkName(entry.target ?? "", dirfd, name);
    case S.IFREG:
      return makeFile(dirfd, name, mode, entry.openFlags);
    default:
      return mknodName(dirfd, name, entry.mode, packDevice(entry.rdevMajor ?? 0, entry.rdevMinor ?? 0));
  }
}

function makeFile(dirfd: number, name: Name, mode: number, openFlags: number | undefined): number {
  const flags = (openFlags ?? O.WRONLY) | O.CREAT | O.EXCL | O.NOFOLLOW;
  const fd = openName(dirfd, name, flags, mode);
  if (fd < 0 || openFlags !== undefined) return fd;
  closeFd(fd);
  return 0;
}

/** The kernel has given it our ids, and a group-inheriting directory's group. */
function own(upper: Writable, parent: Inode, dirfd: number, name: Name, entry: NewEntry, creator: Creator): void {
  if (!upper.hasOwners || (creator.uid === upper.ownUid && creator.gid === upper.ownGid)) return;
  const gid = inheritsGroup(parent) ? KEEP_ID : creator.gid;
  // chown takes setuid and setgid away; a default ACL may have changed the mode that was asked for.
  const isSpecial = (entry.mode & 0o6000) !== 0 && (entry.mode & S.IFMT) !== S.IFDIR;
  if (isSpecial) must("stat", name, name === "" ? statFd(dirfd) : statName(dirfd, name));
  const { mode } = stat;
  must("chown", name, chownName(dirfd, name, creator.uid, gid));
  if (isSpecial) must("chmod", name, chmodName(dirfd, name, mode));
}

function inheritsGroup(parent: Inode): boolean {
  if (parent.inheritsGroup === undefined) {
    must("stat", parent.path, statFd(parent.upperDir?.fd ?? -1));
    parent.inheritsGroup = (stat.mode & 0o2000) !== 0;
  }
  return parent.inheritsGroup;
}

const defaultAcl = attributeName("system.posix_acl_default");

/** Made in the work directory and put where the whiteout is, in one step. */
function createOverWhiteout(
  core: Core,
  upper: Writable,
  parent: Inode,
  name: Name,
  entry: NewEntry,
  creator: Creator,
): number {
  const directory = parent.upperDir;
  if (directory === undefined) return fail("create", name, -E.STALE);
  const isDirectory = (entry.mode & S.IFMT) === S.IFDIR;
  const nursery = makeNursery(upper, parent, directory);
  let isLeft = true;
  try {
    const fd = must("create", name, makeNode(nursery.fd, nursery.name, entry));
    own(upper, parent, nursery.fd, nursery.name, entry, creator);
    if (isDirectory) markOpaque(upper, nursery.fd, nursery.name);
    replaceWhiteout(nursery.fd, nursery.name, directory, name, isDirectory);
    // A directory has changed places with the whiteout.
    isLeft = isDirectory;
    return fd;
  } finally {
    nursery.end(isLeft);
  }
}

/** Where entries inherit a directory's group or default ACL, they are made in one that hands down the same. */
function makeNursery(
  upper: Writable,
  parent: Inode,
  directory: LayerDirectory,
): { fd: number; name: Name; end: (isLeft: boolean) => void } {
  const name = upper.work.temporaryName();
  const inherits = inheritsGroup(parent);
  if (!parent.hasDefaultAcl && !inherits) {
    const discard = (isLeft: boolean): void => (isLeft ? upper.work.discard(name) : undefined);
    return { fd: upper.work.fd, name, end: discard };
  }
  must("mkdir", name, mkdirName(upper.work.fd, name, 0o700));
  const fd = must("open", name, openName(upper.work.fd, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW));
  if (inherits) {
    must("stat", parent.path, statFd(directory.fd));
    must("chown", name, chownName(fd, "", KEEP_ID, stat.gid));
    must("chmod", name, chmodName(fd, "", 0o2700));
  }
  const acl = parent.hasDefaultAcl ? readMark(directory.fd, "", defaultAcl) : undefined;
  if (acl !== undefined) must("setxattr", name, setXattrOf(fd, "", defaultAcl, acl));
  const end = (): void => {
    closeFd(fd);
    upper.work.discard(name);
  };
  return { fd, name: "entry", end };
}

/** What takes a whiteout's place; a directory leaves the whiteout where it was. */
export function replaceWhiteout(
  fromfd: number,
  from: Name,
  into: LayerDirectory,
  to: Name,
  isDirectory: boolean,
): void {
  if (probe(into, to) === "present") fail("create", to, -E.EXIST);
  must("create", to, renameName(fromfd, from, into.fd, to, isDirectory ? RENAME_EXCHANGE : 0));
}

/** Where a dialect's whiteouts stand beside the names: what has a name now has won over one already. */
export function dropWhiteoutBeside(upper: Writable, dirfd: number, name: Name, type: number): void {
  if (!hasWhiteoutBeside(dirfd, upper.dialect, name)) return;
  if (type === S.IFDIR) markOpaque(upper, dirfd, name);
  upper.work.dropWhiteout(dirfd, name);
}

function adoptNew(
  core: Core,
  upper: Writable,
  parent: Inode,
  directory: LayerDirectory,
  name: Name,
  isNested = false,
): Inode {
  let ino = statIno(core, upper.layer.fileSystem);
  const upperIno = ino;
  if (core.table.withIno(ino) !== undefined) ino = core.table.temporary();
  const inode = core.table.make(ino, isNested ? S.IFCHR : stat.type, isNested);
  if (inode.isDirectory) {
    inode.upperDir = new LayerDirectory(upper.layer, directory, name);
    inode.hasDefaultAcl = parent.hasDefaultAcl;
  } else {
    inode.hasUpper = true;
  }
  inode.upperIno = upperIno;
  inode.addLink(parent, name, true);
  return inode;
}

const O_TMPFILE = 0o20000000;

/** A file without a name, open. `stat` holds its attributes afterwards. */
export function createNameless(core: Core, parent: Inode, mode: number, openFlags: number, creator: Creator): Created {
  const upper = writable(core);
  checkEntries(parent, "add");
  copyUp(core, parent, { content: "leave" });
  const directory = parent.upperDir;
  if (directory === undefined || parent.isDead) return fail("create", parent.path, -E.NOENT);
  const masked = parent.hasDefaultAcl || creator.umask === undefined ? mode : mode & ~creator.umask;
  const fd = must(
    "create",
    parent.path,
    openName(directory.fd, ".", openFlags | O_TMPFILE | O.DIRECTORY, masked & 0o7777),
  );
  own(upper, parent, fd, "", { mode: S.IFREG | masked }, creator);
  const pin = must("open", "", openName(-1, `/proc/self/fd/${fd}`, O.PATH));
  must("stat", "", statFd(fd));
  let ino = statIno(core, upper.layer.fileSystem);
  const upperIno = ino;
  if (core.table.withIno(ino) !== undefined) ino = core.table.temporary();
  const inode = core.table.make(ino, stat.type);
  inode.hasUpper = true;
  inode.upperIno = upperIno;
  inode.pin = pin;
  inode.isDead = true;
  core.table.hide(inode);
  return { inode, fd };
}
