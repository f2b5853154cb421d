/** What making a root is doing, in this order; an import unpacks, finishes and syncs. */
export type Phase =
  | "update" //   fetch the lists of packages
  | "download" // fetch packages
  | "extract" //  unpack the essential ones
  | "install" //  set packages up
  | "clean" //    remove what only the making needed
  | "unpack" //   unpack an archive
  | "finish" //   make it a chroot that builds and logins can use
  | "sync"; //    make it durable

export interface Progress {
  readonly phase: Phase;
  /** How much of the whole is done, from 0 to 1, where that is known. */
  readonly fraction?: number;
}

/** How whoever makes a root hears of it and stops it. */
export interface Reporting {
  readonly onProgress?: (progress: Progress) => void;
  /** Something that was left out or assumed, in one line. */
  readonly onWarning?: (text: string) => void;
  /** Stops it; what was made so far is removed, and the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}
