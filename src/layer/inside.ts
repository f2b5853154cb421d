import { O, RESOLVE } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import {
  type Attr,
  changeMode,
  changeModeAt,
  changeOwnerAt,
  findAt,
  isRegularFile,
  makeDirectoryAt,
  openAt,
  readAll,
  readLinkAt,
  renameAt,
  setTimes,
  statAt,
  symlinkAt,
  unlinkAt,
  writeAll,
} from "../kernel/file.ts";

/**
 * Writing into a root whose content is hostile: every path is resolved inside it (openat2(2), RESOLVE_IN_ROOT),
 * and a link that stands at the end is replaced, never written through.
 */

/** Opens the directory that holds `path`; with "make", missing directories are made on the way (mode 0755). */
export function openParent(root: Fd, path: string, missing: "make" | "fail" = "fail"): Fd {
  const parts = path.split("/").filter((part) => part !== "");
  parts.pop();
  if (missing === "fail") return openPath(root, parts);
  return unless(["ENOENT"], () => openPath(root, parts)) ?? makePath(root, parts, 0);
}

function openPath(root: Fd, parts: readonly string[]): Fd {
  return openAt(root, `/${parts.join("/")}`, O.RDONLY | O.DIRECTORY, { resolve: RESOLVE.IN_ROOT });
}

/** As many links may lead nowhere as the kernel follows. */
const mostLinks = 40;

function makePath(root: Fd, parts: readonly string[], links: number): Fd {
  for (const [depth, part] of parts.entries()) {
    using parent = openPath(root, parts.slice(0, depth));
    unless(["EEXIST"], () => makePlainDirectory(parent, part));
    const next = unless(["ENOENT"], () => openPath(root, parts.slice(0, depth + 1)));
    next?.close();
    if (next !== undefined) continue;
    // A link that leads nowhere: what it names is made, as the kernel resolves it inside the root.
    if (links >= mostLinks) break;
    const target = readLinkAt(parent, part).toString("utf8");
    const before = target.startsWith("/") ? [] : parts.slice(0, depth);
    const rest = [...before, ...target.split("/").filter((name) => name !== ""), ...parts.slice(depth + 1)];
    return makePath(root, rest, links + 1);
  }
  return openPath(root, parts);
}

/** A directory that everybody may read, whatever the caller's umask. */
function makePlainDirectory(parent: Fd, name: string): void {
  makeDirectoryAt(parent, name, 0o755);
  changeModeAt(parent, name, 0o755);
}

/**
 * The content of a regular file inside, or undefined where there is none. Links are followed inside the root. What isn't
 * a regular file isn't opened: with a device that alone may do something.
 */
export function readInside(root: Fd, path: string): Buffer | undefined {
  const found = unless(["ENOENT", "ENOTDIR", "ELOOP"], () => openAt(root, path, O.PATH, { resolve: RESOLVE.IN_ROOT }));
  if (found === undefined) return undefined;
  using place = found;
  return readRegular(place);
}

function readRegular(place: Fd): Buffer | undefined {
  const attr = statAt(place);
  if (!isRegularFile(attr)) return undefined;
  using file = openAt(null, place.procPath, O.RDONLY);
  return readAll(file, attr.size);
}

type FileAttributes = Pick<Attr, "mode" | "uid" | "gid" | "mtimeNs">;

/**
 * Puts a file at `path` with this content, mode, owner and modification time: written beside it and renamed,
 * so that no reader sees half of it and nothing below is copied up. A file that is already equal stays.
 */
export function copyInto(root: Fd, path: string, content: Uint8Array, attr: FileAttributes): void {
  using parent = openParent(root, path, "make");
  copyIntoDirectory(parent, path.slice(path.lastIndexOf("/") + 1), content, attr);
}

/** As copyInto(), below a directory that is open already. */
export function copyIntoDirectory(parent: Fd, name: string, content: Uint8Array, attr: FileAttributes): void {
  const old = findAt(parent, name);
  if (old !== undefined && isEqual(parent, name, old, content, attr)) return;
  const temporary = `.${name}.fallthru-new`;
  try {
    {
      using file = makeNewFile(parent, temporary);
      writeAll(file, content);
      changeOwnerAt(file, "", attr.uid, attr.gid);
      changeMode(file, attr.mode);
      setTimes(file, attr.mtimeNs);
    }
    renameAt(parent, temporary, parent, name);
  } catch (error) {
    unless(["ENOENT"], () => unlinkAt(parent, temporary));
    throw error;
  }
}

/** Puts a symbolic link at `path`, in the place of whatever file or link is there. */
export function linkInto(root: Fd, path: string, target: string): void {
  using parent = openParent(root, path, "make");
  const name = path.slice(path.lastIndexOf("/") + 1);
  const temporary = `.${name}.fallthru-new`;
  unless(["ENOENT"], () => unlinkAt(parent, temporary));
  symlinkAt(target, parent, temporary);
  renameAt(parent, temporary, parent, name);
}

/** A file of this name and a killed process's is replaced; the directory's own content is left alone otherwise. */
function makeNewFile(parent: Fd, name: string): Fd {
  const make = () => openAt(parent, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, { mode: 0o600 });
  const made = unless(["EEXIST"], make);
  if (made !== undefined) return made;
  unlinkAt(parent, name);
  return make();
}

function isEqual(parent: Fd, name: string, old: Attr, content: Uint8Array, attr: FileAttributes): boolean {
  if (!isRegularFile(old) || old.size !== content.length || old.uid !== attr.uid || old.gid !== attr.gid) return false;
  if ((old.mode & 0o7777) !== (attr.mode & 0o7777)) return false;
  using place = openAt(parent, name, O.PATH | O.NOFOLLOW);
  return readRegular(place)?.equals(content) === true;
}
