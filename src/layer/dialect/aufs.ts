import { E } from "../../kernel/abi/errno.ts";
import { O } from "../../kernel/abi/file.ts";
import { closeFd, fail, type Name, openName, statName } from "../../kernel/at.ts";
import type { Dialect, DirectoryMarks } from "./dialect.ts";

const PREFIX = ".wh.";
const OPAQUE = ".wh..wh..opq";

/**
 * aufs's format, as image layers have it too: a file `.wh.NAME` deletes NAME, `.wh..wh..opq` makes its directory
 * opaque, and other names with `.wh..wh.` are aufs's own.
 */
export class AufsDialect implements Dialect {
  readonly name = "aufs";
  readonly prefix = undefined;

  readMarks(dirfd: number): DirectoryMarks {
    const result = statName(dirfd, OPAQUE);
    if (result < 0 && result !== -E.NOENT) fail("stat", OPAQUE, result);
    return {
      isOpaque: result === 0,
      hasMarkedWhiteouts: false,
      redirect: undefined,
      isImpure: false,
      hasDefaultAcl: false,
      hasNestedWhiteouts: false,
    };
  }

  whiteoutName(name: Name): Name | undefined {
    return name.length + PREFIX.length <= 255 ? PREFIX + name : undefined;
  }

  isReserved(name: Name): boolean {
    return name.startsWith(PREFIX);
  }

  deletedBy(name: Name): Name | undefined {
    return name.startsWith(".wh..wh.") ? undefined : name.slice(PREFIX.length);
  }

  makeWhiteout(dirfd: number, name: Name): number {
    const fd = openName(dirfd, PREFIX + name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o444);
    if (fd < 0) return fd;
    closeFd(fd);
    return 0;
  }
}
