import { E } from "../kernel/abi/errno.ts";
import { O, RENAME_NOREPLACE, S } from "../kernel/abi/file.ts";
import {
  chmodName,
  closeFd,
  fail,
  type KnownTime,
  linkName,
  must,
  type Name,
  openName,
  renameName,
  stat,
  statFd,
  statSerial,
  unlinkName,
  utimesName,
} from "../kernel/at.ts";
import { attributeName, getXattr, removeXattr, setXattrOf } from "../kernel/io.ts";
import { type Entry, type Made, setAttributeOf } from "../layer/attributes.ts";
import { copyEntry, type CopyPlan, fillFile, heldOriginal, type Original, readOriginal } from "../layer/copyup.ts";
import { readMark } from "../layer/dialect/overlay.ts";
import { LayerDirectory } from "../layer/directory.ts";
import { isMarkedProtected } from "../layer/protected.ts";
import { indexName } from "../layer/handle.ts";
import {
  contentOf,
  type Core,
  hold,
  isHeld,
  locate,
  place,
  statIno,
  statPlace,
  type Writable,
  writable,
} from "./core.ts";
import type { Inode, Link } from "./inode.ts";
import { keepTimes, keptTimes } from "./keeptimes.ts";
import { markImpure, markNested, markOrigin, mustHaveMarks, nowAt, originOf, planOf } from "./marks.ts";
import { protect, protectionOf } from "./protection.ts";
import type { PreparedCopy } from "./remote.ts";

/** "leave": its content may stay below. `upTo`: no more of it than so many bytes is wanted. */
export interface CopyUpWish {
  readonly content: "leave" | "copy";
  readonly upTo?: number;
  /** Though chattr(1) protects it below: the copy is to have other flags. */
  readonly isUnprotected?: boolean;
  /** What a file is copied up for: done to the copy before it takes the original's place; not called where none is made. */
  readonly change?: (made: Made) => void;
}

/**
 * Makes an inode one of the upper, so that it can be changed. It keeps its st_ino, and all its names.
 * @returns whether a copy of a file was made, and changed as is wished
 */
export function copyUp(core: Core, inode: Inode, wish: CopyUpWish): boolean {
  const upper = writable(core);
  if (inode.isDirectory) {
    copyUpDirectory(core, upper, inode);
  } else if (!inode.hasUpper) {
    copyUpFile(core, upper, inode, wish);
    core.onCopyUp(inode.nodeid);
    return true;
  } else if (inode.isMetacopy && wish.content === "copy") {
    copyUpContent(core, upper, inode, wish.upTo ?? Infinity);
    core.onCopyUp(inode.nodeid);
  }
  return false;
}

const defaultAcl = attributeName("system.posix_acl_default");

/** @param isImpure it is to hold what comes from below, at once */
function copyUpDirectory(core: Core, upper: Writable, inode: Inode, isImpure = false): void {
  if (inode.upperDir !== undefined || (inode.pin >= 0 && !inode.isPinLower)) return;
  const [link, lower] = [inode.links[0], inode.lowerDirs[0]];
  if (link === undefined && (lower !== undefined || inode.isPinLower)) {
    copyUpRemoved(core, upper, inode, lower?.fd ?? inode.pin);
    return;
  }
  if (link === undefined || lower === undefined) return fail("copy up", inode.path, -E.STALE);
  copyUpDirectory(core, upper, link.parent, true);
  markImpure(core, upper, link.parent);
  const from = { fd: lower.fd, name: "" };
  const prepared = takePrepared(core, inode);
  const serial = statSerial();
  const protection = protectionOf(inode);
  // It may have asked for the attributes already.
  const read = (): Original => (statSerial() === serial ? readOriginal(from) : heldOriginal());
  const original = prepared?.copied === undefined ? read() : { ...prepared.copied.original, rdev: 0n };
  const mark = (made: Made): void => {
    markOrigin(upper, originOf(lower, ""), made);
    if (isImpure && upper.marks !== undefined) must("mark", made.name, setAttributeOf(made, upper.marks.impure, yes));
    protect(upper, inode, made.fd, made.name, protection);
  };
  // What another process has made is asked for it.
  let hasDefaultAcl: boolean | undefined;
  const temporary =
    prepared?.temporary ??
    upper.work.withTemporary((name) => {
      const plan = planOf(upper, undefined, mark);
      hasDefaultAcl = false;
      const isPrivate = (attribute: Name): boolean => {
        hasDefaultAcl ||= attribute === "system.posix_acl_default";
        return plan.isPrivate?.(attribute) ?? false;
      };
      copyEntry(original, from, { fd: upper.work.fd, name }, { ...plan, isPrivate });
    });
  if (prepared !== undefined) mark(nowAt(upper, temporary));
  core.changeTimes.keepUnseen(inode.ino, original.ctime, original.mtime);
  putInPlace(core, upper, link, temporary);
  const directory = new LayerDirectory(upper.layer, link.parent.upperDir, link.name);
  inode.upperDir = directory;
  inode.isImpure ||= isImpure && upper.marks !== undefined;
  if (inode.subdirectories < 0 && hasCounted(inode, original.nlink)) inode.subdirectories = original.nlink - 2;
  must("stat", inode.path, statFd(directory.fd));
  core.changeTimes.keep(inode.ino, original.ctime);
  // What follows is copied into it.
  if (isImpure) keptTimes(core, inode, original.ctime);
  inode.hasDefaultAcl = hasDefaultAcl ?? getXattr(directory.fd, "", defaultAcl, empty) > 0;
  core.onCopyUp(inode.nodeid);
}

