import { O, RESOLVE } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import {
  type Attr,
  changeModeAt,
  changeOwnerAt,
  isDirectory,
  isRegularFile,
  makeDirectoryAt,
  openAt,
  openDirectory,
  readAll,
  readDirectory,
  statAt,
} from "../kernel/file.ts";
import { copyIntoDirectory } from "../layer/inside.ts";

/** More than this is no skeleton. */
export const largestSkeletonFile = 1 << 20;

/** Puts what a root has for new homes (/etc/skel: its files and directories) into a person's home in it. */
export function fillHome(rootPath: string, person: { uid: number; gid: number; home: string }): void {
  using root = openDirectory(rootPath);
  const open = (path: string): Fd | undefined =>
    unless(["ENOENT", "ENOTDIR"], () => openAt(root, path, O.RDONLY | O.DIRECTORY, { resolve: RESOLVE.IN_ROOT }));
  using skeleton = open("/etc/skel");
  using home = open(person.home);
  if (skeleton !== undefined && home !== undefined) copyTree(skeleton, home, person, 0);
}

function copyTree(from: Fd, to: Fd, owner: { uid: number; gid: number }, depth: number): void {
  for (const { name } of readDirectory(from)) {
    const attr = statAt(from, name);
    if (isRegularFile(attr) && attr.size <= largestSkeletonFile)
      copyFile(from, to, name, { ...attr, uid: owner.uid, gid: owner.gid });
    else if (isDirectory(attr) && depth < 8)
      copyDirectory(from, to, name, { ...attr, uid: owner.uid, gid: owner.gid }, depth);
  }
}

function copyFile(from: Fd, to: Fd, name: Buffer, attr: Attr): void {
  using file = openAt(from, name, O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
  copyIntoDirectory(to, name.toString("utf8"), readAll(file, attr.size), attr);
}

function copyDirectory(from: Fd, to: Fd, name: Buffer, attr: Attr, depth: number): void {
  unless(["EEXIST"], () => {
    makeDirectoryAt(to, name, 0o700);
  });
  const flags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW;
  using source = openAt(from, name, flags);
  using target = openAt(to, name, flags);
  copyTree(source, target, attr, depth + 1);
  changeOwnerAt(to, name, attr.uid, attr.gid);
  changeModeAt(to, name, attr.mode);
}
