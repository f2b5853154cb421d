import type { KnownTime, Name } from "../kernel/at.ts";

/**
 * What a server that was killed has told the kernel, which goes on naming inodes and open files by these numbers. They
 * are looked up and opened again when they are used.
 */
export interface Known {
  /** The union's from now on. */
  readonly inodes: KnownInodes;
  /** See Origins. */
  readonly origins?: ReadonlyMap<number, number>;
  /** See AccessTimes. */
  readonly accessTimes?: ReadonlyMap<number, number>;
  /** See ChangeTimes. */
  readonly changeTimes?: ReadonlyMap<number, Shown>;
  /** By handle. */
  readonly files: ReadonlyMap<number, { readonly nodeid: number; readonly flags: number }>;
  /** By nodeid: open files that have no name any more; their descriptors are the union's from now on. */
  readonly pins?: ReadonlyMap<number, Pin>;
}

/** Is told at once what no layer says, for the server after this one. */
export interface Ledger {
  /** See Origins. @param ino 0: there is no such file any more */
  origin: (upperIno: number, ino: number) => void;
  /** See AccessTimes. @param time 0: what the layer says is right */
  accessTime: (ino: number, time: number) => void;
  /** See ChangeTimes. @param shown undefined: what the layer says is right */
  changeTime: (ino: number, shown: Shown | undefined) => void;
}

/** In the place of a ctime's nanoseconds: see Shown. */
export const [UNSEEN, CHANGING] = [-1, -2];

/** The ctime that a file of the upper shows, as long as these are its times. */
export interface Shown extends KnownTime {
  ctime: number;
  /** UNSEEN: that which it has when it is looked at next; CHANGING: the same, after its mtime was put back to this one. */
  ctimeNsec: number;
  readonly mtime: number;
  readonly mtimeNsec: number;
}

/** What the kernel knows now: what a server does after it took over is told there too. */
export interface KnownInodes {
  /** At least as large as each nodeid. */
  readonly highest: number;
  /** One of the inode's names; undefined where it has none. */
  get: (nodeid: number) => KnownName | undefined;
  has: (nodeid: number) => boolean;
  /** What stands at a name. */
  at: (parent: number, name: Name) => KnownEntry | undefined;
  /** By st_ino, of an inode whose nodeid is another number. */
  nodeidOf: (ino: number) => number | undefined;
  /** Those that have lost their last name, each with its st_ino. */
  nameless: () => Iterable<readonly [nodeid: number, ino: number]>;
}

/** An O_PATH descriptor by which a file without a name stays in reach, and whether it is a lower's. */
export interface Pin {
  readonly fd: number;
  readonly isLower: boolean;
  /** Another one, of its content, where that is elsewhere. */
  readonly content?: number;
}

export interface KnownName {
  readonly parent: number;
  readonly name: Name;
  readonly ino: number;
  readonly isDirectory: boolean;
}

export interface KnownEntry {
  readonly nodeid: number;
  readonly ino: number;
  readonly isDirectory: boolean;
}
