import type { Connection } from "../../fuse/connection.ts";
import { makeNotification, type Notification } from "../../fuse/wire/notify.ts";
import { waitUntilReady } from "../../kernel/poll.ts";
import { Uring } from "../../kernel/uring.ts";

/** Whoever reads the directory from what is cached should not see what it was before: as long as that takes, unless it takes this long. */
const WAIT_MS = 50;

/**
 * Has the kernel drop what it has cached of a directory's entries, by a thread of the kernel's own: who reads a directory
 * into memory that is a file of this mount may be waiting for us, with its pages locked.
 */
export class ListingDropper {
  readonly #connection: Connection;
  #uring: Uring | "none" | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Sooner or later. Where there are no such threads nothing is dropped. */
  drop(directory: number): void {
    this.#begin(directory, () => {});
  }

  /** Before this returns, unless somebody has the pages locked; where there are no such threads, by this one. */
  dropNow(directory: number): void {
    const waited = { leftMs: WAIT_MS };
    const uring = this.#begin(directory, () => (waited.leftMs = 0));
    if (uring === "none") this.#connection.notify(notificationOf(directory));
    else for (; waited.leftMs > 0; uring.finish()) waited.leftMs -= waitFor(uring, waited.leftMs);
  }

  #begin(directory: number, done: () => void): Uring | "none" {
    const uring = (this.#uring ??= Uring.open() ?? "none");
    if (uring === "none") return uring;
    uring.finish();
    // That it isn't cached is as good.
    uring.write(this.#connection.device.number, makeNotification(notificationOf(directory)), done);
    return uring;
  }
}

/** @returns how many milliseconds were waited */
function waitFor(uring: Uring, timeoutMs: number): number {
  const start = performance.now();
  waitUntilReady([{ file: uring.descriptor }], Math.ceil(timeoutMs));
  return performance.now() - start;
}

function notificationOf(directory: number): Notification {
  return { kind: "invalidate-inode", nodeid: directory, offset: 0, length: 0 };
}
