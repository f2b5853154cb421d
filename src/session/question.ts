import { Fd } from "../kernel/fd.ts";
import { waitUntilReady } from "../kernel/poll.ts";
import { foregroundGroup, groupOf } from "../kernel/self.ts";
import { isTerminal, takeLines, writeSettings } from "../kernel/terminal.ts";
import type { SignalRelay } from "./signals.ts";

/** Standard input, where somebody is asked. */
const stdin = new Fd(0, "standard input");
/** A signal ends the waiting at once, unless it comes in the moment before that. */
const lookMs = 500;

/** Whether it is a terminal that nobody has closed. */
export function hasTerminal(): boolean {
  return isTerminal(stdin);
}

/**
 * What was typed before the first question wasn't meant for it. A command that was killed may have left the terminal without lines;
 * what a command has set stays set after the questions.
 */
export function prepareTerminal(): Disposable {
  if (!hasTerminal()) return { [Symbol.dispose]: () => {} };
  const before = takeLines(stdin);
  return {
    [Symbol.dispose]: () => {
      // Who sets another's terminal is stopped.
      if (hasTerminal() && !isInBackground()) writeSettings(stdin, before);
    },
  };
}

/**
 * Waits until something can be read: read(2) itself would wait without any JavaScript, handlers of signals among it.
 * @param show shows the question, to who stopped this and goes on with it, too
 * @returns undefined; the status to end with, where a signal that ends programs came instead
 */
export async function waitForInput(signals: SignalRelay | undefined, show: () => void): Promise<number | undefined> {
  let isShown = false;
  const wake = (): void => void (isShown = false);
  process.on("SIGCONT", wake);
  try {
    for (;;) {
      const status = await signals?.early();
      if (status !== undefined) return status;
      if (signals === undefined) await new Promise((done) => setImmediate(done));
      // As reading would, but we are to go on here when somebody has said `fg`.
      if (isInBackground()) {
        process.kill(process.pid, "SIGTTIN");
        isShown = false;
      }
      const isOurs = !isInBackground();
      if (!isShown && isOurs) {
        show();
        isShown = true;
      }
      const isReady = waitUntilReady([{ file: stdin }], lookMs).length > 0;
      // What there is to read in the background is another's, who takes it; reading would stop us, and wait then.
      if (isReady && isOurs && !isInBackground()) return undefined;
    }
  } finally {
    process.off("SIGCONT", wake);
  }
}

/** Whether another process group has our terminal. */
function isInBackground(): boolean {
  const group = foregroundGroup();
  return group !== undefined && group !== groupOf(0);
}
