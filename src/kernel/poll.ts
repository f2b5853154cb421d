import { POLL } from "./abi/socket.ts";
import { check, isErrno } from "./error.ts";
import type { Fd } from "./fd.ts";
import { quick } from "./libc.ts";

// A second call would wait anew.
const poll_ = quick("poll", "int", ["void *", "unsigned long", "int"], "told once");

/** What is waited for: something to read (or the end), or room to write, too. */
export interface Watched {
  readonly file: Fd;
  readonly for?: "reading" | "writing";
}

/**
 * Waits until one of the files is ready, or something is wrong with it. JavaScript doesn't go on meanwhile.
 * @returns those that are; none when the time is over, or a signal came
 * @see poll(2)
 */
export function waitUntilReady(watched: readonly Watched[], timeoutMs: number): Fd[] {
  const list = listOf(watched);
  try {
    check("poll", "", poll_(list, watched.length, timeoutMs));
  } catch (error) {
    if (isErrno(error, "EINTR")) return [];
    throw error;
  }
  return readyOf(watched, list);
}

/** struct pollfd[] */
function listOf(watched: readonly Watched[]): Buffer {
  const list = Buffer.alloc(watched.length * 8);
  for (const [index, each] of watched.entries()) {
    list.writeInt32LE(each.file.number, index * 8);
    list.writeInt16LE(each.for === "writing" ? POLL.OUT : POLL.IN, index * 8 + 4);
  }
  return list;
}

function readyOf(watched: readonly Watched[], list: Buffer): Fd[] {
  return watched.filter((_, index) => list.readInt16LE(index * 8 + 6) !== 0).map(({ file }) => file);
}
