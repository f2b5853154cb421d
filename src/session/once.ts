import { beginAutomatic, type Begun } from "./begin.ts";
import { endAutomatic } from "./end.ts";
import { undoSession } from "./remains.ts";
import { startChild, waitForCommand } from "./run.ts";
import type { CommandOptions, SessionOptions } from "./types.ts";
import { SignalRelay } from "./waiting.ts";

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
  using signals = new SignalRelay();
  const { hold, begun } = await beginAutomatic(source, session);
  let status: number;
  try {
    onBegun?.(begun);
    status = (await signals.early()) ?? (await waitForCommand(await startChild(begun.record, options), signals));
  } catch (error) {
    await undoSession(hold, session.setup);
    throw error;
  }
  const isKept = session.update !== true || status === 0;
  await endAutomatic(hold, { ...session, source: isKept && session.source === true });
  return status;
}
