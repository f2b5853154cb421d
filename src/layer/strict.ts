import { O, RESOLVE } from "../kernel/abi/file.ts";
import { bytesOf, type Name } from "../kernel/at.ts";
import type { Fd } from "../kernel/fd.ts";
import { openAt } from "../kernel/file.ts";

/** Never through a link, never out of the tree, never into another mount. */
const resolve = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV | RESOLVE.NO_MAGICLINKS;

/** The kernel takes 4,095 bytes at a time; trees may be deeper. */
const most = 4000;

/**
 * Opens what is at a path of a tree that others may be changing; "" is its top.
 * @throws {KernelError} ENOENT, ENOTDIR; ELOOP, EXDEV: it would lead through a link, or elsewhere
 */
export function openStrictly(root: Fd, path: Name, flags: number): Fd {
  if (path.length <= most) return openAt(root, path === "" ? "." : bytesOf(path), flags, { resolve });
  const end = path.lastIndexOf("/", most);
  using above = openAt(root, bytesOf(path.slice(0, end)), O.PATH | O.DIRECTORY | O.NOFOLLOW, { resolve });
  return openStrictly(above, path.slice(end + 1), flags);
}
