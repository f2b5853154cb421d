import { UserError } from "../../error.ts";
import { E } from "../../kernel/abi/errno.ts";
import { FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, O, S } from "../../kernel/abi/file.ts";
import { chmodName, closeFd, fail, must, type Name, openName, stat, statName, utimesName } from "../../kernel/at.ts";
import { fileSystemOf } from "../../kernel/file.ts";
import { attributeName, control, getXattr, setXattrOf, truncateFd } from "../../kernel/io.ts";
import type { Entry } from "../../layer/attributes.ts";
import { quotePath } from "../../layer/quote.ts";
import type { Tree } from "./tree.ts";

/**
 * Has a session's union copy contents up that are still below: what a file of the upper without its content is based on may
 * be replaced, and is then no base any more.
 */
export function settleContents(after: Tree, paths: readonly Name[]): void {
  // A union of ours may not hear of an opening: it copies when something is changed.
  const isDeaf = fileSystemOf(after.root).type === "fuse";
  for (const path of paths) {
    const entry = after.find(path);
    if (entry === undefined || statName(entry.fd, entry.name) < 0 || stat.type !== S.IFREG) continue;
    const atime = { seconds: stat.atime, nsec: stat.atimeNsec };
    const mtime = { seconds: stat.mtime, nsec: stat.mtimeNsec };
    const fd = openName(entry.fd, entry.name, O.WRONLY | O.NOFOLLOW | O.NONBLOCK);
    if (fd === -E.TXTBSY)
      throw new UserError("busy", `/${quotePath(path)} is running in the session`, { hint: "nothing was changed" });
    if (fd === -E.NOENT) continue;
    if (fd < 0) fail("open", path, fd);
    try {
      // Of a file with several names that was copied under another one it gives the upper this one too.
      if (isDeaf && stat.nlink > 1) must("chmod", path, chmodName(entry.fd, entry.name, stat.mode));
      if (isDeaf && !setFlagsAgain(fd)) truncateToItself(entry, fd, stat.size);
      // The copying sets it, though nothing was written.
      must("stat", path, statName(entry.fd, entry.name));
      if (stat.mtime !== mtime.seconds || stat.mtimeNsec !== mtime.nsec)
        must("utimes", path, utimesName(fd, "", atime, mtime));
    } finally {
      closeFd(fd);
    }
  }
}

const flags = Buffer.alloc(8);

/** The union copies all of it then, and Linux changes nothing else. @returns false where the upper's file system has no flags */
function setFlagsAgain(fd: number): boolean {
  const result = control(fd, FS_IOC_GETFLAGS, flags);
  return result >= 0 && control(fd, FS_IOC_SETFLAGS, flags) >= 0;
}

const capability = attributeName("security.capability");
const value = Buffer.alloc(64);

/** The kernel takes capabilities from what is truncated, to whatever size: who is killed in between loses them. */
function truncateToItself({ fd: dirfd, name }: Entry, fd: number, size: number): void {
  const length = getXattr(dirfd, name, capability, value);
  must("truncate", name, truncateFd(fd, size));
  if (length > 0) must("setxattr", name, setXattrOf(dirfd, name, capability, value.subarray(0, length)));
}
