import { check, isErrno } from "./error.ts";
import type { Fd } from "./fd.ts";
import { quick } from "./libc.ts";
import { waitUntilReady } from "./poll.ts";

const read_ = quick("read", "long", ["int", "void *", "size_t"]);
const write_ = quick("write", "long", ["int", "void *", "size_t"]);

/** What a terminal has to read now: undefined where that is nothing, "end" where it was hung up. */
export function receiveFrom(terminal: Fd, buffer: Buffer): Buffer | "end" | undefined {
  if (waitUntilReady([{ file: terminal }], 0).length === 0) return undefined;
  try {
    const length = check("read", terminal, read_(terminal.number, buffer, buffer.length));
    return length === 0 ? "end" : buffer.subarray(0, length);
  } catch (error) {
    if (isErrno(error, "EAGAIN", "EINTR")) return undefined;
    if (isErrno(error, "EIO")) return "end";
    throw error;
  }
}

/** Writes as much as there is room for. @returns how many bytes that was; all of them where nobody is there to read */
export function sendSome(terminal: Fd, data: Uint8Array): number {
  try {
    return check("write", terminal, write_(terminal.number, data, data.length));
  } catch (error) {
    if (isErrno(error, "EAGAIN", "EINTR")) return 0;
    if (isErrno(error, "EIO")) return data.length;
    throw error;
  }
}
