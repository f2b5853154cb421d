import { O } from "../kernel/abi/file.ts";
import type { Fd } from "../kernel/fd.ts";
import { openAt } from "../kernel/file.ts";
import {
  cloneFuseDevice,
  closeBacking,
  dontWait,
  openBacking,
  openFuseDevice,
  readRequest,
  writeReply,
} from "../kernel/fuse.ts";
import { attachMount, makeMount, type MountOption } from "../kernel/mount.ts";
import type { Terms } from "./wire/init.ts";
import { makeNotification, type Notification } from "./wire/notify.ts";
import type { ReplyBuffer } from "./wire/reply.ts";
import type { RequestBuffer } from "./wire/request.ts";

export interface MountOptions {
  /** What /proc/self/mountinfo and df(1) show in the place of a device; by default `fuse`. */
  readonly source?: string;
  /** The type is shown as `fuse.SUBTYPE`. */
  readonly subtype?: string;
  /** The root's type; a directory's by default. */
  readonly rootMode?: number;
  /** Who serves; by default this process's user and group. Others get EACCES, unless `allowOther`. */
  readonly uid?: number;
  readonly gid?: number;
  readonly allowOther?: boolean;
  /** The kernel checks permissions by mode, owner and ACL; without it `access` and each method do. */
  readonly defaultPermissions?: boolean;
  readonly readOnly?: boolean;
  /** The most that one READ asks for. */
  readonly maxReadBytes?: number;
  /** MOUNT_ATTR flags of the mount. */
  readonly attributes?: number;
}

const S_IFDIR = 0o040000;

/**
 * One side of /dev/fuse: the kernel's requests come from here and the replies go there. It is the kernel that keeps a
 * connection; it ends when it is unmounted, or when the last process that has the device open closes it.
 */
export class Connection implements Disposable {
  readonly device: Fd;
  #terms: Terms | undefined;

  /**
   * @param device of an earlier server, with the terms that it had agreed on; without them, INIT is still to come
   */
  constructor(device: Fd = openFuseDevice(), terms?: Terms) {
    this.device = device;
    this.#terms = terms;
  }

  /** What the kernel and the server agreed on; undefined until serve() has seen INIT. */
  get terms(): Terms | undefined {
    return this.#terms;
  }

  /** Of serve(), at INIT. */
  agree(terms: Terms): void {
    this.#terms = terms;
  }

  /**
   * Makes the mount, detached: attach it with attachAt(). Serve before anybody looks at it, from another process or
   * thread than those who look.
   * @throws {MountError} EPERM: neither privileged nor in a user name space of its own; the device must have been
   *   opened in the same user name space
   */
  mount(options: MountOptions = {}): Fd {
    const pairs: MountOption[] = [
      ["source", options.source ?? "fuse"],
      ["fd", String(this.device.number)],
      ["rootmode", (options.rootMode ?? S_IFDIR).toString(8)],
      ["user_id", String(options.uid ?? process.getuid?.() ?? 0)],
      ["group_id", String(options.gid ?? process.getgid?.() ?? 0)],
    ];
    if (options.subtype !== undefined) pairs.push(["subtype", options.subtype]);
    if (options.allowOther === true) pairs.push(["allow_other"]);
    if (options.defaultPermissions === true) pairs.push(["default_permissions"]);
    if (options.readOnly === true) pairs.push(["ro"]);
    if (options.maxReadBytes !== undefined) pairs.push(["max_read", String(options.maxReadBytes)]);
    return makeMount("fuse", pairs, options.attributes ?? 0);
  }

  /** Waits for the next request; false when the file system has been unmounted. */
  receive(request: RequestBuffer): boolean {
    const length = readRequest(this.device, request.bytes);
    if (length === 0) return false;
    request.parseHeader(length);
    return true;
  }

  /** As receive(), but where there is none yet it says so: "later". */
  receiveNow(request: RequestBuffer): boolean | "later" {
    const length = readRequest(this.device, request.bytes, "not");
    if (length < 0) return "later";
    if (length > 0) request.parseHeader(length);
    return length > 0;
  }

  /** For receiveNow(). */
  dontWait(): void {
    dontWait(this.device);
  }

  /** @returns false where nobody waits for the answer any more */
  send(reply: ReplyBuffer, length: number): boolean {
    return writeReply(this.device, reply.bytes, length);
  }

  /**
   * Tells the kernel something unasked. Invalidating waits for locks that somebody may hold who waits for *this* server:
   * `invalidate-entry`, `expire-entry` and `delete` for the directory's, `invalidate-inode`, with an offset from 0 on,
   * `store` and `prune` for pages that are being read or written. Send those from a thread other than the serving one.
   * `resend`, `increment-epoch`, `poll`, and `invalidate-inode` with a negative offset never wait.
   * @returns false where what it speaks of isn't cached
   * @throws {KernelError} EINVAL: this kernel doesn't know the kind; ENOTEMPTY, EBUSY: of `delete`
   */
  notify(notification: Notification): boolean {
    const message = makeNotification(notification);
    return writeReply(this.device, message, message.length);
  }

  /** Makes an open file one that opens of the mount can pass through to; see kernel/fuse.ts. */
  openBacking(file: number): number {
    return openBacking(this.device, file);
  }

  closeBacking(id: number): void {
    closeBacking(this.device, id);
  }

  /** The same connection for another thread, which serves as this one does. */
  clone(): Connection {
    return new Connection(cloneFuseDevice(this.device), this.#terms);
  }

  [Symbol.dispose](): void {
    this.device.close();
  }
}

/** Makes a detached mount appear at a directory, and lets go of its descriptor. */
export function attachAt(mount: Fd, mountPoint: string): void {
  using target = openAt(null, mountPoint, O.PATH | O.DIRECTORY);
  attachMount(mount, target);
  mount.close();
}
