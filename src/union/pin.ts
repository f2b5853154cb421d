import { O, S } from "../kernel/abi/file.ts";
import { closeFd, must, type Name, openName, stat, statFd } from "../kernel/at.ts";
import { OverlayDialect, readMark } from "../layer/dialect/overlay.ts";
import type { LayerDirectory } from "../layer/directory.ts";
import { contentOf, type Core, statIno } from "./core.ts";
import { readNlinkExcess } from "./find.ts";
import type { Inode } from "./inode.ts";
import { inodeOf } from "./lookup.ts";
import type { Pin } from "./known.ts";
import { resolveOrigin } from "./origin.ts";

/**
 * Calls with a descriptor of a file or directory that has no name any more, valid for that long; not of others. Nobody knows
 * whether it is open: the kernel doesn't tell of O_PATH.
 */
export function withPin(core: Core, nodeid: number, use: (pin: Pin) => void): void {
  const inode = core.table.get(nodeid);
  if (inode === undefined || inode.links.length > 0) return;
  const content = inode.isMetacopy ? openContentOf(inode) : -1;
  if (inode.isMetacopy && content < 0) return;
  const { pin } = inode;
  const below = pin >= 0 ? -1 : inode.isDirectory ? openLowerDirectory(inode) : openLowerFile(inode);
  const isLower = pin < 0 || inode.isPinLower || (!inode.isDirectory && !inode.hasUpper);
  if (pin >= 0 || below >= 0) use({ fd: pin >= 0 ? pin : below, isLower, content });
  for (const fd of [content, below]) if (fd >= 0) closeFd(fd);
}

function openContentOf(inode: Inode): number {
  const content = contentOf(inode);
  if (content === undefined) return -1;
  const isItself = content.name === "";
  const path = isItself ? `/proc/self/fd/${content.fd}` : content.name;
  return openName(content.fd, path, O.PATH | (isItself ? 0 : O.NOFOLLOW));
}

function openLowerDirectory({ lowerDirs: [directory] }: Inode): number {
  return directory === undefined ? -1 : openName(directory.fd, ".", O.PATH);
}

function openLowerFile({ hasUpper, lowerDir, lowerName, isReadable, type, isMetacopy }: Inode): number {
  if (hasUpper || lowerDir === undefined) return -1;
  if (type === S.IFREG && !isReadable && !isMetacopy && isMarkedMetacopy(lowerDir, lowerName)) return -1;
  return openName(lowerDir.fd, lowerName, O.PATH | O.NOFOLLOW);
}

function isMarkedMetacopy({ fd, layer }: LayerDirectory, name: Name): boolean {
  return layer.dialect instanceof OverlayDialect && readMark(fd, name, layer.dialect.marks.metacopy) !== undefined;
}

/** What a server before has kept open, and what it left of it in the index, where that has other names. */
export function restorePins(core: Core): void {
  const { upper, table } = core;
  if (upper?.index === undefined || upper.marks === undefined) return;
  for (const inode of table.all()) {
    const entry = inode.pin >= 0 && inode.hasUpper ? upper.index.get(inode.ino) : undefined;
    if (entry === undefined) continue;
    must("stat", entry.name, statFd(inode.pin));
    const { nlink } = stat;
    const upperIno = statIno(core, upper.layer.fileSystem);
    const origin = resolveOrigin(core, Buffer.from(entry.name, "hex"));
    const excess = readNlinkExcess(inode.pin, "", upper.marks.nlink, nlink, origin?.nlink ?? 0);
    if (upperIno !== entry.upperIno || nlink + excess <= 0) continue;
    inode.upperIno = upperIno;
    inode.indexEntry = entry.name;
    inode.nlinkExcess = excess;
    inode.hasOriginMark = true;
    inode.isDead = false;
    table.show(inode);
  }
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
  for (const inode of core.table.all()) inode.closePins();
}
