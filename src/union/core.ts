import { E } from "../kernel/abi/errno.ts";
import { fail, type Name, stat, statFd, statName, statSerial } from "../kernel/at.ts";
import type { Entry } from "../layer/attributes.ts";
import type { Dialect } from "../layer/dialect/dialect.ts";
import type { OverlayMarks } from "../layer/dialect/overlay.ts";
import type { DirectoryCache } from "../layer/directory.ts";
import type { Layer, LayerFileSystem } from "../layer/layer.ts";
import type { AccessTimes } from "./accesstimes.ts";
import type { ChangeTimes } from "./changetimes.ts";
import type { HardLinkIndex } from "./hardlinks.ts";
import type { Inode, InodeTable } from "./inode.ts";
import type { Origins } from "./origins.ts";
import type { Answers } from "./remote.ts";
import type { WorkDirectory } from "./work.ts";

/** What there is to write to. */
export interface Writable {
  readonly layer: Layer;
  readonly dialect: Dialect;
  /** Undefined where the dialect has none: no redirects, no origins, no attributes without their content. */
  readonly marks: OverlayMarks | undefined;
  readonly work: WorkDirectory;
  readonly index: HardLinkIndex | undefined;
  /** The server's own ids: what it makes belongs to them. */
  readonly ownUid: number;
  readonly ownGid: number;
  /** vfat and the like have none: everything there belongs to whom the mount says. */
  readonly hasOwners: boolean;
}

/** The state that all operations of one union share. */
export interface Core {
  /** undefined: read-only. */
  readonly upper: Writable | undefined;
  readonly lowers: readonly Layer[];
  readonly fileSystems: readonly LayerFileSystem[];
  readonly cache: DirectoryCache;
  readonly table: InodeTable;
  readonly rootInode: Inode;
  /** An inode's attributes are no longer what they were, though nobody asked for that: its ctime, for one. */
  readonly onCopyUp: (nodeid: number) => void;
  /** For the operation at hand: what other processes have asked for it. */
  answers: Answers | undefined;
  readonly accessTimes: AccessTimes;
  readonly changeTimes: ChangeTimes;
  readonly origins: Origins;
  readonly inoSpace: number;
  /** The st_inos of the layers' own directories: meeting one of them below is a loop. */
  readonly traps: ReadonlySet<number>;
  readonly useRedirects: boolean;
  readonly useMetacopy: boolean;
  /** The kernel says who opens what; else any file may be open that it remembers. */
  readonly knowsOpens: boolean;
  /** Nothing need survive the machine: nothing is synced. */
  readonly isVolatile: boolean;
  readonly log: (line: string) => void;
}

/** @throws {KernelError} EROFS */
export function writable(core: Core): Writable {
  return core.upper ?? fail("write", "", -E.ROFS);
}

/**
 * The union's number for an inode of a layer: one that is too large for its share is folded,
 * the same way each time.
 */
export function encodeIno(space: number, fileSystem: LayerFileSystem, high: number, low: number): number {
  const ino = high * 0x1_0000_0000 + low;
  return fileSystem.index * space + (ino < space ? ino : fold(high, low, space));
}

function fold(high: number, low: number, space: number): number {
  const mixed = Math.imul(high ^ (high >>> 15), 0x2c1b3c6d) ^ Math.imul(low, 0x297a2d39);
  const upperHalf = (mixed ^ (mixed >>> 12)) >>> 0;
  return space / 2 + ((upperHalf * 0x1_0000_0000 + low) % (space / 2));
}

/** What `stat` holds, as the union numbers it. */
export function statIno(core: Pick<Core, "inoSpace">, fileSystem: LayerFileSystem): number {
  return encodeIno(core.inoSpace, fileSystem, stat.inoHigh, stat.inoLow);
}

/** Where an inode's real file is, for a call relative to a descriptor; an empty name: the descriptor itself. */
export const place: { fd: number; name: Name } = { fd: -1, name: "" };

/** Fills `place` with the file that attributes come from: the upper's, else the topmost lower's. */
export function locate(core: Core, inode: Inode): void {
  place.name = "";
  if (inode.pin >= 0) {
    place.fd = inode.pin;
  } else if (inode.isDirectory) {
    const directory = inode.upperDir ?? inode.lowerDirs[0];
    place.fd = directory === undefined ? fail("use", inode.path, -E.STALE) : directory.fd;
  } else if (inode.hasUpper) {
    locateUpper(core, inode);
  } else if (inode.lowerDir !== undefined) {
    place.fd = inode.lowerDir.fd;
    place.name = inode.lowerName;
  } else {
    fail("use", inode.path, -E.STALE);
  }
}

function locateUpper(core: Core, inode: Inode): void {
  const link = inode.links.find((link) => link.isUpper && link.parent.upperDir !== undefined);
  if (link?.parent.upperDir !== undefined) {
    place.fd = link.parent.upperDir.fd;
    place.name = link.name;
  } else if (inode.indexEntry !== undefined && core.upper?.index !== undefined) {
    place.fd = core.upper.index.fd;
    place.name = inode.indexEntry;
  } else {
    fail("use", inode.path, -E.STALE);
  }
}

const held: { inode: Inode | undefined; serial: number } = { inode: undefined, serial: -1 };

/** `stat` holds this inode's attributes. */
export function hold(inode: Inode): void {
  held.inode = inode;
  held.serial = statSerial();
}

/** Whether `stat` holds this inode's attributes, as hold() was told. */
export function isHeld(inode: Inode): boolean {
  return held.inode === inode && held.serial === statSerial();
}

/** Where content is that isn't where its attributes are. */
export function contentOf({ dataPin, dataDir, dataName }: Inode): Entry | undefined {
  if (dataPin >= 0) return { fd: dataPin, name: "" };
  return dataDir && { fd: dataDir.fd, name: dataName };
}

/** Attributes of `place` into `stat`. */
export function statPlace(): number {
  return place.name === "" ? statFd(place.fd) : statName(place.fd, place.name);
}

/** A layer that can't be what overlayfs or we have written: one line for the log, EIO for the caller. */
export function bad(core: Core, what: string, name: Name): never {
  core.log(`${what}: ${Buffer.from(name, "latin1").toString("utf8")}`);
  return fail("look up", name, -E.IO);
}
