import { E } from "../kernel/abi/errno.ts";
import {
  FS_IOC_FSGETXATTR,
  FS_IOC_FSSETXATTR,
  FS_IOC_GETFLAGS,
  FS_IOC_GETVERSION,
  FS_IOC_SETFLAGS,
  O,
  S,
} from "../kernel/abi/file.ts";
import { closeFd, must, openName } from "../kernel/at.ts";
import { control } from "../kernel/io.ts";
import { copyUp } from "./copyup.ts";
import { type Core, locate, place } from "./core.ts";
import { inodeOf } from "./lookup.ts";

/** What is asked of an inode's flags; and of its generation, by lsattr -v. */
export const flagCommands: ReadonlyMap<number, "get" | "set"> = new Map([
  [FS_IOC_GETFLAGS, "get"],
  [FS_IOC_GETVERSION, "get"],
  [FS_IOC_SETFLAGS, "set"],
  [FS_IOC_FSGETXATTR, "get"],
  [FS_IOC_FSSETXATTR, "set"],
]);

/**
 * Asks the layer's file system for an inode's flags, as chattr(1) and lsattr(1) know them, or sets them in the upper.
 * @param data what the command takes or gives
 * @returns 0, or −errno: ENOTTY where there are no flags
 * @see ioctl_iflags(2)
 */
export function controlFlags(core: Core, nodeid: number, request: number, data: Buffer, what: "get" | "set"): number {
  const inode = inodeOf(core, nodeid);
  if (inode.type !== S.IFREG && inode.type !== S.IFDIR) return -E.NOTTY;
  // With its content, which can't be added to a file that is immutable.
  if (what === "set") {
    copyUp(core, inode, { content: "copy" });
    core.changeTimes.forget(inode.ino);
  }
  locate(core, inode);
  const isItself = place.name === "";
  const path = isItself ? `/proc/self/fd/${place.fd}` : place.name;
  const flags = O.RDONLY | O.NONBLOCK | (isItself ? 0 : O.NOFOLLOW);
  const fd = must("open", inode.path, openName(place.fd, path, flags));
  try {
    const result = control(fd, request, data);
    // Nobody asked for it, but its ctime is another one.
    if (what === "set" && result >= 0) core.onCopyUp(nodeid);
    return result;
  } finally {
    closeFd(fd);
  }
}
