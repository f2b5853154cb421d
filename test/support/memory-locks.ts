// Locks for MemoryFileSystem: who can't have one is answered when it is given back.
import type { Deferred } from "../../src/fuse/deferred.ts";
import type { Request } from "../../src/fuse/filesystem.ts";
import type { Lock, LockRequest, ReleaseRequest } from "../../src/fuse/wire/types.ts";
import { MemoryFileSystem } from "./memory-files.ts";

const EAGAIN = 11;

interface Waiter {
  readonly nodeid: number;
  readonly lock: LockRequest;
  readonly answer: Deferred<void>;
}

const whole = { fh: 0, type: "unlock", start: 0n, end: 2n ** 63n - 1n, pid: 0 } as const;

export class LockingFileSystem extends MemoryFileSystem {
  readonly #held = new Map<number, LockRequest[]>();
  #waiters: Waiter[] = [];

  getlk(nodeid: number, lock: LockRequest): Lock | undefined {
    return this.#obstacle(nodeid, lock);
  }

  setlk(nodeid: number, lock: LockRequest, how: "try" | "wait", request: Request): number | Deferred<void> {
    if (lock.type === "unlock") {
      this.#unlock(nodeid, lock);
      return 0;
    }
    if (this.#take(nodeid, lock)) return 0;
    if (how === "try") return -EAGAIN;
    const answer = request.defer<void>();
    const waiter = { nodeid, lock, answer };
    this.#waiters.push(waiter);
    answer.onInterrupt = () => {
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
      answer.reject(Object.assign(new Error("interrupted"), { code: "EINTR" }));
    };
    return answer;
  }

  /** fcntl(2)'s locks end with the first close of the process's. */
  flush(nodeid: number, _fh: number, lockOwner: bigint): number {
    this.#unlock(nodeid, { ...whole, kind: "range", owner: lockOwner });
    return 0;
  }

  /** flock(2)'s with the last. */
  release(nodeid: number, { lockOwner, unlockFlock }: ReleaseRequest): number {
    if (unlockFlock) this.#unlock(nodeid, { ...whole, kind: "flock", owner: lockOwner });
    return 0;
  }

  #take(nodeid: number, lock: LockRequest): boolean {
    if (this.#obstacle(nodeid, lock) !== undefined) return false;
    this.#held.set(nodeid, [...(this.#held.get(nodeid) ?? []), lock]);
    return true;
  }

  /** Good enough for tests: gives back whole locks that the range covers. */
  #unlock(nodeid: number, { owner, kind, start, end }: LockRequest): void {
    const isKept = (held: LockRequest): boolean =>
      held.owner !== owner || held.kind !== kind || held.start < start || held.end > end;
    this.#held.set(nodeid, (this.#held.get(nodeid) ?? []).filter(isKept));
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiting) {
      if (this.#take(waiter.nodeid, waiter.lock)) waiter.answer.resolve();
      else this.#waiters.push(waiter);
    }
  }

  #obstacle(nodeid: number, lock: LockRequest): LockRequest | undefined {
    return this.#held
      .get(nodeid)
      ?.find(
        (held) =>
          held.kind === lock.kind &&
          held.owner !== lock.owner &&
          (held.type === "write" || lock.type === "write") &&
          held.start <= lock.end &&
          lock.start <= held.end,
      );
  }
}
