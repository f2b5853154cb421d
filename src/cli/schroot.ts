import { processCaller } from "../frontend/schroot/process.ts";
import { schroot } from "../frontend/schroot/schroot.ts";
import { SignalRelay } from "../session/waiting.ts";

/** Does as schroot(1) would. @returns exit status */
export async function runAsSchroot(argv: readonly string[]): Promise<number> {
  using signals = new SignalRelay();
  return await schroot(argv, processCaller(signals));
}