/**
 * Whether a directory's link count, which was shown until now, says how many directories are in it: they are all in one lower then, whose
 * dialect hides none of them. A file system that doesn't count them says 1.
 */
function hasCounted({ lowerDirs: [lower, another] }: Inode, nlink: number): boolean {
  if (lower === undefined || another !== undefined || lower.layer.isRemote) return false;
  return nlink >= 2 && lower.layer.dialect.whiteouts === "in-place";
}

/** A directory without a name, which is open: all that is left of it is its attributes. */
function copyUpRemoved(core: Core, upper: Writable, inode: Inode, lower: number): void {
  const from = { fd: lower, name: "" };
  const temporary = upper.work.withTemporary((name) =>
    copyEntry(
      readOriginal(from),
      from,
      { fd: upper.work.fd, name },
      planOf(upper, undefined, () => {}),
    ),
  );
  if (inode.pin >= 0) closeFd(inode.pin);
  keepNameless(core, upper, inode, temporary);
  inode.isPinLower = false;
  core.onCopyUp(inode.nodeid);
}

const empty = new Uint8Array(0);
const yes = Buffer.from("y");

/** Renames what was made to its name in the upper. */
function putInPlace(core: Core, upper: Writable, link: Link, temporary: Name): void {
  keepTimes(core, link.parent, (directory) => {
    let result = upper.dialect.isReserved(link.name) ? -E.PERM : 0;
    if (result === 0) result = renameName(upper.work.fd, temporary, directory.fd, link.name, RENAME_NOREPLACE);
    // Not every file system knows that; nothing stands there.
    if (result === -E.INVAL) result = renameName(upper.work.fd, temporary, directory.fd, link.name, 0);
    if (result < 0) {
      upper.work.discard(temporary);
      fail("copy up", link.name, result);
    }
  });
  link.isUpper = true;
}

function copyUpFile(core: Core, upper: Writable, inode: Inode, wish: CopyUpWish): void {
  const lower = inode.lowerDir;
  if (lower === undefined) {
    copyUpPinned(core, upper, inode, wish);
    return;
  }
  const link = inode.links[0];
  if (link !== undefined) copyUpParent(core, upper, inode, link.parent);
  const from = { fd: lower.fd, name: inode.lowerName };
  const prepared = takePrepared(core, inode);
  const copied = prepared?.copied;
  const original = originalOf(inode, from, copied);
  const mayCopy = copied === undefined && wish.isUnprotected === true;
  if (!mayCopy && (copied?.isProtected ?? isMarkedProtected(from.fd, from.name))) fail("copy up", inode.path, -E.PERM);
  const isLinked = original.nlink > 1;
  const leaves =
    wish.content === "leave" &&
    core.useMetacopy &&
    original.type === S.IFREG &&
    original.size > 0 &&
    link !== undefined;
  const origin = originOf(lower, inode.lowerName);
  const indexed = isLinked && link !== undefined && upper.index !== undefined && origin !== undefined;
  let isKnown = false;
  const mark = (made: Made): void => {
    if (!isLinked || indexed) isKnown = markOrigin(upper, origin, made);
    if (leaves) must("mark", made.name, setAttributeOf(made, mustHaveMarks(upper, made.name).metacopy, empty));
  };
  const temporary = makeCopy(core, upper, inode, wish, { from, original, prepared, leaves, mark });
  inode.isMetacopy = leaves;
  if (leaves && inode.dataDir === undefined) {
    [inode.dataDir, inode.dataName, inode.dataBlocks] = [lower, inode.lowerName, original.blocks];
  }
  // Before it takes the original's place: killed behind that, the next server shows this ctime.
  core.changeTimes.keepUnseen(inode.ino, original.ctime, original.mtime);
  if (link === undefined) keepNameless(core, upper, inode, temporary);
  else if (indexed) placeInIndex(core, inode, link, temporary, indexName(origin), original.nlink);
  else putInPlace(core, upper, link, temporary);
  finishFile(core, upper, inode, original.ctime);
  // Of a file with several names the others go on to be the lower's.
  if (!isKnown && !isLinked) core.origins.set(inode.upperIno, inode.ino);
}

