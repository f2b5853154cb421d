import type { Name } from "../../kernel/at.ts";

/** What a directory says of itself in its marks. */
export interface DirectoryMarks {
  /** Nothing below it merges into it. */
  readonly isOpaque: boolean;
  /** Files in it may be whiteouts by an attribute. */
  readonly hasMarkedWhiteouts: boolean;
  /** Where it lies in the layers below: a name, or a path from the root. */
  readonly redirect: Name | undefined;
  /** Some of its entries have come from below: they may have marks of their own. */
  readonly isImpure: boolean;
  readonly hasDefaultAcl: boolean;
  /** Empty files in it may stand for devices 0:0, which a union above this one uses for its whiteouts. */
  readonly hasNestedWhiteouts: boolean;
  /** chattr(1)'s `i` and `a`, which the directory has in the union and not in its layer. */
  readonly protection?: Name | undefined;
}

/** How a layer spells what isn't content: whiteouts, opaque directories, and the names that it keeps to itself. */
export interface Dialect {
  readonly name: "overlay" | "overlay-user" | "aufs";
  /** Whether a whiteout stands where the name was, or is another entry beside it, over which the name itself wins. */
  readonly whiteouts: "in-place" | "beside";
  /** Where marks are attributes: their prefix, `trusted.overlay.` or `user.overlay.`. */
  readonly prefix: Name | undefined;
  /**
   * Reads the marks of an open directory.
   * @param attributes the names of all its attributes, where they are known
   * @throws {KernelError} for any errno but "none"
   */
  readMarks(dirfd: number, attributes?: readonly Name[]): DirectoryMarks;
  /** The entry of the same directory that, when there is one, deletes `name`; undefined: the name itself says it. */
  whiteoutName(name: Name): Name | undefined;
  /** Whether the name is the dialect's own: never shown, never looked up, refused to be made. */
  isReserved(name: Name): boolean;
  /** The name that an entry with a reserved name deletes. */
  deletedBy(name: Name): Name | undefined;
  makeWhiteout(dirfd: number, name: Name): number;
  /** Whether that takes several steps, and a directory has to say of itself that it may hold such whiteouts. */
  readonly marksWhiteouts: boolean;
  /** Has an open directory say so. */
  announceWhiteouts(dirfd: number): number;
  /** Marks a directory, the open one with an empty name: nothing below merges into it. */
  makeOpaque(dirfd: number, name: Name): number;
}
