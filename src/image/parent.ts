import { O, RESOLVE } from "../kernel/abi/file.ts";
import { isErrno, unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { changeModeAt, makeDirectoryAt, openAt } from "../kernel/file.ts";

/**
 * Paths inside the new root while it is unpacked. They are byte strings (one character a byte), without `.` and
 * empty components, and "" is the root itself.
 *
 * A component may be a link that the archive made (`lib -> usr/lib`): the kernel follows it as long as it stays
 * below the root, and refuses an absolute one and one that climbs out (RESOLVE_BENEATH).
 */
export type InnerPath = string;

/** Why a path can't be unpacked; it continues the path's name. */
export class PathProblem extends Error {}

/** A name as it stands in an archive, as a path inside. @throws {PathProblem} when it is absolute or climbs */
export function parseInnerPath(name: Buffer): InnerPath {
  const text = name.toString("latin1");
  if (text.startsWith("/")) throw new PathProblem("would land outside the chroot: its name is absolute");
  const parts = text.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw new PathProblem("would land outside the chroot: its name climbs with ..");
  return parts.join("/");
}

export function pathBytes(path: InnerPath): Buffer {
  return Buffer.from(path, "latin1");
}

export function splitPath(path: InnerPath): { readonly parent: InnerPath; readonly base: Buffer } {
  const slash = path.lastIndexOf("/");
  return { parent: path.slice(0, Math.max(0, slash)), base: pathBytes(path.slice(slash + 1)) };
}

/** Opens the directories that entries go into, and keeps the last one: entries of one directory stand together. */
export class Parents implements Disposable {
  readonly #root: Fd;
  #kept: { path: InnerPath | undefined; readonly dir: Fd } | undefined;

  constructor(root: Fd) {
    this.#root = root;
  }

  /** The directory at `path`; it stays open until the next call. Missing ones are made: the superuser's, mode 0755. */
  open(path: InnerPath): Fd {
    if (path === "") return this.#root;
    if (this.#kept?.path === path) return this.#kept.dir;
    const dir = this.#openOrMake(path);
    this.#kept?.dir.close();
    this.#kept = { path, dir };
    return dir;
  }

  /** To be called when a name has come to mean something else: the next open() looks again. */
  invalidate(): void {
    if (this.#kept !== undefined) this.#kept.path = undefined;
  }

  [Symbol.dispose](): void {
    this.#kept?.dir.close();
    this.#kept = undefined;
  }

  #openOrMake(path: InnerPath): Fd {
    const whole = unless(["ENOENT"], () => openInside(this.#root, path));
    if (whole !== undefined) return whole;
    for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1))
      this.#makeIfMissing(path.slice(0, end));
    this.#makeIfMissing(path);
    return openInside(this.#root, path);
  }

  #makeIfMissing(path: InnerPath): void {
    const there = unless(["ENOENT"], () => openInside(this.#root, path));
    there?.close();
    if (there !== undefined) return;
    const { parent, base } = splitPath(path);
    using above = openInside(this.#root, parent);
    try {
      makeDirectoryAt(above, base, 0o755);
    } catch (error) {
      // A name that is there and can't be opened: a dangling link.
      if (!isErrno(error, "EEXIST")) throw error;
      throw new PathProblem("lies below a link that leads nowhere");
    }
    changeModeAt(above, base, 0o755); // whatever the umask is
  }
}

/** @throws {PathProblem} when a link on the way leads out of the root, in a circle, or to no directory */
export function openInside(root: Fd, path: InnerPath, flags: number = O.PATH): Fd {
  try {
    return openAt(root, path === "" ? "." : pathBytes(path), flags | O.DIRECTORY, {
      resolve: RESOLVE.BENEATH | RESOLVE.NO_MAGICLINKS,
    });
  } catch (error) {
    if (isErrno(error, "EXDEV")) throw new PathProblem("would land outside the chroot: a link on its way leads there");
    if (isErrno(error, "ELOOP")) throw new PathProblem("lies below a link that leads in a circle");
    if (isErrno(error, "ENOTDIR")) throw new PathProblem("lies below what is no directory");
    throw error;
  }
}
