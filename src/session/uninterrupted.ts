import { SignalRelay } from "./waiting.ts";

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
