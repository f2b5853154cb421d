import { S, O, RESOLVE } from "../../kernel/abi/file.ts";
import { bytesOf, type Name, nameOf } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import {
  type Attr,
  isDirectory,
  isRegularFile,
  openAt,
  openDirectory,
  readAll,
  readDirectory,
  statAt,
} from "../../kernel/file.ts";
import { diffSession, quotePath, type ShownChange } from "../changes/diff.ts";
import { mountPointOf } from "../paths.ts";
import { largestSkeletonFile } from "../skeleton.ts";

/** A person's home directory in a session that is about to go. */
export interface PassingHome {
  readonly id: string;
  /** An absolute path, the same in the session and on the machine. */
  readonly path: string;
  /** What it is in the session: docs/login.md. */
  readonly kind: "real" | "copy" | "tmpfs";
  /** By whoever ends the session. */
  readonly isLocked?: boolean;
}

/** What programs write down of their use: nobody wants to be asked about it after each login, or to have it kept. */
const histories = /(?:^|\/)(?:\.\w+_history|\.lesshst|\.viminfo|\.xsession-errors(?:\.old)?)$/;

/** @param path a path's bytes, or text */
export function isHistory(path: string): boolean {
  return histories.test(path);
}

/** The files and links that would be lost with it, below it, as bytes: what can be saved. */
export function passingFiles(home: PassingHome): Name[] {
  switch (home.kind) {
    case "real":
      return [];
    case "copy":
      return changedFiles(home);
    case "tmpfs":
      return madeFiles(home).map(({ path }) => path);
  }
}

function changedFiles({ id, path: home, isLocked = false }: PassingHome): Name[] {
  const prefix = `${nameOf(Buffer.from(home))}/`;
  return diffSession(id, { paths: [home], isLocked }, ({ changes, briefly }) =>
    changes.flatMap(({ after }, index) => {
      const path = briefly[index]?.paths.at(-1);
      const isFile = after?.type === "file" || after?.type === "link";
      return isFile && path?.startsWith(prefix) === true ? [path.slice(prefix.length)] : [];
    }),
  );
}

/** What is in a home in memory, which no diff(1) of ours knows of: as changes. */
export function madeChanges(home: PassingHome): ShownChange[] {
  if (home.kind !== "tmpfs") return [];
  const at = nameOf(Buffer.from(home.path));
  return madeFiles(home).map(({ path, attr }) => {
    const { mode, uid, gid, size, mtimeNs } = attr;
    const type = isRegularFile(attr) ? "file" : "link";
    const after = { type, mode: (mode & 0o7777).toString(8).padStart(4, "0"), uid, gid, sizeBytes: size, mtimeNs };
    return { change: "added", path: quotePath(`${at}/${path}`), after };
  });
}

interface Made {
  readonly path: Name;
  readonly attr: Attr;
}

/** All that the person has made there: not what a new home has from the skeleton. */
function madeFiles({ id, path }: PassingHome): Made[] {
  using root = openDirectory(mountPointOf(id));
  const open = (name: string): Fd | undefined =>
    unless(["ENOENT", "ENOTDIR"], () => openDirectory(name, root, RESOLVE.IN_ROOT));
  using skeleton = open("/etc/skel");
  using home = open(path);
  return home === undefined ? [] : walk(home, "", skeleton, 0);
}

/** As deep as a walk goes that somebody may have laid a trap for. */
const deepest = 200;

function walk(dir: Fd, path: Name, skeleton: Fd | undefined, depth: number): Made[] {
  if (depth > deepest) return [];
  const names = [...readDirectory(dir)].map(({ name }) => name).toSorted((a, b) => a.compare(b));
  return names.flatMap((name) => {
    const attr = unless(["ENOENT"], () => statAt(dir, name));
    if (attr === undefined) return [];
    const below = path === "" ? nameOf(name) : `${path}/${nameOf(name)}`;
    if (isDirectory(attr)) {
      const next = unless(["ENOENT", "ENOTDIR", "ELOOP"], () => openAt(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW));
      if (next === undefined) return [];
      using inside = next;
      return walk(inside, below, skeleton, depth + 1);
    }
    if ((attr.mode & S.IFMT) === S.IFLNK) return [{ path: below, attr }];
    return isRegularFile(attr) && !isOfSkeleton(dir, name, attr, skeleton, below) ? [{ path: below, attr }] : [];
  });
}

function isOfSkeleton(dir: Fd, name: Buffer, attr: Attr, skeleton: Fd | undefined, path: Name): boolean {
  if (skeleton === undefined || attr.size > largestSkeletonFile) return false;
  const other = readRegular(skeleton, bytesOf(path), attr.size);
  return other !== undefined && readRegular(dir, name, attr.size)?.equals(other) === true;
}

/** Of a regular file of this size; a device that stands in its place isn't opened. */
function readRegular(dir: Fd, path: Buffer, size: number): Buffer | undefined {
  const missing = ["ENOENT", "ENOTDIR", "ELOOP", "EXDEV"];
  const resolve = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS;
  const found = unless(missing, () => openAt(dir, path, O.PATH | O.NOFOLLOW, { resolve }));
  if (found === undefined) return undefined;
  using place = found;
  const attr = statAt(place);
  if (!isRegularFile(attr) || attr.size !== size) return undefined;
  using file = openAt(null, place.procPath, O.RDONLY);
  return readAll(file, size);
}
