import { S } from "../kernel/abi/file.ts";
import { E } from "../kernel/abi/errno.ts";
import { fail, type Name, stat, statSerial } from "../kernel/at.ts";
import { OverlayDialect, readMark } from "../layer/dialect/overlay.ts";
import { LayerDirectory } from "../layer/directory.ts";
import type { Layer } from "../layer/layer.ts";
import { isNestedWhiteout, openMarked, probe } from "../layer/probe.ts";
import { bad, type Core, encodeIno, statIno } from "./core.ts";
import type { Inode } from "./inode.ts";
import { lowersWith } from "./names.ts";
import { resolveOrigin } from "./origin.ts";
import { follow, type Search, walkToParent } from "./redirect.ts";

/** What a name leads to in the layers: the files and directories that make up one inode of the union. */
export interface Found {
  type: number;
  ino: number;
  /** The upper's own number, for when `ino` is taken. */
  upperIno: number;
  hasUpper: boolean;
  upperDir: LayerDirectory | undefined;
  lowerDirs: LayerDirectory[];
  lowerDir: LayerDirectory | undefined;
  lowerName: Name;
  /** Of the topmost lower. */
  lowerIno: number;
  lowerNlink: number;
  isMetacopy: boolean;
  dataDir: LayerDirectory | undefined;
  dataName: Name;
  isImpure: boolean;
  hasDefaultAcl: boolean;
  protection: Name;
  redirect: Name | undefined;
  indexEntry: Name | undefined;
  nlinkExcess: number;
  /** The name stands in the upper. */
  isUpperName: boolean;
  /** The upper file says that it was copied up. */
  hasOriginMark: boolean;
  /** Which filling of `stat` has the attributes of the whole. */
  serial: number;
  isNestedWhiteout: boolean;
}

function nothing(): Found {
  return {
    type: 0,
    ino: 0,
    upperIno: 0,
    hasUpper: false,
    upperDir: undefined,
    lowerDirs: [],
    lowerDir: undefined,
    lowerName: "",
    lowerIno: 0,
    lowerNlink: 0,
    isMetacopy: false,
    dataDir: undefined,
    dataName: "",
    isImpure: false,
    hasDefaultAcl: false,
    protection: "",
    redirect: undefined,
    indexEntry: undefined,
    nlinkExcess: 0,
    isUpperName: false,
    hasOriginMark: false,
    serial: -1,
    isNestedWhiteout: false,
  };
}

/** Of a name that find() hasn't found: what stands in its place in the upper is a whiteout. */
export const absence = { isWhiteout: false };

/** Looks a name up in the layers of a directory; undefined: it isn't there, or deleted. */
export function find(core: Core, parent: Inode, name: Name, marks: Search["marks"] = "likely"): Found | undefined {
  const { upperDir } = parent;
  const presence = upperDir === undefined ? "absent" : probe(upperDir, name);
  absence.isWhiteout = presence === "whiteout" && upperDir?.layer.dialect.whiteouts === "in-place";
  if (presence === "whiteout" || (presence === "absent" && parent.lowerDirs.length === 0)) return undefined;
  const found = nothing();
  const search: Search = { target: name, isStopped: false, marks };
  if (upperDir !== undefined && presence === "present") {
    takeUpper(core, parent, upperDir, name, found, search);
  }
  findLowers(core, parent, found, search);
  if (found.type === 0) return undefined;
  if (found.isMetacopy && found.dataDir === undefined)
    bad(core, "attributes of a file whose content is nowhere", `${parent.path}/${name}`);
  if (found.type === S.IFDIR) {
    found.ino = found.lowerDirs.length > 0 ? found.lowerIno : found.upperIno;
  } else {
    if (!found.hasUpper) takeFromIndex(core, found);
    if (found.ino === 0)
      found.ino = found.hasUpper ? (core.origins.of(found.upperIno) ?? found.upperIno) : found.lowerIno;
  }
  return found;
}

