import { beginAutomatic, type Begun } from "./begin.ts";
import { endHeld } from "./end.ts";
import { startChild } from "./run.ts";
import type { CommandOptions, SessionOptions } from "./types.ts";
import { waitAsShell } from "./waiting.ts";

/**
 * Begins a session, runs a command in it, ends the session, and returns the command's exit status (128 and the signal's number
 * where one killed it).
 * @throws {UserError} also CommandNotRun; nothing is left behind
 */
export async function runOnce(
  source: string,
  session: SessionOptions,
  options: CommandOptions,
  onBegun?: (begun: Begun) => void,
): Promise<number> {
  const { hold, begun } = beginAutomatic(source, session);
  try {
    onBegun?.(begun);
    return await waitAsShell(await startChild(begun.record, options));
  } finally {
    endHeld(hold);
    hold.release();
  }
}
