import { E } from "../kernel/abi/errno.ts";
import {
  FS_APPEND_FL,
  FS_IMMUTABLE_FL,
  FS_IOC_FSGETXATTR,
  FS_IOC_FSSETXATTR,
  FS_IOC_GETFLAGS,
  FS_IOC_GETVERSION,
  FS_IOC_SETFLAGS,
  FS_XFLAG_APPEND,
  FS_XFLAG_IMMUTABLE,
  O,
  S,
} from "../kernel/abi/file.ts";
import { closeFd, must, type Name, openName } from "../kernel/at.ts";
import { control } from "../kernel/io.ts";
import { copyUp } from "./copyup.ts";
import { type Core, locate, place, writable } from "./core.ts";
import { inodeOf } from "./lookup.ts";
import { protect, protectionOf } from "./protection.ts";

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
  const bits = bitsOf(request);
  if (what === "set") {
    copyUp(core, inode, { content: "copy", isUnprotected: bits !== undefined && lettersOf(data, bits) === "" });
    core.changeTimes.forget(inode.ino);
  }
  locate(core, inode);
  const isItself = place.name === "";
  const path = isItself ? `/proc/self/fd/${place.fd}` : place.name;
  const flags = O.RDONLY | O.NONBLOCK | (isItself ? 0 : O.NOFOLLOW);
  const fd = must("open", inode.path, openName(place.fd, path, flags));
  const asked = inode.isDirectory && core.upper?.marks !== undefined ? bits : undefined;
  const wanted = asked === undefined || what === "get" ? "" : takeProtection(data, asked);
  try {
    const result = control(fd, request, data);
    if (asked !== undefined && result >= 0) {
      if (what === "set") protect(writable(core), inode, fd, "", wanted);
      else addProtection(data, asked, protectionOf(inode));
    }
    // Nobody asked for it, but its ctime is another one.
    if (what === "set" && result >= 0) core.onCopyUp(nodeid);
    return result;
  } finally {
    closeFd(fd);
  }
}

/** Which bits of a command's first word say append-only and immutable. */
interface ProtectionBits {
  readonly append: number;
  readonly immutable: number;
}

function bitsOf(request: number): ProtectionBits | undefined {
  if (request === FS_IOC_GETFLAGS || request === FS_IOC_SETFLAGS)
    return { append: FS_APPEND_FL, immutable: FS_IMMUTABLE_FL };
  if (request === FS_IOC_FSGETXATTR || request === FS_IOC_FSSETXATTR)
    return { append: FS_XFLAG_APPEND, immutable: FS_XFLAG_IMMUTABLE };
  return undefined;
}

/** Takes out of what is to be set what a directory of the upper has as a mark: see protection.ts. */
function takeProtection(data: Buffer, bits: ProtectionBits): Name {
  const letters = lettersOf(data, bits);
  data.writeUInt32LE((data.readUInt32LE(0) & ~(bits.append | bits.immutable)) >>> 0, 0);
  return letters;
}

function lettersOf(data: Buffer, { append, immutable }: ProtectionBits): Name {
  const flags = data.readUInt32LE(0);
  return `${(flags & append) === 0 ? "" : "a"}${(flags & immutable) === 0 ? "" : "i"}`;
}

function addProtection(data: Buffer, { append, immutable }: ProtectionBits, protection: Name): void {
  const added = (protection.includes("a") ? append : 0) | (protection.includes("i") ? immutable : 0);
  data.writeUInt32LE((data.readUInt32LE(0) | added) >>> 0, 0);
}
