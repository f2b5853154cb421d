import { E } from "../../kernel/abi/errno.ts";
import { O, S } from "../../kernel/abi/file.ts";
import { closeFd, fail, mknodName, type Name, openName, unlinkName } from "../../kernel/at.ts";
import { attributeName, getXattr, getXattrOfFd, listXattrs, listXattrsOfFd, setXattrOf } from "../../kernel/io.ts";
import type { Dialect, DirectoryMarks } from "./dialect.ts";

/** The attributes that overlayfs writes, by what follows the prefix; values as in Documentation/filesystems/overlayfs.rst. */
export interface OverlayMarks {
  readonly opaque: Uint8Array;
  readonly redirect: Uint8Array;
  readonly origin: Uint8Array;
  readonly impure: Uint8Array;
  readonly nlink: Uint8Array;
  readonly metacopy: Uint8Array;
  readonly whiteout: Uint8Array;
  readonly upper: Uint8Array;
  /** On a directory: `a` append-only, `i` immutable. So what lies in it can still be copied up. */
  readonly protection: Uint8Array;
  /** On an empty file: it stands for a device 0:0. This is how overlayfs stores a whiteout mark of an overlay above. */
  readonly nestedWhiteout: Uint8Array;
  /** On a directory: it has such files. Ours alone. */
  readonly nested: Uint8Array;
}

function overlayMarks(prefix: Name): OverlayMarks {
  const mark = (name: string): Uint8Array => attributeName(prefix + name);
  return {
    opaque: mark("opaque"),
    redirect: mark("redirect"),
    origin: mark("origin"),
    impure: mark("impure"),
    nlink: mark("nlink"),
    metacopy: mark("metacopy"),
    whiteout: mark("whiteout"),
    upper: mark("upper"),
    protection: mark("protattr"),
    nestedWhiteout: mark("overlay.whiteout"),
    nested: mark("nested"),
  };
}

const value = Buffer.alloc(65536);

/** A mark of `name` below `dirfd` (of the open file itself with an empty name), or undefined where it has none. */
export function readMark(dirfd: number, name: Name, mark: Uint8Array): Buffer | undefined {
  const length = getXattr(dirfd, name, mark, value);
  if (length >= 0) return Buffer.from(value.subarray(0, length));
  if (isNoAttribute(length)) return undefined;
  return fail("getxattr", name, length);
}

/** Whether the file system says that there is no such attribute, or none at all. */
function isNoAttribute(result: number): boolean {
  return result === -E.NODATA || result === -E.OPNOTSUPP;
}

const yes = Buffer.from("y");
const mayHoldWhiteouts = Buffer.from("x");

/** Those of a directory that has none. */
export const noMarks: DirectoryMarks = {
  isOpaque: false,
  hasMarkedWhiteouts: false,
  redirect: undefined,
  isImpure: false,
  hasDefaultAcl: false,
  hasNestedWhiteouts: false,
};

/**
 * overlayfs's own format: a character device 0:0 deletes, or, where the file system takes none (overlayfs itself), an
 * empty file with an attribute; directories say the rest in attributes.
 */
export class OverlayDialect implements Dialect {
  readonly name: "overlay" | "overlay-user";
  readonly prefix: Name;
  readonly whiteouts = "in-place";
  readonly marks: OverlayMarks;
  readonly marksWhiteouts: boolean;

  constructor(prefix: "trusted.overlay." | "user.overlay.", whiteoutsAre: "devices" | "marked" = "devices") {
    this.marksWhiteouts = whiteoutsAre === "marked";
    this.name = prefix === "user.overlay." ? "overlay-user" : "overlay";
    this.prefix = prefix;
    this.marks = overlayMarks(prefix);
  }

  readMarks(dirfd: number, attributes: readonly Name[] = listNames(dirfd)): DirectoryMarks {
    if (attributes.length === 0) return noMarks;
    const has = (name: Name): boolean => attributes.includes(name);
    const opaque = has(`${this.prefix}opaque`) ? readMark(dirfd, "", this.marks.opaque)?.toString("latin1") : undefined;
    return {
      isOpaque: opaque === "y",
      hasMarkedWhiteouts: opaque === "x",
      redirect: has(`${this.prefix}redirect`)
        ? readMark(dirfd, "", this.marks.redirect)?.toString("latin1")
        : undefined,
      isImpure: has(`${this.prefix}impure`),
      hasDefaultAcl: has("system.posix_acl_default"),
      hasNestedWhiteouts: has(`${this.prefix}nested`),
      protection: has(`${this.prefix}protattr`)
        ? readMark(dirfd, "", this.marks.protection)?.toString("latin1")
        : undefined,
    };
  }

  whiteoutName(): undefined {
    return undefined;
  }

  isReserved(): boolean {
    return false;
  }

  deletedBy(): undefined {
    return undefined;
  }

  makeWhiteout(dirfd: number, name: Name): number {
    if (!this.marksWhiteouts) return mknodName(dirfd, name, S.IFCHR, 0n);
    const fd = openName(dirfd, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o644);
    if (fd < 0) return fd;
    closeFd(fd);
    const result = setXattrOf(dirfd, name, this.marks.whiteout, yes);
    if (result < 0) unlinkName(dirfd, name);
    return result;
  }

  announceWhiteouts(dirfd: number): number {
    return this.marksWhiteouts ? setXattrOf(dirfd, "", this.marks.opaque, mayHoldWhiteouts) : 0;
  }

  makeOpaque(dirfd: number, name: Name): number {
    return setXattrOf(dirfd, name, this.marks.opaque, yes);
  }
}

/** The names of the attributes of an open directory. */
function listNames(dirfd: number): readonly Name[] {
  let length = listXattrsOfFd(dirfd, value);
  if (length === -E.BADF) length = listXattrs(dirfd, "", value); // opened as O_PATH
  if (length === 0 || isNoAttribute(length)) return [];
  return length < 0 ? fail("listxattr", "", length) : value.toString("latin1", 0, length - 1).split("\0");
}

/** Whether an empty regular file is a whiteout by its attribute. */
export function isMarkedWhiteout(dirfd: number, name: Name, marks: OverlayMarks): boolean {
  return readMark(dirfd, name, marks.whiteout) !== undefined;
}

/** As readMark(), of a file that is open for reading or writing. */
export function readMarkOfFd(fd: number, mark: Uint8Array): Buffer | undefined {
  const length = getXattrOfFd(fd, mark, value);
  if (length >= 0) return Buffer.from(value.subarray(0, length));
  if (isNoAttribute(length)) return undefined;
  return fail("getxattr", "", length);
}
