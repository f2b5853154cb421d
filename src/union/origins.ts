/**
 * Where the upper has no marks, nothing there says which inode below a copied file was: that is remembered here, by the
 * copy's own number, until it has lost its last name. So a file keeps its st_ino also when the kernel has forgotten it.
 */
export class Origins {
  readonly #inos: Map<number, number>;
  readonly #onChange: (upperIno: number, ino: number) => void;

  /**
   * @param known what a server before has been told of
   * @param onChange `ino` 0: there is no such file any more
   */
  constructor(known?: ReadonlyMap<number, number>, onChange: (upperIno: number, ino: number) => void = () => {}) {
    this.#inos = new Map(known);
    this.#onChange = onChange;
  }

  /** The st_ino of what lies in the upper under this number, where it has come from below. */
  of(upperIno: number): number | undefined {
    return this.#inos.size === 0 ? undefined : this.#inos.get(upperIno);
  }

  set(upperIno: number, ino: number): void {
    this.#inos.set(upperIno, ino);
    this.#onChange(upperIno, ino);
  }

  forget(upperIno: number): void {
    if (this.#inos.size > 0 && this.#inos.delete(upperIno)) this.#onChange(upperIno, 0);
  }
}
