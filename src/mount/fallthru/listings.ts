import type { Connection } from "../../fuse/connection.ts";
import { makeNotification } from "../../fuse/wire/notify.ts";
import { Uring } from "../../kernel/uring.ts";

/**
 * Has the kernel drop what it has cached of a directory's entries, by a thread of the kernel's own: who reads a directory
 * into memory that is a file of this mount may be waiting for us, with its pages locked. Where there are no such threads
 * nothing is dropped.
 */
export class ListingDropper {
  readonly #connection: Connection;
  #uring: Uring | "none" | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  drop(directory: number): void {
    this.#uring ??= Uring.open() ?? "none";
    if (this.#uring === "none") return;
    this.#uring.finish();
    const notification = { kind: "invalidate-inode", nodeid: directory, offset: 0, length: 0 } as const;
    // That it isn't cached is as good.
    this.#uring.write(this.#connection.device.number, makeNotification(notification), () => {});
  }
}
