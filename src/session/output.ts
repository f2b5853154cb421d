import { isErrno } from "../kernel/error.ts";
import { writeTo } from "../kernel/file.ts";
import { Fd } from "../kernel/fd.ts";

export { isErrno as isRefusal };

/** Writes to standard output or error. @returns how many bytes it took @throws {KernelError} EAGAIN, EINTR, EPIPE, ENOSPC, … */
export function writeSome(fd: 1 | 2, bytes: Uint8Array): number {
  return writeTo(new Fd(fd, fd === 1 ? "standard output" : "standard error"), bytes);
}
