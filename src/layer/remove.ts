import { FS_APPEND_FL, FS_IMMUTABLE_FL, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, O, RESOLVE } from "../kernel/abi/file.ts";
import { isErrno, unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import {
  type DirectoryEntry,
  ioctl,
  isDirectory,
  isRegularFile,
  openAt,
  readDirectory,
  removeDirectoryAt,
  renameAt,
  statAt,
  unlinkAt,
} from "../kernel/file.ts";
import type { Path } from "../kernel/libc.ts";

/** Never through a link, never up, never into another mount: what a walk that deletes may open. */
const inside = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV | RESOLVE.NO_MAGICLINKS;

/** Each level holds a descriptor; deeper trees are moved to the top and go on from there. */
const deepest = 200;

/**
 * Deletes `name` below `dir` with all that is in it. Links are deleted, never followed; a mount below is an
 * error (EXDEV) before anything in it is touched; immutable and append-only marks are taken off.
 * What is already gone is no error: two may delete at once.
 */
export function removeTree(dir: Fd, name: Path): void {
  const attr = unless(["ENOENT"], () => statAt(dir, name));
  if (attr === undefined) return;
  if (!isDirectory(attr)) {
    removeName(dir, name, unlinkAt);
    return;
  }
  {
    using top = openInside(dir, name);
    removeContents(top, top, 0);
  }
  removeName(dir, name, removeDirectoryAt);
}

function openInside(dir: Fd, name: Path): Fd {
  return openAt(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW, { resolve: inside });
}

function removeContents(open: Fd, top: Fd, depth: number): void {
  // Names are gathered first: some file systems skip entries when a directory shrinks while it is read.
  const entries = [...readDirectory(open)];
  for (const entry of entries) {
    if (!isDirectoryEntry(open, entry)) {
      removeName(open, entry.name, unlinkAt);
    } else if (depth >= deepest) {
      const risen = `.risen-${entry.ino}`;
      renameAt(open, entry.name, top, risen);
      removeTree(top, risen);
    } else {
      removeSubdirectory(open, entry.name, top, depth);
    }
  }
}

function removeSubdirectory(dir: Fd, name: Path, top: Fd, depth: number): void {
  const open = unless(["ENOENT"], () => openInside(dir, name));
  if (open === undefined) return;
  {
    using subdirectory = open;
    removeContents(subdirectory, top, depth + 1);
  }
  removeName(dir, name, removeDirectoryAt);
}

function isDirectoryEntry(dir: Fd, entry: DirectoryEntry): boolean {
  if (entry.type !== 0) return entry.type === 4;
  const attr = unless(["ENOENT"], () => statAt(dir, entry.name));
  return attr !== undefined && isDirectory(attr);
}

function removeName(dir: Fd, name: Path, remove: (dir: Fd, name: Path) => void): void {
  try {
    remove(dir, name);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return;
    if (!isErrno(error, "EPERM")) throw error;
    // EPERM: the name or its directory is immutable or append-only (chattr(1)).
    clearMarks(dir, ".");
    clearMarks(dir, name);
    remove(dir, name);
  }
}

function clearMarks(dir: Fd, name: Path): void {
  const attr = unless(["ENOENT"], () => statAt(dir, name));
  // Only these carry marks; opening anything else could have effects of its own.
  if (attr === undefined || !(isDirectory(attr) || isRegularFile(attr))) return;
  using file = openAt(dir, name, O.RDONLY | O.NOFOLLOW | O.NONBLOCK, { resolve: inside });
  const flags = Buffer.alloc(8);
  unless(["ENOTTY", "EOPNOTSUPP"], () => {
    ioctl(file, FS_IOC_GETFLAGS, flags, "read the marks of");
    flags.writeInt32LE(flags.readInt32LE(0) & ~(FS_IMMUTABLE_FL | FS_APPEND_FL), 0);
    ioctl(file, FS_IOC_SETFLAGS, flags, "clear the marks of");
  });
}
