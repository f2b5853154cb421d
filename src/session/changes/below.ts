import { E } from "../../kernel/abi/errno.ts";
import { O, S } from "../../kernel/abi/file.ts";
import { closeFd, fail, type Name, stat, statName, takeAttr } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { type Attr, isDirectory, statAt } from "../../kernel/file.ts";
import { listOpened, SEEK, seek } from "../../kernel/io.ts";
import { openDirectoryName } from "../../layer/directory.ts";
import { openStrictly } from "../../layer/strict.ts";

/** Attributes of what is there; undefined: nothing, or what is left of something that a union has deleted. */
export function attrBelow(dirfd: number, name: Name): Attr | undefined {
  const result = statName(dirfd, name);
  if (result === -E.NOENT || result === -E.NAMETOOLONG) return undefined;
  if (result < 0) return fail("stat", name, result);
  return stat.isWhiteoutDevice ? undefined : takeAttr();
}

/** What is at a path below a tree's root. */
export function attrAt(root: Fd, path: Name): Attr | undefined {
  const found = openInside(root, path, O.PATH | O.NOFOLLOW);
  if (found === undefined) return undefined;
  using place = found;
  return statAt(place);
}

export function kindAt(root: Fd, path: Name): "directory" | "other" | undefined {
  const attr = attrAt(root, path);
  if (attr === undefined) return undefined;
  if (isDirectory(attr)) return "directory";
  const isWhiteout = (attr.mode & S.IFMT) === S.IFCHR && attr.rdev.major === 0 && attr.rdev.minor === 0;
  return isWhiteout ? undefined : "other";
}

/** undefined where it isn't there */
export function openDirectoryAt(root: Fd, path: Name): Fd | undefined {
  return openInside(root, path, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
}

/** As openEntry(), by a path. */
export function openFileAt(root: Fd, path: Name): number {
  const flags = O.RDONLY | O.NOFOLLOW | O.NONBLOCK;
  const open = (more: number): Fd => openStrictly(root, path, flags | more);
  return (unless(["EPERM"], () => open(O.NOATIME)) ?? open(0)).number;
}

function openInside(root: Fd, path: Name, flags: number): Fd | undefined {
  return unless(["ENOENT", "ENOTDIR", "ELOOP"], () => openStrictly(root, path, flags));
}

/** The names in an open directory, sorted as bytes. */
export function namesIn(fd: number, path: Name): Name[] {
  const start = seek(fd, 0, SEEK.SET);
  return start < 0 ? fail("seek", path, start) : namesInOpened(fd, path);
}

/** As namesIn(), from where it was read to: of one that has just been opened all. */
export function namesInOpened(fd: number, path: Name): Name[] {
  const names: Name[] = [];
  const result = listOpened(fd, (name) => {
    if (name !== "." && name !== "..") names.push(name);
  });
  if (result < 0) fail("readdir", path, result);
  // As bytes: each character is one.
  return names.toSorted();
}

/** Runs `use` with a directory that is open for it; where it has just gone it isn't run. */
export function withDirectory(dirfd: number, name: Name, use: (fd: number) => void): void {
  const fd = openDirectoryName(dirfd, name);
  if (fd === -E.NOENT || fd === -E.NOTDIR || fd === -E.LOOP) return;
  if (fd < 0) fail("open", name, fd);
  try {
    use(fd);
  } finally {
    closeFd(fd);
  }
}
