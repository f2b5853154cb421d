import { chmodSync, fchmodSync } from "node:fs";
import { O, RESOLVE, S } from "../../kernel/abi/file.ts";
import { bytesOf, linkFd, must, type Name } from "../../kernel/at.ts";
import { isErrno, KernelError, unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import {
  type Attr,
  changeModeAt,
  isRegularFile,
  linkAt,
  makeDirectoryAt,
  openAt,
  readLinkAt,
  renameAt,
  setTimesAt,
  statAt,
  symlinkAt,
  sync,
  unlinkAt,
} from "../../kernel/file.ts";
import { readAt } from "../../kernel/io.ts";
import { copyContent } from "../../layer/copydata.ts";
import { randomHex } from "../id.ts";

/** What became of the files that were to be saved. */
export interface SaveReport {
  readonly saved: number;
  /** There was one of that name that isn't the one which the session began with: it stays, and this is beside it. */
  readonly beside: readonly { readonly path: Name; readonly as: Name }[];
  readonly failed: readonly Failed[];
  /** There is no room for the rest, whose number this is. */
  readonly full: { readonly reason: string; readonly left: number } | undefined;
}

/** A file that wasn't saved. */
interface Failed {
  readonly path: Name;
  readonly reason: string;
  /** It isn't the person's to have, or no file any more: trying again would be of no use. */
  readonly isRefused: boolean;
}

const refusals = ["EACCES", "EPERM", "ELOOP", "EXDEV", "ENOENT", "ENOTDIR", "EOPNOTSUPP"] as const;

/**
 * Copies files of a home in a session to the real one, or to a directory in it. It is for a process of the person's: no right that
 * they haven't is used, and no link is followed on either side. What is there already is lost only where it is what the session
 * began with.
 * @param inside the home in the session
 * @param paths below it, as bytes
 * @param sinceNs what was changed in the real home from then on isn't replaced
 */
export function saveFiles(inside: Fd, home: Fd, paths: readonly Name[], sinceNs: bigint): SaveReport {
  const beside: { path: Name; as: Name }[] = [];
  const failed: Failed[] = [];
  let saved = 0;
  for (const [index, path] of paths.entries()) {
    try {
      const as = saveFile({ inside, home, sinceNs }, path);
      if (as !== path) beside.push({ path, as });
      saved++;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      if (isErrno(error, "ENOSPC", "EDQUOT")) {
        return { saved, beside, failed, full: { reason: error.message, left: paths.length - index } };
      }
      failed.push({ path, reason: error.message, isRefused: isErrno(error, ...refusals) });
    }
  }
  return { saved, beside, failed, full: undefined };
}

interface Places {
  readonly inside: Fd;
  readonly home: Fd;
  readonly sinceNs: bigint;
}

/** Nothing but what is really below, by no link. */
const plainly = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS;

/** @returns the path that it has in the real home */
function saveFile(places: Places, path: Name): Name {
  const slash = path.lastIndexOf("/");
  const [above, name] = [path.slice(0, Math.max(slash, 0)), path.slice(slash + 1)];
  using parent = openParent(places, above);
  using source = openAt(places.inside, bytesOf(path), O.PATH | O.NOFOLLOW, { resolve: plainly });
  const attr = statAt(source);
  const target = { parent, name, sinceNs: places.sinceNs };
  const as = (attr.mode & S.IFMT) === S.IFLNK ? saveLink(source, target) : saveContent(source, attr, target);
  return above === "" ? as : `${above}/${as}`;
}

/**
 * A directory below the real home, of the person's alone where it isn't there yet. None of its names may be a link.
 * @throws {KernelError} ENOTDIR, ELOOP: one of them is something else
 */
export function openBelow(home: Fd, [first, ...rest]: readonly string[]): Fd {
  if (first === undefined) return openAt(home, ".", O.RDONLY | O.DIRECTORY);
  unless(["EEXIST"], () => {
    makeDirectoryAt(home, first, 0o700);
  });
  using below = openAt(home, first, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  return openBelow(below, rest);
}

/** The directory in the real home; those that it lacks are made, as they are in the session. */
function openParent({ inside, home }: Places, path: Name): Fd {
  const open = (part: Name): Fd =>
    openAt(home, part === "" ? "." : bytesOf(part), O.RDONLY | O.DIRECTORY, { resolve: plainly });
  const whole = unless(["ENOENT"], () => open(path));
  if (whole !== undefined) return whole;
  const parts = path.split("/");
  for (const depth of parts.keys()) {
    const part = parts.slice(0, depth + 1).join("/");
    using source = openAt(inside, bytesOf(part), O.PATH | O.DIRECTORY, { resolve: plainly });
    using above = open(parts.slice(0, depth).join("/"));
    const name = bytesOf(parts[depth] ?? "");
    const { mode } = statAt(source);
    unless(["EEXIST"], () => {
      makeDirectoryAt(above, name, 0o700);
      changeModeAt(above, name, mode & 0o777);
    });
  }
  return open(path);
}

interface Target {
  readonly parent: Fd;
  readonly name: Name;
  readonly sinceNs: bigint;
}

function saveLink(source: Fd, { parent, name }: Target): Name {
  const text = readLinkAt(source, "");
  const there = unless(["ENOENT"], () => statAt(parent, bytesOf(name)));
  const isSame =
    there !== undefined && (there.mode & S.IFMT) === S.IFLNK && readLinkAt(parent, bytesOf(name)).equals(text);
  if (isSame) return name;
  return untilFree(name, (as) => {
    symlinkAt(text, parent, bytesOf(as));
  });
}

function saveContent(source: Fd, attr: Attr, target: Target): Name {
  const { parent, name, sinceNs } = target;
  if (!isRegularFile(attr)) throw new KernelError({ syscall: "save", path: source.path, errno: "EOPNOTSUPP" });
  using file = openReadable(source, attr);
  const there = unless(["ENOENT"], () => statAt(parent, bytesOf(name)));
  if (there !== undefined && isRegularFile(there) && isEqual(file, attr, parent, name)) return name;
  using draft = Draft.make(parent);
  copyContent(file.number, draft.file.number, attr.size, attr.size);
  // Set-user-ID bits were for whoever it belonged to inside.
  fchmodSync(draft.file.number, attr.mode & 0o777);
  sync(draft.file);
  const isOld = there !== undefined && isRegularFile(there) && there.ctimeNs < sinceNs;
  if (isOld) {
    draft.replace(name, attr.mtimeNs);
    return name;
  }
  return untilFree(name, (as) => draft.link(as, attr.mtimeNs));
}

/** What somebody has denied themself is theirs all the same. */
function openReadable(source: Fd, { uid, mode }: Attr): Fd {
  const open = (): Fd => openAt(null, source.procPath, O.RDONLY);
  try {
    return open();
  } catch (error) {
    if (!isErrno(error, "EACCES") || uid !== process.geteuid?.()) throw error;
    chmodSync(source.procPath, (mode & 0o7777) | 0o400);
    return open();
  }
}

/** More than these are in the way of nobody. */
const mostBeside = 100;

/** @param make throws EEXIST where the name is taken */
function untilFree(name: Name, make: (as: Name) => void): Name {
  for (let number = 0; ; number++) {
    const as = number === 0 ? name : `${name}.saved-${number}`;
    try {
      make(as);
      return as;
    } catch (error) {
      if (!isErrno(error, "EEXIST") || number >= mostBeside) throw error;
    }
  }
}

/** A file without a name until it is whole, so that nothing is left of one whose writer is killed. */
class Draft implements Disposable {
  readonly file: Fd;
  readonly #parent: Fd;
  /** Of file systems that can't make one without. */
  readonly #name: Buffer | undefined;

  private constructor(parent: Fd, file: Fd, name: Buffer | undefined) {
    this.#parent = parent;
    this.file = file;
    this.#name = name;
  }

  static make(parent: Fd): Draft {
    try {
      return new Draft(parent, openAt(parent, ".", O.TMPFILE | O.RDWR, { mode: 0o600 }), undefined);
    } catch (error) {
      if (!isErrno(error, "EOPNOTSUPP", "EISDIR")) throw error;
      const name = Buffer.from(`.fallthru-${randomHex()}`);
      return new Draft(parent, openAt(parent, name, O.RDWR | O.CREAT | O.EXCL, { mode: 0o600 }), name);
    }
  }

  /** @throws {KernelError} EEXIST */
  link(name: Name, mtimeNs: bigint): void {
    if (this.#name !== undefined) linkAt(this.#parent, this.#name, this.#parent, bytesOf(name));
    else must("link", name, linkFd(this.file.number, this.#parent.number, name));
    setTimesAt(this.#parent, bytesOf(name), mtimeNs, mtimeNs);
  }

  replace(name: Name, mtimeNs: bigint): void {
    const beside = `.fallthru-${randomHex()}`;
    this.link(beside, mtimeNs);
    try {
      renameAt(this.#parent, beside, this.#parent, bytesOf(name));
    } catch (error) {
      unlinkAt(this.#parent, beside);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.file.close();
    if (this.#name !== undefined) unlinkAt(this.#parent, this.#name);
  }
}

function isEqual(file: Fd, attr: Attr, parent: Fd, name: Name): boolean {
  const opened = unless(["EACCES", "ELOOP", "ENOENT"], () =>
    openAt(parent, bytesOf(name), O.RDONLY | O.NOFOLLOW | O.NONBLOCK),
  );
  if (opened === undefined) return false;
  using other = opened;
  if (statAt(other).size !== attr.size) return false;
  const [one, two] = [Buffer.allocUnsafe(1 << 18), Buffer.allocUnsafe(1 << 18)];
  for (let at = 0; at < attr.size;) {
    const count = readAt(file.number, one, at);
    if (count <= 0 || readAt(other.number, two.subarray(0, count), at) !== count) return false;
    if (!one.subarray(0, count).equals(two.subarray(0, count))) return false;
    at += count;
  }
  return true;
}