/** What a file's copy is to be. */
interface FileCopy {
  readonly from: Entry;
  readonly original: Original;
  readonly prepared: PreparedCopy | undefined;
  /** Its content stays below. */
  readonly leaves: boolean;
  readonly mark: CopyPlan["mark"];
}

/** @returns its name in the work directory */
function makeCopy(core: Core, upper: Writable, inode: Inode, wish: CopyUpWish, what: FileCopy): Name {
  const { from, original, prepared, leaves, mark } = what;
  const { upTo = Infinity, change } = wish;
  const copied = prepared?.copied;
  if (copied?.leaves === leaves && !copied.isProtected && prepared?.upTo === upTo) {
    const complete = (name: Name): void => {
      mark(nowAt(upper, name));
      change?.(nowAt(upper, name));
    };
    return upper.work.withTemporary(complete, prepared.temporary);
  }
  const data = contentOf(inode) ?? from;
  const content = leaves ? undefined : { ...data, upTo, isSynced: !core.isVolatile };
  const plan = planOf(upper, content, mark);
  const isPrivate = inode.lacks === "attributes" ? undefined : plan.isPrivate;
  const all = prepared === undefined ? original : readOriginal(from);
  return upper.work.withTemporary((name) =>
    copyEntry(all, from, { fd: upper.work.fd, name }, { ...plan, isPrivate, change }),
  );
}

/** It is asked for, unless another process has done so ahead, or attrOf() just now. */
function originalOf(inode: Inode, from: Entry, copied: PreparedCopy["copied"]): Original {
  if (copied !== undefined) return { ...copied.original, rdev: 0n };
  return isHeld(inode) ? heldOriginal() : readOriginal(from);
}

/** The directory that a file is to be put into. */
function copyUpParent(core: Core, upper: Writable, inode: Inode, parent: Inode): void {
  copyUpDirectory(core, upper, parent, true);
  markImpure(core, upper, parent);
  if (inode.isNestedWhiteout) markNested(upper, parent);
}

/** What another process has made for this copy-up. @throws {KernelError} why it couldn't */
function takePrepared(core: Core, inode: Inode): PreparedCopy | undefined {
  const prepared = core.answers?.copies.get(inode);
  if (prepared !== undefined && prepared.status < 0) fail("copy up", inode.path, prepared.status);
  return prepared;
}

function statLower(core: Core, inode: Inode): number {
  locate(core, inode);
  return statPlace();
}

function finishFile(core: Core, upper: Writable, inode: Inode, ctime: KnownTime): void {
  inode.hasUpper = true;
  inode.hasOriginMark = true;
  core.accessTimes.handOver(core, inode);
  must("stat", inode.path, statLower(core, inode));
  hold(inode);
  inode.upperIno = statIno(core, upper.layer.fileSystem);
  if (inode.indexEntry !== undefined) upper.index?.set(inode.ino, inode.indexEntry, inode.upperIno);
  core.changeTimes.keep(inode.ino, ctime);
}

/** What has no name is open: so is its copy. */
function keepNameless(core: Core, upper: Writable, inode: Inode, temporary: Name): void {
  inode.pin = must("open", temporary, openName(upper.work.fd, temporary, O.PATH | O.NOFOLLOW));
  upper.work.discard(temporary);
}

/** What the server before has kept for those who have it open: a lower's file that has no name any more. */
function copyUpPinned(core: Core, upper: Writable, inode: Inode, { upTo = Infinity, change }: CopyUpWish): void {
  if (inode.pin < 0) fail("copy up", inode.path, -E.STALE);
  const from = { fd: inode.pin, name: "" };
  const original = readOriginal(from);
  const temporary = upper.work.withTemporary((name) => {
    const plan = planOf(upper, { ...(contentOf(inode) ?? from), upTo, isSynced: false }, () => {});
    copyEntry(original, from, { fd: upper.work.fd, name }, { ...plan, change });
  });
  inode.closePins();
  inode.isMetacopy = false;
  keepNameless(core, upper, inode, temporary);
  finishFile(core, upper, inode, original.ctime);
}

