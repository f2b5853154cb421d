import { E } from "../kernel/abi/errno.ts";
import { RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, S } from "../kernel/abi/file.ts";
import { bytesOf, fail, must, type Name, renameName, unlinkName } from "../kernel/at.ts";
import { setXattrOf } from "../kernel/io.ts";
import { copyEntry, readOriginal } from "../layer/copyup.ts";
import type { LayerDirectory } from "../layer/directory.ts";
import { probe } from "../layer/probe.ts";
import { copyUp, linkUp, prepareUnlink } from "./copyup.ts";
import { type Core, locate, place, type Writable, writable } from "./core.ts";
import type { Inode, Link } from "./inode.ts";
import { markImpure, markNested, markOpaque, mustHaveMarks, planOf } from "./marks.ts";
import { create, dropWhiteoutBeside } from "./create.ts";
import { lookUp, mustLookUp } from "./lookup.ts";
import { checkEntries, checkUnprotected } from "./protection.ts";
import { checkEmpty } from "./readdir.ts";
import { afterUnlink, isBelow, keep } from "./remove.ts";

/** renameat2(2)'s flags. */
export type RenameMode = "replace" | "no-replace" | "exchange" | "whiteout";

export interface RenameEnd {
  readonly parent: Inode;
  readonly name: Name;
}

/** @throws {KernelError} EEXIST, ENOTEMPTY, EISDIR, ENOTDIR, EINVAL (into itself) */
export function rename(core: Core, from: RenameEnd, to: RenameEnd, mode: RenameMode): void {
  const upper = writable(core);
  if (upper.layer.dialect.isReserved(to.name)) fail("rename", to.name, -E.PERM);
  if (to.parent.isDead) fail("rename", to.name, -E.NOENT);
  const source = mustLookUp(core, from.parent, from.name);
  const target = lookUp(core, to.parent, to.name);
  if (target === undefined && mode === "exchange") fail("rename", to.name, -E.NOENT);
  if (target !== undefined && mode === "no-replace") fail("rename", to.name, -E.EXIST);
  if (target === source || target?.inode === source.inode) return;
  checkProtection(from.parent, source.inode, to.parent, target?.inode);
  checkTree(source.inode, to.parent);
  if (upper.marks === undefined && mode === "whiteout") fail("rename", source.inode.path, -E.INVAL);
  if (!core.useRedirects) checkInPlace(source.inode, mode === "exchange" ? target?.inode : undefined);
  if (target !== undefined && mode === "exchange") {
    checkTree(target.inode, from.parent);
    exchange(core, upper, source, target);
    return;
  }
  checkReplaced(core, source.inode, target?.inode);
  move(core, upper, source, to, target);
  if (mode === "whiteout") leaveDevice(core, from);
}

/** A union above this one leaves its whiteout where something was: as a device 0:0. */
function leaveDevice(core: Core, from: RenameEnd): void {
  const upper = writable(core);
  const { inode } = create(core, from.parent, from.name, { mode: S.IFCHR }, { uid: upper.ownUid, gid: upper.ownGid });
  core.table.release(inode);
}

function checkProtection(from: Inode, source: Inode, to: Inode, target: Inode | undefined): void {
  checkEntries(from, "remove");
  checkUnprotected(source);
  checkEntries(to, target === undefined ? "add" : "remove");
  if (target !== undefined) checkUnprotected(target);
}

/** A directory can't be moved into itself. */
function checkTree(moved: Inode, into: Inode): void {
  if (!moved.isDirectory) return;
  for (let at: Inode | undefined = into; at !== undefined; at = at.links[0]?.parent) {
    if (at === moved) fail("rename", moved.path, -E.INVAL);
  }
}

/** Nothing is to say of a directory where it lies below, so it stays there: mv(1) copies then. */
function checkInPlace(source: Inode, exchanged: Inode | undefined): void {
  for (const inode of [source, exchanged]) {
    if (inode !== undefined && inode.isDirectory && inode.lowerDirs.length > 0) fail("rename", inode.path, -E.XDEV);
  }
}

function checkReplaced(core: Core, moved: Inode, replaced: Inode | undefined): void {
  if (replaced === undefined) return;
  if (moved.isDirectory && !replaced.isDirectory) fail("rename", replaced.path, -E.NOTDIR);
  if (!moved.isDirectory && replaced.isDirectory) fail("rename", replaced.path, -E.ISDIR);
  if (replaced.isDirectory) checkEmpty(core, replaced);
}

