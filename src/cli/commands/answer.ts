import { readSync } from "node:fs";
import { UserError } from "../../error.ts";
import { hasTerminal, waitForInput } from "../../session/question.ts";
import type { SignalRelay } from "../../session/signals.ts";
import { pause, write } from "../print.ts";

/** Instead of an answer came a signal that ends programs, or somebody closed the terminal. */
export class Interrupted extends UserError {
  /** 128 and the signal's number, as a shell says it. */
  readonly status: number;

  constructor(status: number) {
    super("failed", "interrupted: nothing was written");
    this.status = status;
  }
}

const hungUp = 128 + 1;

/**
 * Asks something on stderr, and reads a line from standard input, which was a terminal when all began.
 * @param signals who takes them meanwhile; without it they do what they do
 * @returns without its end; undefined where the input ends before there is any (Ctrl-D)
 * @throws {Interrupted}
 */
export async function ask(question: string, signals?: SignalRelay): Promise<string | undefined> {
  using _stop = signals?.letStop();
  try {
    return await readLine(question, signals);
  } catch (error) {
    // What is said next doesn't belong behind the question.
    if (error instanceof Interrupted) write(2, "\n");
    throw error;
  }
}

async function readLine(question: string, signals: SignalRelay | undefined): Promise<string | undefined> {
  const bytes: number[] = [];
  const one = Buffer.alloc(1);
  const status = await waitForInput(signals, () => write(2, question));
  if (status !== undefined) throw new Interrupted(status);
  // The terminal gives whole lines.
  while (readByte(one)) {
    if (one[0] === 0x0a) return Buffer.from(bytes).toString("utf8");
    bytes.push(one[0] ?? 0);
  }
  if (!hasTerminal()) throw new Interrupted(hungUp);
  return bytes.length === 0 ? undefined : Buffer.from(bytes).toString("utf8");
}

function readByte(one: Buffer): boolean {
  for (;;) {
    try {
      return readSync(0, one) > 0;
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      // The terminal has hung up.
      if (code === "EIO" || code === "EOF") return false;
      if (code !== "EAGAIN" && code !== "EINTR") throw error;
      // A command that was run there has made it non-blocking.
      pause();
    }
  }
}