function takeUpper(core: Core, parent: Inode, dir: LayerDirectory, name: Name, found: Found, search: Search): void {
  found.type = stat.type;
  found.upperIno = statIno(core, dir.layer.fileSystem);
  found.isUpperName = true;
  found.serial = statSerial();
  if (found.type !== S.IFDIR) {
    found.hasUpper = true;
    search.isStopped = true;
    if (isNestedWhiteout(dir, name)) [found.type, found.isNestedWhiteout] = [S.IFCHR, true];
    else if (parent.isImpure || (found.type === S.IFREG && isLikelyMetacopy(dir)))
      // An upper that was copied by other programs may have lost the mark of the directory.
      takeUpperMarks(core, dir.fd, name, found, search);
    return;
  }
  if (core.traps.has(found.upperIno)) fail("look up", name, -E.LOOP);
  const { directory, marks } = openMarked(dir, name);
  found.upperDir = directory;
  found.isImpure = marks.isImpure;
  found.hasDefaultAcl = marks.hasDefaultAcl;
  found.protection = marks.protection ?? "";
  found.redirect = marks.redirect;
  if (marks.isOpaque) search.isStopped = true;
  else if (marks.redirect !== undefined) follow(core, search, marks.redirect, "", "");
}

/** An upper file that came from below says so: which inode it was, and whether its content is still there. */
function takeUpperMarks(core: Core, dirfd: number, name: Name, found: Found, search: Search): void {
  const upper = core.upper;
  if (upper?.marks === undefined) return;
  const upperNlink = stat.nlink;
  const { marks } = upper;
  const originMark = readMark(dirfd, name, marks.origin);
  found.hasOriginMark = originMark !== undefined;
  const origin = originMark === undefined || originMark.length === 0 ? undefined : resolveOrigin(core, originMark);
  if (origin !== undefined && (origin.type ?? found.type) === found.type) {
    const entry = upper.index?.get(origin.ino);
    if (entry !== undefined && entry.upperIno === found.upperIno) {
      found.indexEntry = entry.name;
      found.nlinkExcess = readNlinkExcess(dirfd, name, marks.nlink, upperNlink, origin.nlink);
      found.ino = origin.ino;
    } else if (origin.nlink <= 1) {
      found.ino = origin.ino;
    }
  }
  takeMetacopy(core, dirfd, name, found, search);
}

function takeMetacopy(core: Core, dirfd: number, name: Name, found: Found, search: Search): void {
  const marks = core.upper?.marks;
  if (marks === undefined || found.type !== S.IFREG || readMark(dirfd, name, marks.metacopy) === undefined) return;
  found.isMetacopy = true;
  found.redirect = readMark(dirfd, name, marks.redirect)?.toString("latin1");
  search.isStopped = false;
  if (found.redirect !== undefined) follow(core, search, found.redirect, "", "");
}

/** The mark `nlink`: the union's count relative to the upper's or the lower's, fs/overlayfs/inode.c. */
export function readNlinkExcess(
  dirfd: number,
  name: Name,
  mark: Uint8Array,
  upperNlink: number,
  lowerNlink: number,
): number {
  const text = readMark(dirfd, name, mark)?.toString("latin1") ?? "";
  const match = /^([UL])([+-]\d+)/.exec(text);
  if (match === null) return -1; // the index's own name doesn't count
  return Number(match[2]) + (match[1] === "U" ? 0 : lowerNlink - upperNlink);
}

/** A lower file with several names, one of which was copied up, is that copy. */
function takeFromIndex(core: Core, found: Found): void {
  const upper = core.upper;
  if (upper?.index === undefined || upper.marks === undefined || found.lowerNlink <= 1) return;
  const { marks } = upper;
  const entry = upper.index.get(found.lowerIno);
  if (entry === undefined) return;
  const { fd } = upper.index;
  if (probe(upper.index.directory, entry.name) !== "present" || stat.type !== found.type) {
    bad(core, "an index entry that isn't what it stands for", entry.name);
  }
  found.hasUpper = true;
  found.hasOriginMark = true;
  found.serial = statSerial();
  found.upperIno = statIno(core, upper.layer.fileSystem);
  found.indexEntry = entry.name;
  found.ino = found.lowerIno;
  found.nlinkExcess = readNlinkExcess(fd, entry.name, marks.nlink, stat.nlink, found.lowerNlink);
  found.isMetacopy = found.type === S.IFREG && readMark(fd, entry.name, marks.metacopy) !== undefined;
  if (!found.isMetacopy) return;
  found.redirect = readMark(fd, entry.name, marks.redirect)?.toString("latin1");
  if (found.dataDir === undefined) {
    found.dataDir = found.lowerDir;
    found.dataName = found.lowerName;
  }
}

