import { FS_APPEND_FL, FS_IMMUTABLE_FL, FS_IOC_GETFLAGS, O, S } from "../kernel/abi/file.ts";
import { closeFd, type Name, openName, stat } from "../kernel/at.ts";
import { control } from "../kernel/io.ts";

/** Whether chattr(1) has made the entry whose attributes `stat` holds immutable or append-only. */
export function isMarkedProtected(dirfd: number, name: Name): boolean {
  return readProtection(dirfd, name) !== "";
}

/**
 * What chattr(1) calls it, `i` and `a`. `isProtected` alone doesn't tell: file systems that can't be written to at all, as
 * erofs, say so of every file.
 */
export function readProtection(dirfd: number, name: Name): Name {
  if (!stat.isProtected || (stat.type !== S.IFREG && stat.type !== S.IFDIR)) return "";
  const path = name === "" ? `/proc/self/fd/${dirfd}` : name;
  const fd = openName(dirfd, path, O.RDONLY | O.NONBLOCK | (name === "" ? 0 : O.NOFOLLOW));
  if (fd < 0) return "";
  const flags = Buffer.alloc(8);
  const result = control(fd, FS_IOC_GETFLAGS, flags);
  closeFd(fd);
  const set = result >= 0 ? flags.readUInt32LE(0) : 0;
  return `${(set & FS_APPEND_FL) === 0 ? "" : "a"}${(set & FS_IMMUTABLE_FL) === 0 ? "" : "i"}`;
}
