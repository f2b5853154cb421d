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
  // struct pollfd[]: the descriptor, and 16 bits each of what is waited for and what there is. No method that takes a
  // function, and no Buffer: the first call of each costs a start 0.05 ms.
  const list = new Int32Array(watched.length * 2);
  for (let index = 0; index < watched.length; index++) {
    list[2 * index] = watched[index]?.file.number ?? -1;
    list[2 * index + 1] = watched[index]?.for === "writing" ? POLL.OUT : POLL.IN;
  }
  try {
    check("poll", "", poll_(new Uint8Array(list.buffer), watched.length, timeoutMs));
  } catch (error) {
    if (isErrno(error, "EINTR")) return [];
    throw error;
  }
  const ready: Fd[] = [];
  for (let index = 0; index < watched.length; index++) {
    const file = watched[index]?.file;
    if (file !== undefined && (list[2 * index + 1] ?? 0) >>> 16 !== 0) ready.push(file);
  }
  return ready;
}
