/** Fewer aren't worth it. */
const SOME = 10_000;

/**
 * Gives memory back when the kernel has forgotten much. A JavaScript engine does so when it is idle, and a server that
 * waits for its next request never looks idle to it: it has to be told, by the function that `--expose-gc` gives.
 */
export class Reclaim {
  readonly #beforehand: () => void;
  #forgotten = 0;

  /** @param beforehand what else is to shrink */
  constructor(beforehand: () => void) {
    this.#beforehand = beforehand;
  }

  /** @param left how many inodes are still known: collecting costs time for each */
  forgot(left: number): void {
    if (++this.#forgotten < SOME + 2 * left) return;
    this.#forgotten = 0;
    this.#beforehand();
    (globalThis as { gc?: () => void }).gc?.();
  }
}