function findLowers(core: Core, parent: Inode, found: Found, search: Search): void {
  let from: readonly LayerDirectory[] | undefined;
  let target = "";
  let at = 0;
  let layerIndex = 0;
  while (!search.isStopped) {
    if (search.target.startsWith("/")) {
      const layer: Layer | undefined = core.lowers[layerIndex++];
      if (layer === undefined || (layer.isDataOnly && !found.isMetacopy)) return;
      const end = walkToParent(core, layer, search);
      if (end !== undefined) takeLower(core, end.directory, end.name, found, search);
      continue;
    }
    if (from === undefined || target !== search.target) {
      target = search.target;
      from = lowersWith(parent, target);
      at = from.findIndex((directory) => directory.layer.index > layerIndex);
    }
    const directory = at < 0 ? undefined : from[at++];
    if (directory === undefined) return;
    layerIndex = directory.layer.index;
    takeLower(core, directory, target, found, search);
  }
}

function takeLower(core: Core, dir: LayerDirectory, name: Name, found: Found, search: Search): void {
  const presence = probe(dir, name);
  if (presence === "absent") return;
  if (presence === "whiteout") {
    search.isStopped = true;
    return;
  }
  const isFirst = found.lowerDirs.length === 0 && found.lowerDir === undefined;
  if (isFirst) {
    found.lowerIno = statIno(core, dir.layer.fileSystem);
    if (found.serial < 0) found.serial = statSerial();
  }
  if (stat.type === S.IFDIR) takeLowerDirectory(core, dir, name, found, search);
  else takeLowerFile(core, dir, name, found, search);
}

function takeLowerDirectory(core: Core, dir: LayerDirectory, name: Name, found: Found, search: Search): void {
  if (found.type !== 0 && found.type !== S.IFDIR) {
    search.isStopped = true;
    return;
  }
  if (core.traps.has(encodeIno(core.inoSpace, dir.layer.fileSystem, stat.inoHigh, stat.inoLow)))
    fail("look up", name, -E.LOOP);
  found.type = S.IFDIR;
  if (dir.layer.isLast) {
    found.lowerDirs.push(new LayerDirectory(dir.layer, dir, name));
    return;
  }
  const { directory, marks } = openMarked(dir, name);
  found.lowerDirs.push(directory);
  if (marks.isOpaque) search.isStopped = true;
  else if (marks.redirect !== undefined)
    follow(core, search, marks.redirect, search.target.slice(0, search.target.lastIndexOf("/") + 1), "");
}

function takeLowerFile(core: Core, dir: LayerDirectory, name: Name, found: Found, search: Search): void {
  if (found.type === S.IFDIR || (found.type !== 0 && found.type !== stat.type)) {
    search.isStopped = true;
    return;
  }
  found.type = stat.type;
  if (found.lowerDir === undefined && isNestedWhiteout(dir, name))
    [found.type, found.isNestedWhiteout] = [S.IFCHR, true];
  if (found.lowerDir === undefined) {
    found.lowerDir = dir;
    found.lowerName = name;
    found.lowerNlink = stat.nlink;
  }
  const mayBeMetacopy = stat.type === S.IFREG && (search.marks === "all" || isLikelyMetacopy(dir));
  const { dialect } = dir.layer;
  if (
    mayBeMetacopy &&
    dialect instanceof OverlayDialect &&
    readMark(dir.fd, name, dialect.marks.metacopy) !== undefined
  ) {
    found.isMetacopy = true;
    const redirect = readMark(dir.fd, name, dialect.marks.redirect)?.toString("latin1");
    if (redirect !== undefined)
      follow(core, search, redirect, search.target.slice(0, search.target.lastIndexOf("/") + 1), "");
    return;
  }
  search.isStopped = true;
  if (found.isMetacopy) {
    found.dataDir = dir;
    found.dataName = name;
  }
}

/** A file with a block for each of its bytes has its content; but one block may be of its attributes. */
function isLikelyMetacopy(dir: LayerDirectory): boolean {
  const blocks = dir.isImpure ? stat.blocks - 8 : stat.blocks;
  return stat.size > 0 && blocks * 512 < stat.size;
}
