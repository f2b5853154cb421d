import { handleOf } from "../kernel/handle.ts";
import { type Core, locate, place, statIno, statPlace } from "./core.ts";
import type { Inode } from "./inode.ts";

/**
 * Tells an inode from those that had its nodeid before: Linux puts it into file handles (name_to_handle_at(2)), and refuses, ESTALE, one
 * whose nodeid has another by now. It may never change while the kernel knows the inode, nor by copy-up, a kill or a remount. So only
 * an inode with the upper's own number has one, the upper's file system giving such numbers away again: made of that file system's handle. What has a lower's
 * number has none, that being taken for good; nor has what is on a file system without handles.
 */
export function generationOf(core: Core, inode: Inode): number {
  if (inode.generation < 0) inode.generation = isUppersNumber(core, inode) ? read(core, inode) : 0;
  return inode.generation;
}

/** The upper's number is not known of what a server before has kept open. */
function isUppersNumber(core: Core, inode: Inode): boolean {
  const { upper } = core;
  if (upper === undefined || inode === core.rootInode) return false;
  if (inode.upperIno !== 0) return inode.upperIno === inode.nodeid;
  if (inode.isDirectory ? inode.upperDir === undefined : !inode.hasUpper) return false;
  locate(core, inode);
  return statPlace() === 0 && statIno(core, upper.layer.fileSystem) === inode.nodeid;
}

function read(core: Core, inode: Inode): number {
  locate(core, inode);
  const handle = handleOf(place.fd, place.name);
  return typeof handle === "number" ? 0 : hash(handle.bytes);
}

/** FNV-1a. The kernel keeps 32 bits. */
function hash(bytes: Uint8Array): number {
  let sum = 0x811c9dc5;
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x01000193);
  return sum >>> 1;
}
