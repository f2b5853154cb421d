import { E } from "../kernel/abi/errno.ts";
import { DT } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import { fail } from "../kernel/at.ts";
import type { Core } from "./core.ts";
import type { Inode } from "./inode.ts";
import { knownInode, lookUp } from "./lookup.ts";
import { list } from "./readdir.ts";

/** Others wait meanwhile. */
const LONGEST_SEARCH_MS = 2000;

/**
 * An inode by its number, though the kernel has forgotten it: what a file handle names. Remembering all that ever was
 * would cost memory for each file; handles are rare, so the tree is looked through for the one that has this number.
 * @throws {KernelError} ESTALE: there is none, or it isn't found in time
 */
export function inodeById(core: Core, nodeid: number): Inode {
  const known = knownInode(core, nodeid);
  if (known !== undefined) return known.isDead ? fail("use handle", "", -E.STALE) : known;
  const end = performance.now() + LONGEST_SEARCH_MS;
  const waiting: Inode[] = [core.rootInode];
  let found: Inode | undefined;
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    found ??= performance.now() < end ? searchIn(core, at, nodeid, waiting) : undefined;
    if (at !== found) core.table.release(at);
  }
  return found ?? fail("use handle", "", -E.STALE);
}

/** Puts the directory's own directories into `waiting`. */
function searchIn(core: Core, directory: Inode, nodeid: number, waiting: Inode[]): Inode | undefined {
  core.cache.epoch++;
  // What a layer spoils isn't what is looked for.
  const listing = unless(["EIO", "EACCES", "ESTALE", "ENOENT"], () => list(core, directory));
  if (listing === undefined) return undefined;
  for (const [index, name] of listing.names.entries()) {
    const isIt = listing.inos[index] === nodeid;
    if (index < 2 || (!isIt && listing.types[index] !== DT.DIR)) continue;
    const inode = unless(["EIO", "EACCES", "ELOOP", "ESTALE"], () => lookUp(core, directory, name))?.inode;
    if (inode === undefined) continue;
    if (inode.nodeid === nodeid) return inode;
    if (inode.isDirectory) waiting.push(inode);
    else core.table.release(inode);
  }
  return undefined;
}
