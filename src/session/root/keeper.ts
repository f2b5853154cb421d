import type { MadeRoot } from "../../chroot/types.ts";
import type { Fd } from "../../kernel/fd.ts";
import type { RootNote } from "./note.ts";

/** The session that a root is made for. */
export interface RootPlace extends Omit<RootNote, "root"> {
  readonly id: string;
  /** The session's directory. */
  readonly dir: Fd;
  /**
   * The session's hold. A program that works for it gets the descriptor, and with it the lock: if we are killed, nobody
   * takes the session for a leftover before the program has ended too.
   */
  readonly hold: Fd;
}

/**
 * Makes roots of one kind and takes them away. Whatever is made can be found by the place alone, so that remove() clears
 * what a killed make() left; both pass over what is already so.
 */
export interface RootKeeper<R extends MadeRoot> {
  /** @returns the tree's path, which stays the same after restore() */
  make(root: R, place: RootPlace): Promise<string> | string;
  /** Makes again what a restart of the machine took. */
  restore(root: R, place: RootPlace): Promise<void> | void;
  remove(root: R, place: RootPlace): Promise<void> | void;
  /** Keeps what a session on the root itself has changed: all of it or nothing. */
  save?(root: R, place: RootPlace): Promise<void>;
}
