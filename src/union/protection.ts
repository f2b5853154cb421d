import { E } from "../kernel/abi/errno.ts";
import { fail, must, type Name, statFd } from "../kernel/at.ts";
import { removeXattr, setXattrOf } from "../kernel/io.ts";
import { OverlayDialect, readMark } from "../layer/dialect/overlay.ts";
import { readProtection } from "../layer/protected.ts";
import type { Writable } from "./core.ts";
import type { Inode } from "./inode.ts";

/**
 * chattr(1)'s `i` and `a` of directories. A directory of the upper has them as a mark, overlayfs's `protattr`: were it
 * really immutable, nothing that lies in it could be copied up. What is asked for here the kernel asks for elsewhere
 * before it calls a file system.
 */
export function protectionOf(directory: Inode): Name {
  const [lower] = directory.lowerDirs;
  if (directory.upperDir !== undefined || lower === undefined) return directory.protection;
  // What may keep its reader waiting isn't asked, and has no such flags.
  if (lower.layer.isRemote) return "";
  const { dialect } = lower.layer;
  // One that was an upper once.
  const mark = dialect instanceof OverlayDialect ? readMark(lower.fd, "", dialect.marks.protection) : undefined;
  if (mark !== undefined) return mark.toString("latin1");
  must("stat", directory.path, statFd(lower.fd));
  return readProtection(lower.fd, "");
}

/** Before a name comes into a directory, or goes from it or becomes another file's. @throws {KernelError} EPERM */
export function checkEntries(directory: Inode, what: "add" | "remove"): void {
  const protection = protectionOf(directory);
  if (protection === "") return;
  if (what === "remove" || protection.includes("i")) fail("change directory", directory.path, -E.PERM);
}

/** Before a directory's own attributes are changed, or it is moved or removed; other files' layers see to it themselves. */
export function checkUnprotected(inode: Inode): void {
  if (inode.isDirectory && protectionOf(inode) !== "") fail("change", inode.path, -E.PERM);
}

/** Marks a directory of the upper. */
export function protect(upper: Writable, directory: Inode, fd: number, name: Name, protection: Name): void {
  if (upper.marks === undefined) return;
  const mark = upper.marks.protection;
  if (protection !== "") must("mark", name, setXattrOf(fd, name, mark, Buffer.from(protection)));
  else if (directory.protection !== "") must("mark", name, removeXattr(fd, name, mark));
  directory.protection = protection;
}
