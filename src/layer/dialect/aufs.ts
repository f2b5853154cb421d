import { E } from "../../kernel/abi/errno.ts";
import { O } from "../../kernel/abi/file.ts";
import { closeFd, fail, type Name, openName, statName } from "../../kernel/at.ts";
import { openDirectoryName } from "../directory.ts";
import type { Dialect, DirectoryMarks } from "./dialect.ts";

const PREFIX = ".wh.";
const OPAQUE = ".wh..wh..opq";
/** In the top directory of each branch that aufs writes to: AUFS_WH_BASE, include/uapi/linux/aufs_type.h. */
const BASE = ".wh..wh.aufs";

/**
 * aufs's format, as image layers have it too: a file `.wh.NAME` deletes NAME, `.wh..wh..opq` makes its directory
 * opaque, and other names with `.wh..wh.` are aufs's own. Where NAME is there as well, it wins, a directory as an opaque
 * one: so each change is one step, and the whiteout is tidied away afterwards.
 */
export class AufsDialect implements Dialect {
  readonly name = "aufs";
  readonly whiteouts = "beside";
  readonly prefix = undefined;
  readonly marksWhiteouts = false;

  readMarks(dirfd: number): DirectoryMarks {
    return {
      isOpaque: isThere(dirfd, OPAQUE),
      hasMarkedWhiteouts: false,
      redirect: undefined,
      isImpure: false,
      hasDefaultAcl: false,
      hasNestedWhiteouts: false,
    };
  }

  whiteoutName(name: Name): Name | undefined {
    return this.isReserved(name) || name.length + PREFIX.length > 255 ? undefined : PREFIX + name;
  }

  isReserved(name: Name): boolean {
    return name.startsWith(PREFIX);
  }

  deletedBy(name: Name): Name | undefined {
    return name.startsWith(".wh..wh.") ? undefined : name.slice(PREFIX.length);
  }

  /** @returns −EPERM for a name of the dialect's own, which another layer may have as a plain file */
  makeWhiteout(dirfd: number, name: Name): number {
    return this.isReserved(name) ? -E.PERM : makeMark(dirfd, PREFIX + name);
  }

  announceWhiteouts(): number {
    return 0;
  }

  makeOpaque(dirfd: number, name: Name): number {
    if (name === "") return makeMark(dirfd, OPAQUE);
    const fd = openDirectoryName(dirfd, name);
    if (fd < 0) return fd;
    const result = makeMark(fd, OPAQUE);
    closeFd(fd);
    return result;
  }
}

/** Whether aufs, or we, have written to this directory as to a branch. */
export function isAufsBranch(dirfd: number): boolean {
  return isThere(dirfd, BASE);
}

/** Makes a directory one that isAufsBranch() knows. @returns 0 or −errno */
export function markAufsBranch(dirfd: number): number {
  return makeMark(dirfd, BASE);
}

function isThere(dirfd: number, name: Name): boolean {
  const result = statName(dirfd, name);
  if (result < 0 && result !== -E.NOENT) fail("stat", name, result);
  return result === 0;
}

function makeMark(dirfd: number, name: Name): number {
  const fd = openName(dirfd, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o444);
  if (fd === -E.EXIST) return 0;
  if (fd >= 0) closeFd(fd);
  return Math.min(fd, 0);
}
