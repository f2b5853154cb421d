import { O } from "../kernel/abi/file.ts";
import { isErrno, unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { linkAt, lock, openAt, statAt, tryLock, unlinkAt } from "../kernel/file.ts";
import { namesIn } from "../kernel/trusted.ts";
import { heldDir, heldFileOf } from "./paths.ts";
import { pause } from "./pause.ts";
import { recordFileOf, recordKind } from "./record.ts";

/**
 * The right to make, change and remove one session: a locked file below `.held`. The lock dies with the process, so
 * a file that nobody locks is what a killed process left, and whoever meets it clears the session away.
 */
export class Hold implements Disposable {
  readonly id: string;
  readonly #file: Fd;

  constructor(id: string, file: Fd) {
    this.id = id;
    this.#file = file;
  }

  /** The locked file: a program that inherits it holds the session too, until both have ended. */
  get file(): Fd {
    return this.#file;
  }

  /** Gives the session free: the file goes while the lock still stands, so that nobody takes it for a leftover. */
  release(): void {
    unless(["ENOENT"], () => unlinkAt(null, heldFileOf(this.id)));
    this.#file.close();
  }

  /** Lets others hold it too: see takeShared(). Linux makes one lock of the other without a moment in between. */
  share(): void {
    lock(this.#file, "shared");
  }

  /** The opposite, where nobody else is left; else this one holds it no more. @returns whether it is ours alone now */
  holdAlone(): boolean {
    // While another was gone the name may have become somebody else's.
    return tryLock(this.#file, "exclusive") && isStillThere(this.id, this.#file);
  }

  /** Without release(): what is there is left for others to clear. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/**
 * Takes hold of a session id; waits where another process is making or removing the session. An automatic one is not
 * waited for: it is held for as long as its command runs.
 * @returns undefined for an automatic one
 */
export function takeHold(id: string): Hold | undefined {
  for (;;) {
    const hold = tryHold(id);
    if (hold !== undefined) return hold;
    if (recordKind(id) === "automatic") return undefined;
    pause(2);
  }
}

/** Takes hold of a session id, or undefined where another process holds it. */
function tryHold(id: string): Hold | undefined {
  return claim(id, openMark(id));
}

/**
 * Holds a session together with others, who began it and share it; waits where somebody is making or removing it.
 * @returns undefined where there is none
 */
export function takeShared(id: string): Hold | undefined {
  for (;;) {
    const file = unless(["ENOENT"], () => openAt(null, heldFileOf(id), O.RDWR | O.NOFOLLOW));
    if (file === undefined) return undefined;
    lock(file, "shared");
    if (isStillThere(id, file)) return new Hold(id, file);
    file.close();
  }
}

function openMark(id: string): Fd {
  try {
    return openAt(null, heldFileOf(id), O.RDWR | O.CREAT | O.NOFOLLOW, { mode: 0o600 });
  } catch (error) {
    // On a disk without a free inode, the session that has them all must still be ended: its record lends its own.
    if (!isErrno(error, "ENOSPC", "EDQUOT") || recordKind(id) !== "named") throw error;
    unless(["EEXIST"], () => linkAt(null, recordFileOf(id, "named"), null, heldFileOf(id)));
    return openAt(null, heldFileOf(id), O.RDWR | O.NOFOLLOW);
  }
}

/** Takes hold of what a killed process left, or undefined where its holder lives or it is gone. */
export function takeLeftover(id: string): Hold | undefined {
  const file = unless(["ENOENT"], () => openAt(null, heldFileOf(id), O.RDWR | O.NOFOLLOW));
  return file === undefined ? undefined : claim(id, file);
}

function claim(id: string, file: Fd): Hold | undefined {
  if (tryLock(file, "exclusive") && isStillThere(id, file)) return new Hold(id, file);
  file.close();
  return undefined;
}

/** The ids that are held, by the living or the dead. */
export function heldIds(): string[] {
  try {
    return namesIn(heldDir);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** A lock may have been waited for on a file that its last holder removed. */
function isStillThere(id: string, file: Fd): boolean {
  const named = unless(["ENOENT"], () => statAt(null, heldFileOf(id)));
  return named !== undefined && named.ino === statAt(file).ino;
}
