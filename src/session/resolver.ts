import { realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { O } from "../kernel/abi/file.ts";
import { isErrno, unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { makeDirectoryAt, openAt, openDirectory, readAll, renameAt, writeAll } from "../kernel/file.ts";
import { Watcher } from "../kernel/inotify.ts";
import { randomHex } from "./id.ts";

/**
 * Where sessions find out how names are looked up by now: a directory with nothing but a copy of the machine's /etc/resolv.conf in it.
 * That file itself is replaced when the network changes, so showing it shows an old one soon; and its directory has much that is
 * nobody's business in a session.
 */
export const resolverDir = "/run/fallthrud/resolver";
export const resolverName = "resolv.conf";

const source = "/etc/resolv.conf";
/** Longer ones aren't any. */
const most = 1 << 20;

/** Makes the copy what the machine's file is now. @returns whether there is one */
export function copyResolver(): boolean {
  try {
    const path = realpathSync(source);
    if (!statSync(path).isFile() || statSync(path).size > most) return false;
    using from = openAt(null, path, O.RDONLY | O.NONBLOCK);
    writeCopy(readAll(from));
    return true;
  } catch (error) {
    // There is none, its link leads nowhere, or there is no room: sessions have what they have.
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EACCES", "EIO", "ESTALE", "ENOSPC", "EDQUOT", "EROFS"))
      return false;
    throw error;
  }
}

/** By a rename: nobody reads half of one. */
function writeCopy(text: Buffer): void {
  for (const path of [dirname(resolverDir), resolverDir])
    unless(["EEXIST"], () => makeDirectoryAt(null, path, 0o755) ?? true);
  using directory = openDirectory(resolverDir);
  if (readCopy(directory)?.equals(text) === true) return;
  const draft = `.${randomHex()}`;
  {
    using file = openAt(directory, draft, O.WRONLY | O.CREAT | O.EXCL, { mode: 0o644 });
    writeAll(file, text);
  }
  renameAt(directory, draft, directory, resolverName);
}

function readCopy(directory: Fd): Buffer | undefined {
  const opened = unless(["ENOENT"], () => openAt(directory, resolverName, O.RDONLY | O.NOFOLLOW));
  if (opened === undefined) return undefined;
  using file = opened;
  return readAll(file);
}

/** Keeps the copy as the machine's file is, where the kernel has watchers left: else each login does by itself. */
export function followResolver(): ResolverFollower[] {
  const follower = unless(["EMFILE", "ENFILE", "ENOMEM", "ENOSYS"], () => new ResolverFollower());
  return follower === undefined ? [] : [follower];
}

/** For who watches `file`. */
class ResolverFollower {
  readonly #watcher = new Watcher();

  constructor() {
    this.follow();
  }

  get file(): Fd {
    return this.#watcher.file;
  }

  /** To be called when `file` is readable. Whatever it was: what is new is watched, and what is there now copied. */
  follow(): void {
    this.#watcher.drain();
    // Links may lead anywhere, and the file itself may be a mount, which its directory tells nothing of.
    const path = unless(["ENOENT", "ENOTDIR", "ELOOP", "EACCES"], () => realpathSync(source));
    for (const each of [dirname(source), ...(path === undefined ? [] : [dirname(path), path])])
      this.#watcher.watch(each);
    copyResolver();
  }
}
