import { writeU64 } from "./numbers.ts";
import { EXPIRE_ONLY, NOTIFY, OUT_HEADER_SIZE } from "./protocol.ts";
import type { Name } from "./types.ts";

/**
 * What a server tells the kernel unasked. `offset` and `length` are bytes of the file's data; a length of 0 means to the
 * end; a negative offset leaves the data alone, only attributes are forgotten.
 */
export type Notification =
  | { readonly kind: "invalidate-inode"; readonly nodeid: number; readonly offset: number; readonly length: number }
  | { readonly kind: "invalidate-entry"; readonly parent: number; readonly name: Name }
  /** As if the entry's time-out had passed: what is mounted or watched below it stays. Needs HAS_EXPIRE_ONLY. */
  | { readonly kind: "expire-entry"; readonly parent: number; readonly name: Name }
  /** The name is gone, and watchers are told so; it must still lead to `child` in the cache. */
  | { readonly kind: "delete"; readonly parent: number; readonly child: number; readonly name: Name }
  /** Puts data into the page cache. */
  | { readonly kind: "store"; readonly nodeid: number; readonly offset: number; readonly data: Uint8Array }
  | { readonly kind: "poll"; readonly handle: bigint }
  /** Sends again all requests that were read and not answered. Needs HAS_RESEND. */
  | { readonly kind: "resend" }
  /** Makes all entries that are cached so far be looked up again. Since Linux 6.16. */
  | { readonly kind: "increment-epoch" }
  /** Drops inodes from the cache that nobody uses. Since Linux 6.18. */
  | { readonly kind: "prune"; readonly nodeids: readonly number[] };

/** A whole message: struct fuse_out_header with the code in place of an error, and the kind's own structure. */
export function makeNotification(notification: Notification): Uint8Array {
  const body = makeBody(notification);
  const bytes = new Uint8Array(OUT_HEADER_SIZE + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setInt32(4, codeOf(notification), true);
  bytes.set(body, OUT_HEADER_SIZE);
  return bytes;
}

function codeOf(notification: Notification): number {
  switch (notification.kind) {
    case "invalidate-inode":
      return NOTIFY.INVAL_INODE;
    case "invalidate-entry":
    case "expire-entry":
      return NOTIFY.INVAL_ENTRY;
    case "delete":
      return NOTIFY.DELETE;
    case "store":
      return NOTIFY.STORE;
    case "poll":
      return NOTIFY.POLL;
    case "resend":
      return NOTIFY.RESEND;
    case "increment-epoch":
      return NOTIFY.INC_EPOCH;
    case "prune":
      return NOTIFY.PRUNE;
  }
}

function makeBody(notification: Notification): Uint8Array {
  switch (notification.kind) {
    case "invalidate-inode":
      return words(BigInt(notification.nodeid), BigInt(notification.offset), BigInt(notification.length));
    case "invalidate-entry":
      return named(words(BigInt(notification.parent), 0n), 8, notification.name, 0);
    case "expire-entry":
      return named(words(BigInt(notification.parent), 0n), 8, notification.name, EXPIRE_ONLY);
    case "delete":
      return named(words(BigInt(notification.parent), BigInt(notification.child), 0n), 16, notification.name, 0);
    case "store": {
      const head = words(BigInt(notification.nodeid), BigInt(notification.offset), BigInt(notification.data.length));
      return join(head, notification.data);
    }
    case "poll":
      return words(notification.handle);
    case "resend":
    case "increment-epoch":
      return new Uint8Array(0);
    case "prune": {
      const list = new Uint8Array(notification.nodeids.length * 8);
      const view = new DataView(list.buffer);
      notification.nodeids.forEach((nodeid, index) => writeU64(view, index * 8, nodeid));
      return join(words(BigInt(notification.nodeids.length), 0n), list);
    }
  }
}

function words(...values: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigInt64Array.from(values).buffer);
}

/** Fills in namelen and flags at `at`, and appends the name with its NUL. */
function named(head: Uint8Array, at: number, text: Name, flags: number): Uint8Array {
  const name = Buffer.from(text, "latin1");
  const view = new DataView(head.buffer);
  view.setUint32(at, name.length, true);
  view.setUint32(at + 4, flags, true);
  return join(head, name, Uint8Array.of(0));
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
