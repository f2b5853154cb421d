import { E } from "../kernel/abi/errno.ts";
import { O, S } from "../kernel/abi/file.ts";
import { closeFd, fail, must, openName, stat, statFd, unlinkName, utimesName } from "../kernel/at.ts";
import { readAt, writeAt } from "../kernel/io.ts";
import { type Core, locate, place, statPlace } from "./core.ts";
import type { Inode } from "./inode.ts";
import type { Ledger } from "./known.ts";

/** When reading sets the access time, as mount(8) names it. */
export type AtimePolicy = "relatime" | "strictatime" | "noatime";

/** How many are remembered; those that were set first are what their layers say again. */
const MOST = 65_536;
const DAY_US = 86_400_000_000;
const file = "access-times";

/**
 * Access times of what isn't read in the upper: lowers stay as they are, and a directory's would cost a change of its
 * ctime. They are kept by st_ino, and between two mounts in a file of the work directory. Files of the upper have theirs
 * from its file system.
 */
export class AccessTimes {
  readonly #policy: AtimePolicy;
  /** Microseconds since 1970. */
  readonly #times = new Map<number, number>();
  readonly #ledger: Ledger | undefined;
  #isChanged = false;

  constructor(policy: AtimePolicy, ledger?: Ledger) {
    this.#policy = policy;
    this.#ledger = ledger;
  }

  /** undefined: what the layer says */
  of(ino: number): number | undefined {
    return this.#times.size === 0 ? undefined : this.#times.get(ino);
  }

  forget(ino: number): void {
    if (this.#times.size === 0 || !this.#times.delete(ino)) return;
    this.#isChanged = true;
    this.#ledger?.accessTime(ino, 0);
  }

  /** It has been read. With relatime, as always: only what is older than a change, or a day old, is set. */
  read(core: Core, inode: Inode): void {
    if (this.#policy === "noatime" || core.upper === undefined) return;
    const now = Date.now() * 1000;
    if (this.#policy === "relatime") {
      const own = this.of(inode.ino);
      // What lies below doesn't change.
      if (own !== undefined && !inode.isDirectory && !inode.hasUpper && now - own < DAY_US) return;
      locate(core, inode);
      if (statPlace() < 0) return;
      const atime = Math.max(own ?? 0, stat.atime * 1e6 + stat.atimeNsec / 1000);
      const ctime = core.changeTimes.of(inode.ino) ?? { seconds: stat.ctime, nsec: stat.ctimeNsec };
      const changed = Math.max(stat.mtime * 1e6 + stat.mtimeNsec / 1000, ctime.seconds * 1e6 + ctime.nsec / 1000);
      if (atime > changed && now - atime < DAY_US) return;
    }
    this.#times.delete(inode.ino);
    this.#set(inode.ino, now);
    this.#isChanged = true;
    if (this.#times.size <= MOST) return;
    const [oldest] = this.#times.keys();
    if (oldest !== undefined) this.forget(oldest);
  }

  #set(ino: number, time: number): void {
    this.#times.set(ino, time);
    this.#ledger?.accessTime(ino, time);
  }

  /** A file has become one of the upper, which keeps it from now on. */
  handOver(core: Core, inode: Inode): void {
    const time = this.of(inode.ino);
    if (time === undefined || inode.isDirectory) return;
    this.forget(inode.ino);
    locate(core, inode);
    const atime = { seconds: Math.floor(time / 1e6), nsec: (time % 1e6) * 1000 };
    must("utimes", inode.path, utimesName(place.fd, place.name, atime, "keep"));
  }

  /** Takes over what the last mount has left in the work directory. */
  load(workfd: number): void {
    const fd = openName(workfd, file, O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
    if (fd === -E.NOENT || fd === -E.LOOP) return;
    must("open", file, fd);
    must("stat", file, statFd(fd));
    const isSound = stat.type === S.IFREG && stat.size % 16 === 0 && stat.size <= MOST * 16;
    const pairs = new Float64Array(isSound ? stat.size / 8 : 0);
    readAt(fd, new Uint8Array(pairs.buffer), 0);
    closeFd(fd);
    for (let at = 0; at + 1 < pairs.length; at += 2) {
      const [ino = 0, time = 0] = [pairs[at], pairs[at + 1]];
      if (Number.isSafeInteger(ino) && Number.isSafeInteger(time) && time > 0) this.#set(ino, time);
    }
  }

  /** Takes over what the server before has told. */
  restore(known: ReadonlyMap<number, number>): void {
    for (const [ino, time] of known) this.#times.set(ino, time);
    this.#isChanged = true;
  }

  save(workfd: number): void {
    if (!this.#isChanged) return;
    const removed = unlinkName(workfd, file);
    if (removed !== 0 && removed !== -E.NOENT) fail("unlink", file, removed);
    if (this.#times.size === 0) return;
    const fd = must("create", file, openName(workfd, file, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600));
    // On a full disk they are lost: the layers' own count again.
    writeAt(fd, new Uint8Array(Float64Array.from([...this.#times].flat()).buffer), 0);
    closeFd(fd);
  }
}
