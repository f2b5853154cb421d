import { E } from "../kernel/abi/errno.ts";
import { O, S } from "../kernel/abi/file.ts";
import { closeFd, fail, type KnownTime, must, openName, stat, statFd, unlinkName } from "../kernel/at.ts";
import { readAt, writeAt } from "../kernel/io.ts";
import type { Core } from "./core.ts";
import { seeTimes } from "./keeptimes.ts";
import { CHANGING, type Ledger, type Shown, UNSEEN } from "./known.ts";

/** At the end, for the next mount. */
export function saveTimes({ upper, accessTimes, changeTimes }: Core): void {
  if (upper === undefined) return;
  seeTimes();
  accessTimes.save(upper.work.base.fd);
  changeTimes.save(upper.work.base.fd);
}

/** How many are remembered; of those that were set first the layers count again. */
const MOST = 65_536;
const FIELDS = 7;
const file = "change-times";

/**
 * Copying up is no change that anybody has asked for, but the copy's ctime is new, and so is that of the directory it lies
 * in. What they were is shown until something does change them: which their own times tell, and who changes what leaves
 * mtime alone says so itself, since some file systems' clocks stand still for milliseconds. By st_ino, and between two
 * mounts in a file of the work directory.
 */
export class ChangeTimes {
  readonly #shown = new Map<number, Shown>();
  readonly #ledger: Ledger | undefined;
  #isChanged = false;

  constructor(ledger?: Ledger) {
    this.#ledger = ledger;
  }

  /** The ctime of an inode whose file `stat` describes, where it isn't that file's. */
  of(ino: number): KnownTime | undefined {
    const shown = this.#shown.size === 0 ? undefined : this.#shown.get(ino);
    if (shown === undefined) return undefined;
    if (shown.ctimeNsec < 0) {
      shown.ctime = stat.ctime;
      shown.ctimeNsec = stat.ctimeNsec;
      this.#ledger?.changeTime(ino, shown);
    }
    const isSame =
      shown.ctimeNsec === stat.ctimeNsec &&
      shown.mtimeNsec === stat.mtimeNsec &&
      shown.ctime === stat.ctime &&
      shown.mtime === stat.mtime;
    if (isSame) return shown;
    this.forget(ino);
    return undefined;
  }

  /** From now on `stat` describes its file, which nobody has changed since its ctime was this. */
  keep(ino: number, { seconds, nsec }: KnownTime): void {
    const { ctime, ctimeNsec, mtime, mtimeNsec } = stat;
    this.#keep(ino, { seconds, nsec, ctime, ctimeNsec, mtime, mtimeNsec });
  }

  /** As keep(), of a file whose mtime was set just now; which ctime that has given it is seen when it is looked at next. */
  keepUnseen(ino: number, ctime: KnownTime, mtime: KnownTime): void {
    this.#keep(ino, unseen(ctime, mtime, UNSEEN));
  }

  /** As keepUnseen(), of one that is about to get another mtime: killed before that is put back, the next server does so. */
  keepChanging(ino: number, ctime: KnownTime, mtime: KnownTime): void {
    this.#keep(ino, unseen(ctime, mtime, CHANGING));
  }

  /** Whether a ctime is kept, as far as is known. */
  has(ino: number): boolean {
    return this.#shown.has(ino);
  }

  #keep(ino: number, shown: Shown): void {
    this.#shown.delete(ino);
    this.#set(ino, shown);
    this.#isChanged = true;
    if (this.#shown.size <= MOST) return;
    const [oldest] = this.#shown.keys();
    if (oldest !== undefined) this.forget(oldest);
  }

  #set(ino: number, shown: Shown): void {
    this.#shown.set(ino, shown);
    this.#ledger?.changeTime(ino, shown);
  }

  forget(ino: number): void {
    if (this.#shown.size === 0 || !this.#shown.delete(ino)) return;
    this.#isChanged = true;
    this.#ledger?.changeTime(ino, undefined);
  }

  /** Takes over what the last mount has left in the work directory. */
  load(workfd: number): void {
    const fd = openName(workfd, file, O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
    if (fd === -E.NOENT || fd === -E.LOOP) return;
    must("open", file, fd);
    must("stat", file, statFd(fd));
    const isSound = stat.type === S.IFREG && stat.size % (FIELDS * 8) === 0 && stat.size <= MOST * FIELDS * 8;
    const fields = new Float64Array(isSound ? stat.size / 8 : 0);
    readAt(fd, new Uint8Array(fields.buffer), 0);
    closeFd(fd);
    for (let at = 0; at < fields.length; at += FIELDS) {
      const [ino = 0, seconds = 0, nsec = 0, ctime = 0, ctimeNsec = 0, mtime = 0, mtimeNsec = 0] = fields.subarray(at);
      if (Number.isSafeInteger(seconds) && nsec >= 0 && nsec < 1e9)
        this.#set(ino, { seconds, nsec, ctime, ctimeNsec, mtime, mtimeNsec });
    }
  }

  /** Takes over what the server before has told. */
  restore(known: ReadonlyMap<number, Shown>): void {
    for (const [ino, shown] of known) this.#shown.set(ino, shown);
    this.#isChanged = true;
  }

  save(workfd: number): void {
    if (!this.#isChanged) return;
    const removed = unlinkName(workfd, file);
    if (removed !== 0 && removed !== -E.NOENT) fail("unlink", file, removed);
    if (this.#shown.size === 0) return;
    const fields: number[] = [];
    for (const [ino, { seconds, nsec, ctime, ctimeNsec, mtime, mtimeNsec }] of this.#shown)
      if (ctimeNsec >= 0) fields.push(ino, seconds, nsec, ctime, ctimeNsec, mtime, mtimeNsec);
    const fd = must("create", file, openName(workfd, file, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600));
    // On a full disk they are lost: the layers' own count again.
    writeAt(fd, new Uint8Array(Float64Array.from(fields).buffer), 0);
    closeFd(fd);
  }
}

function unseen({ seconds, nsec }: KnownTime, mtime: KnownTime, ctimeNsec: number): Shown {
  return { seconds, nsec, ctime: 0, ctimeNsec, mtime: mtime.seconds, mtimeNsec: mtime.nsec };
}
