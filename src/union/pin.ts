import { O, S } from "../kernel/abi/file.ts";
import { closeFd, openName } from "../kernel/at.ts";
import type { Core } from "./core.ts";
import type { Pin } from "./known.ts";

/** Calls with a descriptor of a file that has no name any more, valid for that long; not of others. */
export function withPin(core: Core, nodeid: number, use: (pin: Pin) => void): void {
  const inode = core.table.get(nodeid);
  // What has its content elsewhere can't be found again by one descriptor.
  if (inode === undefined || inode.links.length > 0 || inode.isMetacopy || inode.type !== S.IFREG) return;
  if (inode.pin >= 0) {
    use({ fd: inode.pin, isLower: !inode.hasUpper });
    return;
  }
  const directory = inode.hasUpper ? undefined : inode.lowerDir;
  const fd = directory === undefined ? -1 : openName(directory.fd, inode.lowerName, O.PATH | O.NOFOLLOW);
  if (fd < 0) return;
  use({ fd, isLower: true });
  closeFd(fd);
}
