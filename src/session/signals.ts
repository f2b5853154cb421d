import { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 } from "../kernel/abi/process.ts";
import { isErrno } from "../kernel/error.ts";
import { isForeground } from "../kernel/self.ts";

/** Signals that mean the command where they reach only us. */
const forwarded = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
/** Signals of a terminal's keys: the kernel sends them to the whole foreground group, so to the command too. */
const keys = ["SIGINT", "SIGQUIT", "SIGTSTP"] as const;
/** A terminal's answer to a command in the background, also to its whole group: its stopping is seen by itself. */
const ignored = ["SIGTTIN", "SIGTTOU"] as const;

/** Of those that end programs; node:os knows them too, but costs every start. */
const numbers: Readonly<Partial<Record<NodeJS.Signals, number>>> = {
  SIGHUP,
  SIGINT,
  SIGQUIT,
  SIGUSR1,
  SIGUSR2,
  SIGTERM,
};

/**
 * From its making on, signals end the command and not us, who have to clean up after it. They are handled
 * where the program waits: before that, early() tells of them.
 */
export class SignalRelay implements Disposable {
  #pid: number | undefined;
  #early: number | undefined;

  constructor() {
    for (const signal of [...forwarded, ...keys, ...ignored]) process.on(signal, this.#take);
  }

  /** The status with which to end, where a signal that ends programs came before there was a command. */
  async early(): Promise<number | undefined> {
    await new Promise((done) => setImmediate(done));
    return this.#early === undefined ? undefined : 128 + this.#early;
  }

  /** From now on this child gets them; undefined: nobody, as it has ended and its id may be another's. */
  relayTo(pid: number | undefined): void {
    this.#pid = pid;
  }

  /** While it isn't disposed of, the terminal stops us as any other program: there is no command that it could mean. */
  letStop(): Disposable {
    const stops = ["SIGTSTP", ...ignored] as const;
    for (const signal of stops) process.off(signal, this.#take);
    return { [Symbol.dispose]: () => stops.forEach((signal) => process.on(signal, this.#take)) };
  }

  [Symbol.dispose](): void {
    for (const signal of [...forwarded, ...keys, ...ignored]) process.off(signal, this.#take);
  }

  readonly #take = (signal: NodeJS.Signals): void => {
    if (isOneOf(ignored, signal)) return;
    if (this.#pid === undefined) this.#early ??= numbers[signal];
    else if (!isOneOf(keys, signal) || !isForeground()) send(this.#pid, signal);
  };
}

/**
 * Does `work` to its end, whatever signals come that end programs: what it makes or removes is whole or gone then.
 * @returns also the status to end with where one came: 128 and its number
 */
export async function uninterrupted<T>(
  work: () => T | Promise<T>,
): Promise<{ result: T; interrupted: number | undefined }> {
  using signals = new SignalRelay();
  const result = await work();
  return { result, interrupted: await signals.early() };
}

function isOneOf(signals: readonly NodeJS.Signals[], signal: NodeJS.Signals): boolean {
  return signals.includes(signal);
}

/** To a child, which may have ended. */
export function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
  }
}
