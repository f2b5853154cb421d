import { E } from "../kernel/abi/errno.ts";
import { S } from "../kernel/abi/file.ts";
import { fail, type Name } from "../kernel/at.ts";
import { unless } from "../kernel/error.ts";
import type { Core } from "./core.ts";
import { absence, find, type Found } from "./find.ts";
import type { Inode, Link } from "./inode.ts";
import type { KnownName } from "./known.ts";

const NAME_MAX = 255;

/** The inode that the kernel calls `nodeid`. @throws {KernelError} ESTALE */
export function inodeOf(core: Core, nodeid: number): Inode {
  return knownInode(core, nodeid) ?? fail("use inode", String(nodeid), -E.STALE);
}

/** As inodeOf(); undefined where the kernel knows none. */
export function knownInode(core: Core, nodeid: number): Inode | undefined {
  return core.table.get(nodeid) ?? revive(core, nodeid);
}

/** An inode that the kernel knows and that isn't remembered here, found again by its name. */
function revive(core: Core, nodeid: number): Inode | undefined {
  const known = core.table.known?.get(nodeid);
  if (known === undefined) return undefined;
  const parent = directoryOf(core, known.parent);
  const link = lookUp(core, parent, known.name) === undefined ? undefined : linkWithIno(core, parent, nodeid, known);
  if (link?.inode.nodeid !== nodeid) return undefined;
  // As many look-ups as the kernel counts, which it gives back all at once.
  link.inode.lookups = Math.max(link.inode.lookups, 1);
  return link.inode;
}

/** Where the upper has no marks, nothing there says from which inode below a file came: its name does. */
function linkWithIno(core: Core, parent: Inode, nodeid: number, { name, ino }: KnownName): Link | undefined {
  const link = parent.children?.get(name);
  if (link === undefined || link.inode.nodeid === nodeid || core.upper === undefined) return link;
  const { inode } = link;
  const isFree = inode.lookups === 0 && inode.opens === 0 && (inode.children?.size ?? 0) === 0;
  if (core.upper.marks !== undefined || !isFree || core.table.withIno(ino) !== undefined) return link;
  const found = find(core, parent, name);
  if (found === undefined || !found.isUpperName) return link;
  inode.removeLink(link);
  core.table.release(inode);
  return fill(core.table.make(ino, found.type, false, nodeid), found).addLink(parent, name, true);
}

export function directoryOf(core: Core, nodeid: number): Inode {
  const inode = inodeOf(core, nodeid);
  return inode.isDirectory ? inode : fail("use", inode.path, -E.NOTDIR);
}

/** What the last look-up of all didn't find: creating it, which comes next, needs no other. */
const missed = { parent: undefined as Inode | undefined, version: 0, name: "", isWhiteout: false };

/** What lookUp() has found; `serial`: attrOf() can use what `stat` holds. */
export const looked = { serial: -1 };

/** Finds a name of a directory; undefined where there is none. */
export function lookUp(core: Core, parent: Inode, name: Name): Link | undefined {
  looked.serial = -1;
  const known = parent.children?.get(name);
  if (known !== undefined) return known;
  if (name.length > NAME_MAX) return fail("look up", name, -E.NAMETOOLONG);
  if (parent.isDead || isMissed(parent, name)) return undefined;
  const found = find(core, parent, name);
  if (found === undefined) {
    noteAbsent(parent, name, absence.isWhiteout);
    return undefined;
  }
  const link = adopt(core, parent, name, found);
  looked.serial = found.serial;
  return link;
}

/** What comes next may be a look-up of this name, or creating it. @param isWhiteout the upper has a whiteout in its place */
export function noteAbsent(parent: Inode, name: Name, isWhiteout: boolean): void {
  missed.parent = parent;
  missed.version = parent.version;
  missed.name = name;
  missed.isWhiteout = isWhiteout;
}

/** Whether it is known already that the upper has a whiteout in the place of this name. */
export function isWhitedOut(parent: Inode, name: Name): boolean {
  return missed.isWhiteout && isMissed(parent, name);
}

function isMissed(parent: Inode, name: Name): boolean {
  return missed.name === name && missed.parent === parent && missed.version === parent.version;
}

/** As lookUp(). @throws {KernelError} ENOENT */
export function mustLookUp(core: Core, parent: Inode, name: Name): Link {
  return lookUp(core, parent, name) ?? fail("look up", `${parent.path}/${name}`, -E.NOENT);
}

/** The inode for what was found: one that is known already, or a new one. */
function adopt(core: Core, parent: Inode, name: Name, found: Found): Link {
  const known = found.type === S.IFDIR ? core.table.makeKnownDirectory(parent, name, found.ino) : undefined;
  if (known !== undefined) return fill(known, found).addLink(parent, name, found.isUpperName);
  let ino = found.ino;
  let inode = core.table.withIno(ino) ?? knownAs(core, parent, name, ino);
  if (inode !== undefined && !isSame(inode, found)) {
    // A mark that was copied along, or a directory that two redirects lead to: the upper's own number is free.
    ino = found.upperIno === 0 ? core.table.temporary() : found.upperIno;
    inode = core.table.withIno(ino);
    if (inode !== undefined && !isSame(inode, found)) {
      ino = core.table.temporary();
      inode = undefined;
    }
  }
  inode ??= holdKnown(core, fill(core.table.make(ino, found.type, found.isNestedWhiteout), found));
  return inode.addLink(parent, name, found.isUpperName);
}

/** A file of this number that the kernel knows by another name: whether it is the same one is seen when it is remembered. */
function knownAs(core: Core, parent: Inode, name: Name, ino: number): Inode | undefined {
  const { known } = core.table;
  const nodeid = known?.nodeidOf(ino) ?? ino;
  const as = known?.get(nodeid);
  if (as === undefined || as.ino !== ino || as.isDirectory) return undefined;
  if (as.parent === parent.nodeid && as.name === name) return undefined;
  return unless(["ESTALE", "ENOENT", "ENOTDIR", "EIO", "EACCES", "ELOOP"], () => revive(core, nodeid));
}

/**
 * What the kernel knows already stays until it forgets it: from now on its names change with every operation, and by the
 * one that it had it couldn't be found again.
 */
function holdKnown(core: Core, inode: Inode): Inode {
  // As many look-ups as the kernel counts; of a server before that isn't known, but it gives them back all at once.
  if (core.table.known?.has(inode.nodeid) === true) inode.lookups += core.table.unpark(inode.nodeid);
  return inode;
}

/** A directory has one name; other files are the same where their upper file is, or their lower one. */
function isSame(inode: Inode, found: Found): boolean {
  if (inode.isDirectory || inode.type !== found.type || inode.isDead) return false;
  return inode.hasUpper === found.hasUpper && (!found.hasUpper || inode.upperIno === found.upperIno);
}

function fill(inode: Inode, found: Found): Inode {
  inode.upperDir = found.upperDir;
  inode.lowerDirs = found.lowerDirs;
  inode.isImpure = found.isImpure;
  inode.hasDefaultAcl = found.hasDefaultAcl;
  inode.protection = found.protection;
  inode.redirect = found.redirect;
  inode.hasUpper = found.hasUpper;
  inode.upperIno = found.upperIno;
  inode.hasOriginMark = found.hasOriginMark;
  inode.lowerDir = found.lowerDir;
  inode.lowerName = found.lowerName;
  inode.isMetacopy = found.isMetacopy;
  inode.dataDir = found.dataDir;
  inode.dataName = found.dataName;
  inode.indexEntry = found.indexEntry;
  inode.nlinkExcess = found.nlinkExcess;
  return inode;
}
