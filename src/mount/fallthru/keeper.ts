import { closeFd } from "../../kernel/at.ts";
import type { Fd } from "../../kernel/fd.ts";
import { receiveDescriptor, sendDescriptor } from "../../kernel/pass.ts";
import type { Pin } from "../../union/known.ts";

/**
 * Keeps files open that have no name any more, for the next server: they wait as messages in a socket that whoever holds
 * the mount has open, which nobody needs to read.
 */
export class Keeper {
  readonly #in: Fd;
  readonly #out: Fd;
  /** Their nodeids. */
  readonly #kept = new Set<number>();

  constructor(input: Fd, output: Fd) {
    this.#in = input;
    this.#out = output;
  }

  has(nodeid: number): boolean {
    return this.#kept.has(nodeid);
  }

  /** @param pin its descriptor stays the caller's */
  keep(nodeid: number, pin: Pin): void {
    if (!this.#kept.has(nodeid) && this.#send(nodeid, pin)) this.#kept.add(nodeid);
  }

  drop(nodeid: number): void {
    if (!this.#kept.delete(nodeid)) return;
    // Each goes to the end of the queue before the next is taken: killed in between, one is lost at most.
    for (let count = this.#kept.size + 1; count > 0; count--) {
      const message = receiveDescriptor(this.#out);
      if (message === undefined) return;
      const isIt = Math.abs(message.tag) === nodeid;
      if (!isIt) sendDescriptor(this.#in, message.tag, message.descriptor, message.second);
      closeFd(message.descriptor);
      if (message.second >= 0) closeFd(message.second);
      if (isIt) return;
    }
  }

  /** What the server before has kept, by nodeid; the descriptors are the caller's. It stays kept. */
  restore(): ReadonlyMap<number, Pin> {
    const pins = new Map<number, Pin>();
    for (;;) {
      const message = receiveDescriptor(this.#out);
      if (message === undefined) break;
      const { tag, descriptor: fd, second: content } = message;
      pins.set(Math.abs(tag), { fd, isLower: tag < 0, content });
    }
    for (const [nodeid, pin] of pins) this.keep(nodeid, pin);
    return pins;
  }

  /** The number says which layer it is of, too. */
  #send(nodeid: number, { fd, isLower, content }: Pin): boolean {
    return sendDescriptor(this.#in, isLower ? -nodeid : nodeid, fd, content);
  }
}
