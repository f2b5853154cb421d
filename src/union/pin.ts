import { O, S } from "../kernel/abi/file.ts";
import { closeFd, must, type Name, openName } from "../kernel/at.ts";
import { OverlayDialect, readMark } from "../layer/dialect/overlay.ts";
import type { LayerDirectory } from "../layer/directory.ts";
import type { Core } from "./core.ts";
import type { Inode } from "./inode.ts";
import { inodeOf } from "./lookup.ts";
import type { Pin } from "./known.ts";

/**
 * Calls with a descriptor of a file or directory that has no name any more, valid for that long; not of others.
 * @param mayBeOpen of a regular file; of all else nobody knows whether it is
 */
export function withPin(core: Core, nodeid: number, mayBeOpen: boolean, use: (pin: Pin) => void): void {
  const inode = core.table.get(nodeid);
  // What has its content elsewhere can't be found again by one descriptor.
  if (inode === undefined || inode.links.length > 0 || inode.isMetacopy) return;
  if (inode.type === S.IFREG && !mayBeOpen) return;
  if (inode.pin >= 0) {
    use({ fd: inode.pin, isLower: inode.isPinLower || (!inode.isDirectory && !inode.hasUpper) });
    return;
  }
  const fd = inode.isDirectory ? openLowerDirectory(inode) : openLowerFile(inode);
  if (fd < 0) return;
  use({ fd, isLower: true });
  closeFd(fd);
}

function openLowerDirectory({ lowerDirs: [directory] }: Inode): number {
  return directory === undefined ? -1 : openName(directory.fd, ".", O.PATH);
}

function openLowerFile({ hasUpper, lowerDir, lowerName, isReadable, type }: Inode): number {
  if (hasUpper || lowerDir === undefined) return -1;
  if (type === S.IFREG && !isReadable && isMetacopy(lowerDir, lowerName)) return -1;
  return openName(lowerDir.fd, lowerName, O.PATH | O.NOFOLLOW);
}

function isMetacopy({ fd, layer }: LayerDirectory, name: Name): boolean {
  return layer.dialect instanceof OverlayDialect && readMark(fd, name, layer.dialect.marks.metacopy) !== undefined;
}

/** A file of a lower, under one of its names in the union. */
export interface LowerFile {
  readonly ino: number;
  /** From the root. */
  readonly names: readonly Name[];
  /** All its names that are known, by the nodeid of their directory. */
  readonly links: readonly { readonly parent: number; readonly name: Name }[];
  /** An O_PATH descriptor, the caller's. */
  readonly fd: number;
}

/** What an inode is that lies in a lower alone and has a name; undefined for others. */
export function lowerFile(core: Core, nodeid: number): LowerFile | undefined {
  const { ino, links, hasUpper, isDirectory, lowerDir, lowerName } = inodeOf(core, nodeid);
  if (isDirectory || hasUpper || links.length === 0 || lowerDir === undefined) return undefined;
  const names: Name[] = [];
  for (let link = links[0]; link !== undefined; link = link.parent.links[0]) names.unshift(link.name);
  const fd = must("open", lowerName, openName(lowerDir.fd, lowerName, O.PATH | O.NOFOLLOW));
  return { ino, names, links: links.map(({ parent, name }) => ({ parent: parent.nodeid, name })), fd };
}

/** At the end. */
export function closePins(core: Core): void {
  for (const inode of core.table.all()) {
    if (inode.pin >= 0) closeFd(inode.pin);
    inode.pin = -1;
  }
}
