import { S } from "../kernel/abi/file.ts";
import type { Name } from "../kernel/at.ts";
import type { LayerDirectory } from "../layer/directory.ts";
import type { Core } from "./core.ts";
import type { Inode } from "./inode.ts";

/** Where an operation will look in a lower that may keep it waiting: a name below an open directory, or that itself (""). */
export interface RemotePlace {
  /** For the current operation only. */
  readonly dirfd: number;
  readonly name: Name;
  readonly isFile: boolean;
}

/** Whether any lower may keep its reader waiting: the others are answered at once. */
export function hasRemote(core: Core): boolean {
  return core.lowers.some(({ isRemote }) => isRemote);
}

/**
 * What an operation on an inode, or on a name of a directory, will ask such lowers first; nothing where it needs none.
 * It says nothing of what is asked beyond that: how a directory's entries are read, how content is copied up.
 */
export function remotePlaces(core: Core, nodeid: number, name: Name | undefined): readonly RemotePlace[] {
  const inode = core.table.get(nodeid);
  if (inode === undefined) return none;
  const known = name === undefined ? inode : inode.children?.get(name)?.inode;
  if (known !== undefined) return placesOf(known);
  const directories = inode.lowerDirs.filter(({ layer }) => layer.isRemote);
  return directories.map((directory) => place(directory, name ?? "", false));
}

const none: readonly RemotePlace[] = [];

function placesOf(inode: Inode): readonly RemotePlace[] {
  if (inode.isDirectory) {
    return inode.lowerDirs.filter(({ layer }) => layer.isRemote).map((directory) => place(directory, "", false));
  }
  const [directory, name] =
    inode.dataDir === undefined ? [inode.lowerDir, inode.lowerName] : [inode.dataDir, inode.dataName];
  if (directory?.layer.isRemote !== true || (inode.hasUpper && !inode.isMetacopy)) return none;
  return [place(directory, name, inode.type === S.IFREG)];
}

function place(directory: LayerDirectory, name: Name, isFile: boolean): RemotePlace {
  return { dirfd: directory.fd, name, isFile };
}
