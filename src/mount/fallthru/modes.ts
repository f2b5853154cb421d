import type { Connection } from "../../fuse/connection.ts";
import type { Opened } from "../../fuse/wire/types.ts";
import { FOPEN } from "../../fuse/wire/protocol.ts";
import { O } from "../../kernel/abi/file.ts";
import { isErrno } from "../../kernel/error.ts";
import { O_APPEND } from "../../union/open.ts";
import type { Union } from "../../union/union.ts";
import type { KnownFile } from "./journal.ts";

const [S_ISUID, S_ISGID] = [0o4000, 0o2000];

/** How the opens of one inode that are there now reach its data. */
interface Opens {
  cached: number;
  through: number;
  /** Of those that pass through, such as can write through a mapping. */
  mapping: number;
  /** While `through` isn't 0: all of an inode's opens must name the same. */
  backingId: number;
}

/**
 * Decides for each open whether the kernel reads and writes the layer's file itself (passthrough) or asks us and keeps
 * pages of its own (cached). The kernel refuses a mixture, EIO, and one inode has one backing file (ARCHITECTURE.md,
 * fact 6), so:
 * - a file that lies in a lower and might still be copied up is cached. Whoever has it open or mapped goes on to see one
 *   file when it is: passthrough would show them the lower's data for ever.
 * - a file with a set-user-ID or set-group-ID bit is cached: the kernel leaves it to us to take that away from one that
 *   is written to, and doesn't tell us of writes that pass through.
 * - everything else, so all that was ever written and the whole of a read-only union, passes through, unless somebody
 *   has it open cached.
 * - of what is opened with O_APPEND only mappings pass through, and reads and writes are asked of us: Linux would open the layer's
 *   file with O_APPEND too, and go on appending when fcntl(2) or RWF_NOAPPEND have taken that away.
 * - so it is with O_DIRECT, which dd(1) takes away for its last block. Only what can't be read is asked of us, as that is: what databases
 *   and machines in files have open is for reading too, and the layer's file says what has to be aligned, also after fcntl(2).
 * What we remember may lag behind the kernel, which has closed a file before it tells us; then the mode that is there
 * goes on, which is never wrong.
 */
export class OpenModes {
  readonly #union: Union;
  readonly #connection: Connection;
  readonly #cacheFlag: number;
  readonly #opens = new Map<number, Opens>();
  /** Handles that pass through. */
  readonly #through = new Set<number>();
  /** Handles of those that count as `mapping`. */
  readonly #mapping = new Set<number>();
  #isAvailable: boolean | undefined;

  /**
   * @param cache "drop" where each reading is to be seen by us (strictatime): at least each open's first
   * @param files opened by the server before: the kernel goes on as it was told
   */
  constructor(
    union: Union,
    connection: Connection,
    cache: "keep" | "drop",
    files: ReadonlyMap<number, KnownFile> = new Map(),
  ) {
    this.#union = union;
    this.#connection = connection;
    this.#cacheFlag = cache === "keep" ? FOPEN.KEEP_CACHE : 0;
    for (const [handle, { nodeid, backingId, flags }] of files) {
      const opens = this.#opensOf(nodeid);
      if (backingId === 0) {
        opens.cached++;
        continue;
      }
      opens.backingId = backingId;
      this.#count(opens, handle, flags);
    }
  }

  /** @param handle the union's, just opened; @param flags open(2)'s; @param mode the file's, where it is known */
  open(nodeid: number, handle: number, flags: number, mode = -1): Opened {
    const opens = this.#opensOf(nodeid);
    if (opens.cached === 0 && this.#passThrough(opens, nodeid, handle, mode)) {
      this.#count(opens, handle, flags);
      const direct = isAsked(flags) ? FOPEN.DIRECT_IO : 0;
      return { fh: handle, flags: FOPEN.PASSTHROUGH | FOPEN.NOFLUSH | direct, backingId: opens.backingId };
    }
    opens.cached++;
    return { fh: handle, flags: this.#cacheFlag | FOPEN.NOFLUSH };
  }

  #count(opens: Opens, handle: number, flags: number): void {
    opens.through++;
    this.#through.add(handle);
    if ((flags & 3) !== O.RDWR) return;
    opens.mapping++;
    this.#mapping.add(handle);
  }

  /** What is written through a mapping passes the kernel's own inode by: it has to ask for the times. */
  isMapping(nodeid: number): boolean {
    return (this.#opens.get(nodeid)?.mapping ?? 0) > 0;
  }

  release(nodeid: number, handle: number): void {
    const opens = this.#opens.get(nodeid);
    if (opens === undefined) return;
    if (this.#mapping.delete(handle)) opens.mapping--;
    if (!this.#through.delete(handle)) opens.cached--;
    else if (--opens.through === 0) this.#connection.closeBacking(opens.backingId);
    if (opens.through === 0 && opens.cached === 0) this.#opens.delete(nodeid);
  }

  #opensOf(nodeid: number): Opens {
    let opens = this.#opens.get(nodeid);
    if (opens === undefined) {
      opens = { cached: 0, through: 0, mapping: 0, backingId: 0 };
      this.#opens.set(nodeid, opens);
    }
    return opens;
  }

  /** Whether the inode has a backing file, after trying to make it one. */
  #passThrough(opens: Opens, nodeid: number, handle: number, mode: number): boolean {
    if (opens.through > 0) return true;
    this.#isAvailable ??= this.#connection.terms?.features.includes("PASSTHROUGH") ?? false;
    if (!this.#isAvailable) return false;
    if (!this.#union.isReadOnly && (this.#union.isLower(handle) || this.#hasSetIds(nodeid, mode))) return false;
    try {
      opens.backingId = this.#connection.openBacking(this.#union.fdOf(handle));
      return true;
    } catch (error) {
      // EPERM: we aren't the machine's superuser; EOPNOTSUPP: a file system that can't do it; ELOOP: one that is
      // itself stacked on others. None of them changes for the next file of the upper's.
      if (!isErrno(error, "EPERM", "EOPNOTSUPP", "ELOOP", "EINVAL")) throw error;
      if (!this.#union.isReadOnly) this.#isAvailable = false;
      return false;
    }
  }

  #hasSetIds(nodeid: number, mode: number): boolean {
    return ((mode < 0 ? this.#union.getattr(nodeid).mode : mode) & (S_ISUID | S_ISGID)) !== 0;
  }
}

/** Reads and writes are asked of us, and only mappings pass through. */
function isAsked(flags: number): boolean {
  const access = flags & 3;
  return (flags & O.DIRECT) === 0 ? (flags & O_APPEND) !== 0 && access !== O.RDONLY : access === O.WRONLY;
}
