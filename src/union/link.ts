import { E } from "../kernel/abi/errno.ts";
import { closeFd, fail, linkFd, linkName, must, type Name } from "../kernel/at.ts";
import { copyUp } from "./copyup.ts";
import { type Core, locate, place, writable } from "./core.ts";
import { checkNewName, dropWhiteoutBeside, replaceWhiteout } from "./create.ts";
import type { Inode } from "./inode.ts";
import { markImpure, markNested } from "./marks.ts";
import { redirectFile } from "./rename.ts";

/** A further name for a file. @throws {KernelError} EPERM for directories, EEXIST, EMLINK */
export function link(core: Core, inode: Inode, parent: Inode, name: Name): void {
  const upper = writable(core);
  if (inode.isDirectory) fail("link", inode.path, -E.PERM);
  checkNewName(core, upper, parent, name);
  // Of any of its names: one that isn't in the upper is where its content is, one that is new has brought the mark.
  const known = inode.links.find((link) => link.isUpper) ?? inode.links[0];
  copyUp(core, inode, { content: known === undefined ? "copy" : "leave" });
  copyUp(core, parent, { content: "leave" });
  if (inode.isMetacopy && known !== undefined) redirectFile(core, upper, known);
  if (inode.hasOrigin) markImpure(core, upper, parent);
  if (inode.isNestedWhiteout) markNested(upper, parent);
  const directory = parent.upperDir;
  if (directory === undefined) return fail("link", name, -E.STALE);
  locate(core, inode);
  const made = linkPlace(directory.fd, name);
  if (made === -E.EXIST) {
    const temporary = upper.work.temporaryName();
    locate(core, inode);
    must("link", name, linkPlace(upper.work.fd, temporary));
    try {
      replaceWhiteout(upper.work.fd, temporary, directory, name, false);
    } finally {
      upper.work.discard(temporary);
    }
  } else {
    must("link", name, made);
    dropWhiteoutBeside(upper, directory.fd, name, inode.type);
  }
  parent.version++;
  core.changeTimes.forget(inode.ino);
  inode.addLink(parent, name, true);
  revive(core, inode);
}

function linkPlace(dirfd: number, name: Name): number {
  return place.name === "" ? linkFd(place.fd, dirfd, name) : linkName(place.fd, place.name, dirfd, name);
}

/** A file that had no name any more, or none yet, has one. */
function revive(core: Core, inode: Inode): void {
  if (inode.pin < 0) return;
  closeFd(inode.pin);
  inode.pin = -1;
  inode.isDead = false;
  core.table.show(inode);
}
