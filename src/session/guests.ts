import { O, RESOLVE } from "../kernel/abi/file.ts";
import { isErrno, unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import {
  type Attr,
  changeOwnerAt,
  isRegularFile,
  isSocket,
  lock,
  makeDirectoryAt,
  openAt,
  statAt,
} from "../kernel/file.ts";
import { attachMount, cloneMount, detachOpened, makePrivate } from "../kernel/mount.ts";
import { attachInto } from "../mount/attach.ts";
import { recordFileOf } from "./record.ts";

/** A socket or file of the host's that is shown in a session for as long as somebody is there. */
export interface Guest {
  readonly from: string;
  readonly at: string;
}

/** What may keep something from being shown that somebody else has named or made, inside or outside. */
const refusals = ["ENOENT", "ENOTDIR", "EACCES", "ELOOP", "EROFS", "ENOSPC", "EDQUOT", "EISDIR", "EEXIST"] as const;

function isTheirs(attr: Attr, uid: number): boolean {
  return attr.uid === uid && (isSocket(attr) || isRegularFile(attr));
}

/** A user's own directory, the same path in a session and on the machine. */
export interface OwnDirectory {
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Shows sockets in a user's own directory for as long as the session `id` lasts: what the host has there by now takes the place of
 * what was shown before. Whatever the user has made there is no way out of it.
 * @param root the session's
 */
export function showSockets(id: string, root: Fd, own: OwnDirectory, names: readonly string[]): void {
  // One login at a time: of two that show the same one would show it on top of the other's.
  using turn = openAt(null, recordFileOf(id, "automatic"), O.RDONLY | O.NOFOLLOW);
  lock(turn, "exclusive");
  for (const name of names) showSocket(root, own, name);
}

function showSocket(root: Fd, own: OwnDirectory, name: string): void {
  try {
    using place = openAt(null, `${own.path}/${name}`, O.PATH | O.NOFOLLOW);
    const attr = statAt(place);
    if (attr.uid !== own.uid || !isSocket(attr)) return;
    using directory = openAt(root, own.path, O.PATH | O.DIRECTORY, { resolve: RESOLVE.IN_ROOT });
    using mount = cloneMount(place, "");
    makePrivate(mount);
    {
      using target = openTarget(directory, name, own);
      const shown = statAt(target);
      if (isSame(shown, attr)) return;
      // Not on top of it: Linux mounts on nothing that was deleted, and deletes nothing that is mounted on, also outside.
      if (shown.isMountRoot && isSocket(shown)) detachOpened(target);
    }
    using target = openTarget(directory, name, own);
    attachMount(mount, target);
  } catch (error) {
    if (!isErrno(error, ...refusals, "EXDEV")) throw error;
  }
}

const within = { resolve: RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS } as const;

/** What is missing is made, and the user's. */
function openTarget(directory: Fd, name: string, { uid, gid }: OwnDirectory): Fd {
  const open = () => openAt(directory, name, O.PATH | O.NOFOLLOW, within);
  const found = unless(["ENOENT"], open);
  if (found !== undefined) return found;
  for (let slash = name.indexOf("/"); slash >= 0; slash = name.indexOf("/", slash + 1)) {
    const above = name.slice(0, slash);
    if (unless(["EEXIST"], () => makeDirectoryAt(directory, above, 0o700) ?? true) === undefined) continue;
    using made = openAt(directory, above, O.RDONLY | O.DIRECTORY | O.NOFOLLOW, within);
    changeOwnerAt(made, "", uid, gid);
  }
  openAt(directory, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, { mode: 0o600, ...within }).close();
  return open();
}

function isSame(one: Attr, other: Attr): boolean {
  return one.ino === other.ino && one.dev.major === other.dev.major && one.dev.minor === other.dev.minor;
}

/** What is shown goes with it. */
export class Guests implements Disposable {
  readonly #mounts: Fd[] = [];

  /**
   * Shows something in a session's tree, if it belongs to this user: whoever names it may be lying.
   * @returns whether it is there now
   */
  show(root: Fd, { from, at }: Guest, uid: number): boolean {
    try {
      using place = openAt(null, from, O.PATH | O.NOFOLLOW);
      if (!isTheirs(statAt(place), uid)) return false;
      const mount = cloneMount(place, "");
      this.#mounts.push(mount);
      makePrivate(mount);
      attachInto(root, mount, at);
      return true;
    } catch (error) {
      if (isErrno(error, ...refusals)) return false;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const mount of this.#mounts) {
      detachOpened(mount);
      mount.close();
    }
  }
}
