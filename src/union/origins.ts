import type { Ledger } from "./known.ts";

/**
 * Where the upper has no marks, nothing there says which inode below a copied file was: that is remembered here, by the
 * copy's own number, until it has lost its last name. So a file keeps its st_ino also when the kernel has forgotten it.
 */
export class Origins {
  readonly #inos: Map<number, number>;
  readonly #ledger: Ledger | undefined;

  /** @param known what a server before has told */
  constructor(known?: ReadonlyMap<number, number>, ledger?: Ledger) {
    this.#inos = new Map(known);
    this.#ledger = ledger;
  }

  /** The st_ino of what lies in the upper under this number, where it has come from below. */
  of(upperIno: number): number | undefined {
    return this.#inos.size === 0 ? undefined : this.#inos.get(upperIno);
  }

  set(upperIno: number, ino: number): void {
    this.#inos.set(upperIno, ino);
    this.#ledger?.origin(upperIno, ino);
  }

  forget(upperIno: number): void {
    if (this.#inos.size > 0 && this.#inos.delete(upperIno)) this.#ledger?.origin(upperIno, 0);
  }
}