function upperOf(directory: Inode): LayerDirectory {
  return directory.upperDir ?? fail("rename", directory.path, -E.STALE);
}

/** What is to be moved has to be in the upper under this name. */
function bringUp(core: Core, link: Link): void {
  copyUp(core, link.inode, { content: "leave" });
  linkUp(core, link.inode, link);
}

function move(core: Core, upper: Writable, source: Link, to: RenameEnd, target: Link | undefined): void {
  const from = { parent: source.parent, name: source.name };
  bringUp(core, source);
  copyUp(core, to.parent, { content: "leave" });
  const [fromDir, toDir] = [upperOf(from.parent), upperOf(to.parent)];
  if (target !== undefined) {
    prepareUnlink(core, target.inode, target);
    keep(core, target);
    if (target.inode.upperDir !== undefined) {
      clearWhiteouts(upper, target, target.inode.upperDir);
      if (upper.dialect.whiteouts === "beside") target.inode.lowerDirs = [];
    }
  }
  prepareMove(core, upper, source, to.parent);
  if (upper.dialect.whiteouts === "beside") {
    moveBeside(upper, source, fromDir, to, toDir);
    settle(core, source, to, target);
    return;
  }
  const presence = target === undefined ? probe(toDir, to.name) : "absent";
  if (presence === "present") fail("rename", to.name, -E.EXIST);
  const hasWhiteout = presence === "whiteout";
  if (isBelow(from.parent, from.name)) {
    moveLeavingWhiteout(upper, fromDir, from.name, toDir, to.name, hasWhiteout, target);
  } else if (source.inode.isDirectory && hasWhiteout) {
    upper.work.announceWhiteouts(fromDir);
    must("rename", to.name, renameName(fromDir.fd, from.name, toDir.fd, to.name, RENAME_EXCHANGE));
    upper.work.discardFrom(fromDir.fd, from.name);
  } else {
    must("rename", to.name, renameName(fromDir.fd, from.name, toDir.fd, to.name, 0));
  }
  settle(core, source, to, target);
}

/** A whiteout that stands beside a name can be made before it is needed, and taken away after it was. */
function moveBeside(
  upper: Writable,
  source: Link,
  fromDir: LayerDirectory,
  to: RenameEnd,
  toDir: LayerDirectory,
): void {
  const from = source.name;
  const leaves = isBelow(source.parent, from);
  if (leaves) upper.work.placeWhiteout(fromDir, from);
  const result = renameName(fromDir.fd, from, toDir.fd, to.name, 0);
  if (result < 0) {
    if (leaves) upper.work.dropWhiteout(fromDir.fd, from);
    fail("rename", to.name, result);
  }
  dropWhiteoutBeside(upper, toDir.fd, to.name, source.inode.type);
}

function moveLeavingWhiteout(
  upper: Writable,
  fromDir: LayerDirectory,
  from: Name,
  toDir: LayerDirectory,
  to: Name,
  hasWhiteout: boolean,
  target: Link | undefined,
): void {
  if (hasWhiteout) {
    upper.work.announceWhiteouts(fromDir);
    must("rename", to, renameName(fromDir.fd, from, toDir.fd, to, RENAME_EXCHANGE));
    return;
  }
  if (!upper.dialect.marksWhiteouts) {
    const result = renameName(fromDir.fd, from, toDir.fd, to, RENAME_WHITEOUT);
    if (result === 0) return;
    if (result !== -E.INVAL) fail("rename", to, result);
  }
  // Not every file system can leave a whiteout behind: then it is made beforehand and changes places.
  const temporary = upper.work.withTemporary((temporary) => {
    upper.work.makeWhiteout(temporary, fromDir);
    must("rename", to, renameName(upper.work.fd, temporary, fromDir.fd, from, RENAME_EXCHANGE));
  });
  must("rename", to, renameName(upper.work.fd, temporary, toDir.fd, to, target === undefined ? RENAME_NOREPLACE : 0));
}

function settle(core: Core, source: Link, to: RenameEnd, target: Link | undefined): void {
  core.changeTimes.forget(source.inode.ino);
  source.parent.changed(source.inode, -1);
  if (target !== undefined) {
    target.inode.upperDir?.close();
    afterUnlink(core, target);
  }
  relocate(source, to);
  to.parent.changed(source.inode, 1);
}

