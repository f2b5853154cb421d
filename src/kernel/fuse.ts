import { O } from "./abi/file.ts";
import { FUSE_BACKING_MAP_SIZE, FUSE_DEV_IOC } from "./abi/fuse.ts";
import { check, errnoName, isErrno, KernelError } from "./error.ts";
import type { Fd } from "./fd.ts";
import { openAt } from "./file.ts";
import { hot, lastErrno } from "./libc.ts";
import { waitUntilReady } from "./poll.ts";

const read_ = hot("read", "long", ["int", "void *", "size_t"]);
const write_ = hot("write", "long", ["int", "void *", "size_t"]);
const F_SETFL = 4;
const fcntl_ = hot("fcntl", "int", ["int", "int", "int"]);
const ioctl_ = hot("ioctl", "int", ["int", "unsigned long", "void *"]);

/**
 * Opens /dev/fuse: a connection to be, once a mount names it.
 * @throws {KernelError} ENOENT, ENODEV with a hint where the module isn't loaded; EACCES where /dev has been closed down
 * @see fuse(4)
 */
export function openFuseDevice(): Fd {
  try {
    return openAt(null, "/dev/fuse", O.RDWR);
  } catch (error) {
    if (!(error instanceof KernelError) || !isErrno(error, "ENOENT", "ENODEV", "ENXIO")) throw error;
    const hint = "load the module: modprobe fuse";
    throw new KernelError({ syscall: error.syscall, path: error.path, errno: error.errno, hint });
  }
}

/**
 * Waits for the next request and reads it, whole, into `buffer`. The thread does nothing else meanwhile.
 * @param wait "not": after dontWait(), where there may be none yet
 * @returns its length in bytes; 0 when the file system has been unmounted or the connection aborted; -1: there is none
 * @throws {KernelError} EINVAL: `buffer` is too small; EPERM: the descriptor belongs to no mount
 * @see fuse(4)
 */
export function readRequest(device: Fd, buffer: Uint8Array, wait: "for one" | "not" = "for one"): number {
  for (;;) {
    const length = read_(device.number, buffer, buffer.length);
    if (length >= 0) return length;
    const errno = errnoName(lastErrno());
    // ENOENT: who asked was killed while the request was being read.
    if (errno === "EAGAIN") {
      if (wait === "not") return -1;
      waitUntilReady([{ file: device }], -1);
      continue;
    }
    if (errno === "EINTR" || errno === "ENOENT") continue;
    if (errno === "ENODEV" || errno === "ECONNABORTED") return 0;
    throw new KernelError({ syscall: "read", path: device.path, errno });
  }
}

/** From now on a reading doesn't wait; who wants to, of other servers of the same mount too, does so by poll(2). */
export function dontWait(device: Fd): void {
  check("fcntl", device, fcntl_(device.number, F_SETFL, O.RDWR | O.NONBLOCK));
}

/**
 * Writes a reply or a notification, the first `length` bytes of `buffer`, in one call.
 * @returns whether somebody took it: ENOENT means that nobody waits for it, or that what it speaks of isn't cached
 * @throws {KernelError} EINVAL: the message is malformed; ENODEV: unmounted
 * @see fuse(4)
 */
export function writeReply(device: Fd, buffer: Uint8Array, length: number): boolean {
  for (;;) {
    if (write_(device.number, buffer, length) !== -1) return true;
    const errno = errnoName(lastErrno());
    if (errno === "EINTR") continue;
    if (errno === "ENOENT") return false;
    throw new KernelError({ syscall: "write", path: device.path, errno });
  }
}

// To make these for each call would cost more than the calls do.
const backingMap = new Uint8Array(FUSE_BACKING_MAP_SIZE);
const backingFile = new Int32Array(backingMap.buffer);
const backingId = new Uint32Array(1);
const backingIdBytes = new Uint8Array(backingId.buffer);

/**
 * Registers an open file for passthrough: opens of the mount that name the id read and write it without the server.
 * @param file a descriptor, O_PATH and O_RDONLY too; it may be closed afterwards: the id belongs to the connection, and
 *   outlives this process
 * @returns the id, greater than 0
 * @throws {KernelError} EPERM: not the initial name space's superuser; ELOOP: the file lies on a stacked file system;
 *   EOPNOTSUPP: passthrough wasn't negotiated
 * @see Documentation/filesystems/fuse/fuse-passthrough.rst
 */
export function openBacking(device: Fd, file: number): number {
  backingFile[0] = file;
  return check("register backing file", "", ioctl_(device.number, FUSE_DEV_IOC.BACKING_OPEN, backingMap));
}

/** Opens that use it keep the file; new ones can't name the id. @throws {KernelError} ENOENT: no such id */
export function closeBacking(device: Fd, id: number): void {
  backingId[0] = id;
  check("unregister backing file", device, ioctl_(device.number, FUSE_DEV_IOC.BACKING_CLOSE, backingIdBytes));
}

/** A second descriptor of the same connection, for a thread of its own; replies go to the one that the request came from. */
export function cloneFuseDevice(device: Fd): Fd {
  const clone = openFuseDevice();
  const argument = new Uint8Array(Uint32Array.of(device.number).buffer);
  try {
    check("clone", device, ioctl_(clone.number, FUSE_DEV_IOC.CLONE, argument));
    return clone;
  } catch (error) {
    clone.close();
    throw error;
  }
}

const getpagesize_ = hot("getpagesize", "int", []);

/** The size of a page of memory: 4096 on most machines. */
export function pageSize(): number {
  return getpagesize_();
}