function placeInIndex(core: Core, inode: Inode, link: Link, temporary: Name, entry: Name, lowerNlink: number): void {
  const upper = writable(core);
  const index = upper.index;
  if (index === undefined) return;
  const result = renameName(upper.work.fd, temporary, index.fd, entry, RENAME_NOREPLACE);
  if (result < 0) {
    upper.work.discard(temporary);
    fail("index", link.name, result);
  }
  inode.indexEntry = entry;
  inode.hasUpper = true;
  inode.nlinkExcess = lowerNlink - 1;
  linkUp(core, inode, link);
}

/** Gives an indexed inode that is in the upper the name there too that it has in a lower. */
export function linkUp(core: Core, inode: Inode, link: Link): void {
  const upper = writable(core);
  if (link.isUpper || upper.index === undefined || inode.indexEntry === undefined) return;
  copyUpDirectory(core, upper, link.parent, true);
  markImpure(core, upper, link.parent);
  const { index } = upper;
  const { indexEntry } = inode;
  keepTimes(core, link.parent, (directory) => {
    writeNlink(upper, inode);
    must("link", link.name, linkName(index.fd, indexEntry, directory.fd, link.name));
  });
  link.isUpper = true;
  inode.nlinkExcess -= 1; // the upper has one more, the union has not
  writeNlink(upper, inode);
}

function writeNlink(upper: Writable, inode: Inode): void {
  if (upper.index === undefined || inode.indexEntry === undefined) return;
  const text = Buffer.from(`U${inode.nlinkExcess < 0 ? "" : "+"}${inode.nlinkExcess}`);
  const { nlink } = mustHaveMarks(upper, inode.path);
  must("mark", inode.path, setXattrOf(upper.index.fd, inode.indexEntry, nlink, text));
}

/** Before one of its names goes: a lower file with several names is indexed, and this name with it. */
export function prepareUnlink(core: Core, inode: Inode, link: Link): void {
  const upper = writable(core);
  if (inode.isDirectory || upper.index === undefined) return;
  if (!inode.hasUpper) {
    must("stat", inode.path, statLower(core, inode));
    if (isMarkedProtected(place.fd, place.name)) fail("unlink", inode.path, -E.PERM);
    if (stat.nlink > 1) copyUp(core, inode, { content: "leave" });
  }
  linkUp(core, inode, link);
}

/** After the last name of an indexed inode has gone: so does its entry. */
export function dropFromIndex(core: Core, inode: Inode): void {
  const index = core.upper?.index;
  if (index === undefined || inode.indexEntry === undefined) return;
  unlinkName(index.fd, inode.indexEntry);
  index.delete(inode.ino);
  inode.indexEntry = undefined;
}

const capability = attributeName("security.capability");

/** The second half of a copy-up of attributes alone. Capabilities, which writing takes away, stay. */
function copyUpContent(core: Core, upper: Writable, inode: Inode, upTo: number): void {
  const source = contentOf(inode);
  if (source === undefined) return fail("copy up", inode.path, -E.IO);
  locate(core, inode);
  const { fd: dirfd, name } = place;
  const kept = readMark(dirfd, name, capability);
  must("stat", inode.path, statPlace());
  const { mode } = stat;
  const mtime = { seconds: stat.mtime, nsec: stat.mtimeNsec };
  const ctime = core.changeTimes.of(inode.ino) ?? { seconds: stat.ctime, nsec: stat.ctimeNsec };
  const length = Math.min(upTo, stat.size);
  const path = name === "" ? `/proc/self/fd/${dirfd}` : name;
  const fd = must("open", inode.path, openName(dirfd, path, O.WRONLY | (name === "" ? 0 : O.NOFOLLOW)));
  try {
    const prepared = takePrepared(core, inode);
    const from =
      prepared?.copied === undefined && prepared?.upTo === upTo
        ? { fd: upper.work.fd, name: prepared.temporary }
        : source;
    fillFile(fd, { ...from, upTo: length, isSynced: !core.isVolatile });
  } finally {
    closeFd(fd);
  }
  // What writing has taken away.
  if ((mode & 0o6000) !== 0 && upper.hasOwners) must("chmod", name, chmodName(dirfd, name, mode));
  if (kept !== undefined) must("setxattr", name, setXattrOf(dirfd, name, capability, kept));
  must("utimes", name, utimesName(dirfd, name, "keep", mtime));
  must("mark", name, removeXattr(dirfd, name, mustHaveMarks(upper, name).metacopy));
  if (inode.dataPin >= 0) closeFd(inode.dataPin);
  inode.dataPin = -1;
  inode.isMetacopy = false;
  core.accessTimes.handOver(core, inode);
  must("stat", name, statPlace());
  core.changeTimes.keep(inode.ino, ctime);
}
