/**
 * An answer that comes later: what a FileSystem's method got from `request.defer()` and returned. The server goes on
 * with other requests; a method that is called for one of those gives this one its answer.
 */
export class Deferred<T> {
  /** Called when a signal reaches who waits: reject with EINTR, or go on. */
  onInterrupt: (() => void) | undefined;
  readonly #target: Target<T>;
  #isDone = false;

  constructor(target: Target<T>) {
    this.#target = target;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  resolve(value: T): void {
    this.#finish({ kind: "value", value });
  }

  /** @param error as a method would throw it */
  reject(error: unknown): void {
    this.#finish({ kind: "error", error });
  }

  #finish(outcome: Outcome<T>): void {
    if (this.#isDone) throw new Error("a request can be answered once");
    this.#isDone = true;
    this.#target.send(outcome);
  }
}

export type Outcome<T> =
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "error"; readonly error: unknown };

/** Where the outcome goes: lays it into a reply and writes that. */
export interface Target<T> {
  send(outcome: Outcome<T>): void;
}
