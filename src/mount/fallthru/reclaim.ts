import { collectGarbage } from "../../kernel/self.ts";

/** Fewer aren't worth it. */
const SOME = 10_000;

/** A server that has known so many is worth replacing, which takes 40 ms. */
const MANY = 50_000;

/**
 * Gives memory back when the kernel has forgotten much. A JavaScript engine does so when it is idle, and a server that
 * waits for its next request never looks idle to it: it has to be told. Even then its heap stays in pieces: 130 MiB after 200,000 inodes, where it began with 51. A next server begins anew.
 */
export class Reclaim {
  readonly #shrink: () => void;
  readonly #restart: () => void;
  #forgotten = 0;
  #most = 0;
  #left = 0;

  /** @param shrink what else is to; @param restart ends this server: another one takes its place */
  constructor(shrink: () => void, restart: () => void) {
    this.#shrink = shrink;
    this.#restart = restart;
  }

  /** @param left how many inodes are still known: collecting costs time for each */
  forgot(left: number): void {
    this.#left = left;
    if (left >= this.#most) this.#most = left + 1;
    if (++this.#forgotten < SOME + 2 * left) return;
    this.#forgotten = 0;
    this.#shrink();
    collectGarbage();
  }

  /** All that the kernel has said at once is done. */
  settle(): void {
    if (this.#most >= MANY && this.#left < SOME) this.#restart();
  }
}
