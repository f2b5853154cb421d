import { native } from "./libc.ts";

// Not node:fs, which would cost every start a millisecond.
const close_ = native("close", "int", ["int"]);

/** An owned file descriptor: closed once, by its owner, at the end of a `using` block or by hand. */
export class Fd implements Disposable {
  /** What it was opened as, for messages; never opened again by this name. */
  readonly path: string;
  #number: number;

  constructor(number: number, path: string) {
    this.#number = number;
    this.path = path;
  }

  get number(): number {
    if (this.#number < 0) throw new Error(`${this.path} is closed`);
    return this.#number;
  }

  /** A name for calls that take only paths; valid while this is open. */
  get procPath(): string {
    return `/proc/self/fd/${this.number}`;
  }

  close(): void {
    if (this.#number < 0) return;
    const number = this.#number;
    this.#number = -1;
    close_(number);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
