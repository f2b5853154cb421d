import { O, RESOLVE } from "../kernel/abi/file.ts";
import { bytesOf, closeFd, type Name, openPath } from "../kernel/at.ts";
import { errnoName, KernelError } from "../kernel/error.ts";
import { Fd, under } from "../kernel/fd.ts";

/** Never through a link, never out of the tree, never into another mount. */
const resolve = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV | RESOLVE.NO_MAGICLINKS;

/** The kernel takes 4,095 bytes at a time; trees may be deeper. */
const most = 4000;

/**
 * Opens what is at a path of a tree that others may be changing; "" is its top.
 * @throws {KernelError} ENOENT, ENOTDIR; ELOOP, EXDEV: it would lead through a link, or elsewhere
 */
export function openStrictly(root: Fd, path: Name, flags: number): Fd {
  const fd = openStrictlyFd(root.number, path, flags);
  const bytes = bytesOf(path);
  if (fd < 0) throw new KernelError({ syscall: "open", path: under(root, bytes), errno: errnoName(-fd) });
  return new Fd(fd, bytes, root);
}

/** As openStrictly(), without an object for it. @returns a descriptor, which the caller closes, or −errno */
export function openStrictlyFd(root: number, path: Name, flags: number): number {
  if (path.length <= most) return openPath(root, path === "" ? "." : path, flags, resolve);
  const end = path.lastIndexOf("/", most);
  const above = openPath(root, path.slice(0, end), O.PATH | O.DIRECTORY | O.NOFOLLOW, resolve);
  if (above < 0) return above;
  try {
    return openStrictlyFd(above, path.slice(end + 1), flags);
  } finally {
    closeFd(above);
  }
}
