import { E } from "../kernel/abi/errno.ts";
import { O, S } from "../kernel/abi/file.ts";
import { closeFd, fail, must, openName, stat, statFd } from "../kernel/at.ts";
import { OverlayDialect, readMarkOfFd } from "../layer/dialect/overlay.ts";
import { copyUp } from "./copyup.ts";
import { bad, contentOf, type Core, locate, place } from "./core.ts";
import { find } from "./find.ts";
import type { Inode } from "./inode.ts";

/** An open file: a descriptor of the layer's file. One that was opened below moves on to the upper's copy. */
export interface OpenFile {
  readonly inode: Inode;
  /** −1 until something is read: the kernel answers most readers of a lower's file from its cache. */
  fd: number;
  /** The descriptor is, or would be, of a lower's file. */
  isLower: boolean;
  readonly flags: number;
}

/**
 * What is taken from open(2)'s flags for the layer's file. O_APPEND is the kernel's, which gives each write's offset; so
 * is O_DIRECT: it keeps nothing in its cache then, and our buffers aren't aligned.
 */
export const passed: number = 3 | O.NONBLOCK | 0o4010000 | O.NOATIME; // O_ACCMODE, O_SYNC

/** O_DSYNC, which O_SYNC has too. */
export const SYNCED = 0o10000;
export const O_APPEND = 0o2000;

export function isForWriting(flags: number): boolean {
  return (flags & 3) !== O.RDONLY || (flags & O.TRUNC) !== 0;
}

/** Opens a file's content where it is; for writing, in the upper. */
export function openFile(core: Core, inode: Inode, flags: number): OpenFile {
  if (inode.isDirectory && isForWriting(flags)) fail("open", inode.path, -E.ISDIR);
  if (isForWriting(flags)) {
    const upTo = (flags & O.TRUNC) === 0 ? Infinity : 0;
    copyUp(core, inode, { content: "copy", upTo });
  }
  // Once it could be opened, it is opened again when it is read.
  if (inode.isReadable && isBelow(inode)) return { inode, fd: -1, isLower: true, flags };
  const { fd, isLower } = openContent(core, inode, flags & (passed | O.TRUNC | O_APPEND));
  return { inode, fd, isLower, flags };
}

/** Its content is in a lower; opening it for writing would have copied it up. */
function isBelow(inode: Inode): boolean {
  return inode.type === S.IFREG && (!inode.hasUpper || inode.isMetacopy);
}

/** What is opened of a file. */
interface OpenedContent {
  readonly fd: number;
  readonly isLower: boolean;
  /** It can only be appended to: chattr(1). */
  readonly isAppending: boolean;
}

/** Opens a file's content where it is now. */
export function openContent(core: Core, inode: Inode, flags: number): OpenedContent {
  const isLower = !inode.hasUpper || inode.isMetacopy;
  const content = isLower ? contentOf(inode) : undefined;
  if (content === undefined) locate(core, inode);
  else [place.fd, place.name] = [content.fd, content.name];
  const path = place.name === "" ? `/proc/self/fd/${place.fd}` : place.name;
  const links = place.name === "" ? 0 : O.NOFOLLOW;
  const own = isLower ? O.NOATIME : 0;
  const wanted = (flags & ~O_APPEND) | links;
  let fd = openName(place.fd, path, wanted | own);
  if (fd === -E.PERM && own !== 0) fd = openName(place.fd, path, wanted);
  const isAppending = fd === -E.PERM && (flags & O_APPEND) !== 0;
  if (isAppending) fd = openName(place.fd, path, wanted | O_APPEND);
  must("open", inode.path, fd);
  if (!isLower || content !== undefined || inode.isReadable || hasContent(inode, fd)) {
    inode.isReadable ||= isLower;
    return { fd, isLower, isAppending };
  }
  closeFd(fd);
  takeContentBelow(core, inode);
  return openContent(core, inode, flags);
}

/** Whether a lower file has its content, as its size has made it look; its mark would say that it doesn't. */
function hasContent(inode: Inode, fd: number): boolean {
  const dialect = inode.lowerDir?.layer.dialect;
  if (inode.type !== S.IFREG || !(dialect instanceof OverlayDialect)) return true;
  if (readMarkOfFd(fd, dialect.marks.metacopy) === undefined) return true;
  must("stat", inode.path, statFd(fd));
  return stat.size === 0;
}

function takeContentBelow(core: Core, inode: Inode): void {
  const link = inode.links[0];
  const found = link === undefined ? undefined : find(core, link.parent, link.name, "all");
  if (found?.dataDir === undefined) return bad(core, "attributes of a file whose content is nowhere", inode.path);
  inode.dataDir = found.dataDir;
  inode.dataBlocks = -1;
  inode.dataName = found.dataName;
  inode.isMetacopy = true;
}

/** After a copy-up, what was open below reads the copy. @returns the descriptor to use */
export function currentFd(core: Core, file: OpenFile): number {
  if (file.fd < 0 || (file.isLower && file.inode.hasUpper && !file.inode.isMetacopy)) {
    const { fd, isLower } = openContent(core, file.inode, file.flags & passed);
    if (file.fd >= 0) closeFd(file.fd);
    file.fd = fd;
    file.isLower = isLower;
  }
  return file.fd;
}
