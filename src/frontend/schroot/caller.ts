import type { Path, Program, Surroundings } from "../../session/run.ts";
import type { SetupContext } from "../../session/types.ts";

/** Who asks, and where words to them go: this process's own caller, or a peer of the service. */
export interface Caller {
  /** The process that asks: this one, or the service's client. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** The supplementary groups, as the kernel says. */
  readonly groups: readonly number[];
  /** From the host's passwd(5) and group(5). */
  readonly name: string;
  readonly groupName: string;
  readonly home: string;
  readonly shell: string;
  readonly environment: Readonly<Record<string, Path>>;
  /** Undefined where it was deleted under them. */
  readonly directory: Path | undefined;
  /** The path of the terminal that commands are on, where they are on one. */
  readonly terminal?: string | undefined;
  /** How many files the caller may have open, where it isn't this process's limit. */
  readonly fileLimit?: number;
  /** The caller's standard input, where it isn't this process's. */
  readonly stdin?: SetupContext["stdin"];
  /** One of the caller's words, or what one ends with, byte by byte as it was given. */
  verbatim(value: string): Path;
  /** To the caller's standard output or standard error. */
  say(stream: 1 | 2, text: string): void;
  /**
   * Starts a command for the caller with the caller's descriptors 0-2 and waits for its end.
   * @param onStarted to be called once the command has its root: until then the session can't be ended
   * @param news asked every now and then while it runs on a terminal; what it says is shown there once
   * @throws {KernelError} as spawn() does: what whyNotStarted() explains
   */
  run(where: Surroundings, program: Program, onStarted?: () => void, news?: News): Promise<CommandEnd>;
  /** Asks for authentication where schroot's rules want it. @throws {UserError} with schroot's message */
  authenticate(user: string, ruser: string): Promise<void>;
  /**
   * Of who is on a terminal: runs one of our own verbs there, with our rights, until it ends or nobody is at the terminal any
   * more, or until a moment (milliseconds since 1970; Infinity). @returns its exit status, where it came to one
   */
  readonly converse?: ((words: readonly string[], untilMs: number) => Promise<number | undefined>) | undefined;
  /** 128 and the number of a signal that came meanwhile and ends programs: what was just begun is then undone. */
  interrupted?(): Promise<number | undefined>;
  /** Whether what was said has been printed, as far as one can know; where say() itself fails it isn't asked. */
  isHeard?(): boolean;
}

/** A peer of the service. */
export interface ServedCaller extends Caller {
  /**
   * Starts a process of ours with the caller's descriptors 0 and 1, which becomes a command later on.
   * @throws {KernelError} as spawn() does
   */
  startAhead(where: Surroundings, program: Program): Ahead;
}

/** A process of ours that waits: unless it has been told to become the command, it is killed when it is disposed of. */
export interface Ahead extends Disposable {
  /** As Caller.run() with a command that `become` makes of the process, which gets the caller's standard error by that. */
  run(become: (standardError: Surroundings["root"]) => void, onStarted?: () => void, news?: News): Promise<CommandEnd>;
}

/** Something that a command's user should know; undefined as long as there is nothing. */
export type News = () => string | undefined;

/** How a command ended, from its raw wait status. */
export type CommandEnd = { readonly status: number } | { readonly signal: number };
