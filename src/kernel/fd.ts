import { type Path, pathText, withoutErrno } from "./libc.ts";

// Not node:fs, which would cost every start a millisecond.
const close_ = withoutErrno("close", "int", ["int"]);

/** An owned file descriptor: closed once, by its owner, at the end of a `using` block or by hand. */
export class Fd implements Disposable {
  #number: number;
  readonly #name: Path;
  readonly #dir: Fd | null;

  /** @param name what it was opened as, below `dir` where that is given */
  constructor(number: number, name: Path, dir: Fd | null = null) {
    this.#number = number;
    this.#name = name;
    this.#dir = dir;
  }

  /** What it was opened as, for messages; never opened again by this name. */
  get path(): string {
    return under(this.#dir, this.#name);
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

/** A name below an open directory, for messages. */
export function under(dir: Fd | null, path: Path): string {
  const name = pathText(path);
  if (dir === null) return name;
  return name === "" ? dir.path : `${dir.path}/${name}`.replace(/\/\/+/g, "/");
}