function relocate(link: Link, to: RenameEnd): void {
  const directory = link.inode.upperDir;
  link.inode.moveLink(link, to.parent, to.name);
  link.isUpper = true;
  if (directory === undefined) return;
  directory.parent = to.parent.upperDir;
  directory.name = to.name;
}

/** Marks by which what has moved is found again below, or nothing else is. */
function prepareMove(core: Core, upper: Writable, link: Link, to: Inode): void {
  const { inode, parent } = link;
  if (parent !== to && inode.hasOrigin) markImpure(core, upper, to);
  if (!inode.isDirectory) {
    if (inode.isNestedWhiteout) markNested(upper, to);
    if (inode.isMetacopy) redirectFile(core, upper, link);
    return;
  }
  const directory = upperOf(inode);
  if (inode.lowerDirs.length === 0) {
    if (to.lowerDirs.length > 0) markOpaque(upper, directory.fd, "");
    return;
  }
  const isFar = parent !== to;
  if (inode.redirect !== undefined && (!isFar || inode.redirect.startsWith("/"))) return;
  const redirect = isFar ? pathBelow(link) : link.name;
  must("mark", inode.path, setXattrOf(directory.fd, "", mustHaveMarks(upper, "").redirect, bytesOf(redirect)));
  inode.redirect = redirect;
}

/** A file whose content is below under another name than it will have: by the path, which all of its names can use. */
export function redirectFile(core: Core, upper: Writable, link: Link): void {
  const { inode } = link;
  if (inode.redirect?.startsWith("/") === true) return;
  const redirect = pathBelow(link);
  locate(core, inode);
  must("mark", inode.path, setXattrOf(place.fd, place.name, mustHaveMarks(upper, "").redirect, bytesOf(redirect)));
  inode.redirect = redirect;
}

/** Where the lowers together have what stands at a name of the upper. */
function pathBelow(link: Link): Name {
  let path = "";
  for (let at: Link | undefined = link; at !== undefined; at = at.parent.links[0]) {
    const name = at.inode.redirect ?? at.name;
    if (name.startsWith("/")) return name + path;
    path = `/${name}${path}`;
  }
  return path;
}

function exchange(core: Core, upper: Writable, source: Link, target: Link): void {
  const [a, b] = [
    { parent: source.parent, name: source.name },
    { parent: target.parent, name: target.name },
  ];
  bringUp(core, source);
  bringUp(core, target);
  prepareMove(core, upper, source, b.parent);
  prepareMove(core, upper, target, a.parent);
  must("rename", b.name, renameName(upperOf(a.parent).fd, a.name, upperOf(b.parent).fd, b.name, RENAME_EXCHANGE));
  relocate(source, b);
  relocate(target, a);
  a.parent.children?.set(a.name, target);
  b.parent.children?.set(b.name, source);
  for (const [link, from] of [
    [source, a],
    [target, b],
  ] as const) {
    core.changeTimes.forget(link.inode.ino);
    from.parent.changed(link.inode, -1);
    link.parent.changed(link.inode, 1);
  }
}

/**
 * A directory that is to be replaced is empty in the union, but may hold whiteouts: an empty one takes its place,
 * which nothing below merges into.
 */
function clearWhiteouts(upper: Writable, target: Link, directory: LayerDirectory): void {
  const names: Name[] = [];
  directory.list((name) => {
    if (name !== "." && name !== "..") names.push(name);
  });
  if (names.length === 0) return;
  const parent = upperOf(target.parent);
  if (upper.dialect.whiteouts === "beside") {
    // It makes the directory opaque, so those in it have nothing left to say.
    upper.work.placeWhiteout(parent, target.name);
    for (const name of names) must("rename", name, unlinkName(directory.fd, name));
    return;
  }
  const temporary = upper.work.withTemporary((name) => {
    const to = { fd: upper.work.fd, name };
    const from = { fd: directory.fd, name: "" };
    copyEntry(
      readOriginal(from),
      from,
      to,
      planOf(upper, undefined, () => markOpaque(upper, to.fd, name)),
    );
    must("rename", target.name, renameName(to.fd, name, parent.fd, target.name, RENAME_EXCHANGE));
  });
  directory.close();
  upper.work.discard(temporary);
}
