import { UserError } from "../error.ts";
import { FS_APPEND_FL, FS_IMMUTABLE_FL, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, O, RESOLVE } from "../kernel/abi/file.ts";
import { isErrno, unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import {
  type DirectoryEntry,
  findAt,
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
import { type Path, pathText } from "../kernel/libc.ts";

/** Never through a link, never up, never into another mount: what a walk that deletes may open. */
const inside = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV | RESOLVE.NO_MAGICLINKS;

/** Each level holds a descriptor; what is deeper is moved to the top, and has its turn when these are closed. */
const deepest = 200;

/** So often a directory is emptied again into which others put something meanwhile. */
const patience = 100;

/** The directory that a walk began with, and what was moved up to it. */
interface Walk {
  readonly top: Fd;
  readonly risen: string[];
}

/**
 * Deletes `name` below `dir` with all that is in it. Links are deleted, never followed; a mount below is an
 * error before anything in it is touched; immutable and append-only marks are taken off.
 * What is already gone is no error: two may delete at once.
 * @throws {UserError} busy: something is mounted there
 */
export function removeTree(dir: Fd, name: Path): void {
  const attr = findAt(dir, name);
  if (attr === undefined) return;
  if (!isDirectory(attr)) removeFile(dir, name);
  else emptyAndRemove(dir, name, (top) => removeTop({ top, risen: [] }));
}

function removeTop(walk: Walk): void {
  removeContents(walk.top, walk, 0);
  for (let name = walk.risen.pop(); name !== undefined; name = walk.risen.pop())
    removeSubdirectory(walk.top, name, walk, 0);
}

function removeContents(open: Fd, walk: Walk, depth: number): void {
  // Names are gathered first: some file systems skip entries when a directory shrinks while it is read.
  const entries = [...readDirectory(open)];
  for (const entry of entries) {
    if (!isDirectoryEntry(open, entry)) removeFile(open, entry.name);
    else if (depth < deepest) removeSubdirectory(open, entry.name, walk, depth);
    else riseToTop(open, entry, walk);
  }
}

function removeSubdirectory(dir: Fd, name: Path, walk: Walk, depth: number): void {
  emptyAndRemove(dir, name, (open) => removeContents(open, walk, depth + 1));
}

/** Where others rename and add meanwhile, what was a directory may be something else, and what was emptied not empty. */
function emptyAndRemove(dir: Fd, name: Path, empty: (open: Fd) => void): void {
  for (let tries = 1; ; tries++) {
    try {
      {
        using open = openInside(dir, name);
        empty(open);
      }
      withoutMarks(dir, name, () => removeDirectoryAt(dir, name));
      return;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return;
      if (tries > patience || !isErrno(error, "ENOTDIR", "ELOOP", "ENOTEMPTY", "EEXIST"))
        throw explainMount(error, dir, name);
      if (isErrno(error, "ENOTDIR", "ELOOP")) return removeFile(dir, name);
    }
  }
}

function openInside(dir: Fd, name: Path): Fd {
  return openAt(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW, { resolve: inside });
}

function removeFile(dir: Fd, name: Path): void {
  try {
    withoutMarks(dir, name, () => unlinkAt(dir, name));
  } catch (error) {
    if (isErrno(error, "EISDIR")) removeTree(dir, name);
    else if (!isErrno(error, "ENOENT")) throw explainMount(error, dir, name);
  }
}

/** Whatever has the name there already keeps it: it may be anybody's, and is deleted in its turn. */
function riseToTop(open: Fd, entry: DirectoryEntry, { top, risen }: Walk): void {
  for (let number = 0; ; number++) {
    const name = `.risen-${entry.ino}-${number}`;
    try {
      withoutMarks(top, ".", () => withoutMarks(open, entry.name, () => renameAt(open, entry.name, top, name)));
      risen.push(name);
      return;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return;
      if (!isErrno(error, "ENOTEMPTY", "EEXIST", "ENOTDIR")) throw explainMount(error, open, entry.name);
    }
  }
}

function isDirectoryEntry(dir: Fd, entry: DirectoryEntry): boolean {
  if (entry.type !== 0) return entry.type === 4;
  const attr = unless(["ENOENT"], () => statAt(dir, entry.name));
  return attr !== undefined && isDirectory(attr);
}

function explainMount(error: unknown, dir: Fd, name: Path): unknown {
  if (!isErrno(error, "EXDEV", "EBUSY")) return error;
  const path = `${dir.path}/${pathText(name)}`;
  return new UserError("busy", `something is mounted on ${path}, which is to be deleted`, {
    hint: `unmount it first: umount ${path}`,
    cause: error,
  });
}

/** EPERM: the name or its directory is immutable or append-only (chattr(1)). */
function withoutMarks(dir: Fd, name: Path, call: () => void): void {
  try {
    call();
  } catch (error) {
    if (!isErrno(error, "EPERM")) throw error;
    clearMarks(dir, ".");
    clearMarks(dir, name);
    call();
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
