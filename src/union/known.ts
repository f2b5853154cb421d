import type { Name } from "../kernel/at.ts";

/**
 * What a server that was killed has told the kernel, which goes on naming inodes and open files by these numbers. They
 * are looked up and opened again when they are used.
 */
export interface Known {
  /** The union's from now on. */
  readonly inodes: KnownInodes;
  /** See Origins. */
  readonly origins?: ReadonlyMap<number, number>;
  /** By handle. */
  readonly files: ReadonlyMap<number, { readonly nodeid: number; readonly flags: number }>;
  /** By nodeid: open files that have no name any more; their descriptors are the union's from now on. */
  readonly pins?: ReadonlyMap<number, Pin>;
}

/** By nodeid: one of the inode's names, that which was told last; undefined where it has lost the last. */
export interface KnownInodes extends Iterable<[number, KnownName | undefined]> {
  readonly size: number;
  /** At least as large as each nodeid. */
  readonly highest: number;
  get: (nodeid: number) => KnownName | undefined;
  /** @returns whether it was known */
  delete: (nodeid: number) => boolean;
  /** Those that have lost their last name, directories, and others whose st_ino isn't their nodeid. */
  apart: () => Iterable<[number, KnownName | undefined]>;
}

/** An O_PATH descriptor by which a file without a name stays in reach, and whether it is a lower's. */
export interface Pin {
  readonly fd: number;
  readonly isLower: boolean;
}

export interface KnownName {
  readonly parent: number;
  readonly name: Name;
  readonly ino: number;
  readonly isDirectory: boolean;
}
