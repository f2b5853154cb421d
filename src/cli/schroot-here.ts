import { processCaller } from "../frontend/schroot/process.ts";
import { schroot } from "../frontend/schroot/schroot.ts";
import { SignalRelay } from "../session/signals.ts";

/** Does as one of schroot's programs would, by this process's own rights. @returns exit status */
export async function runHere(name: string, argv: readonly string[]): Promise<number> {
  using signals = new SignalRelay();
  const caller = processCaller(signals);
  if (name !== "schroot-mount" && name !== "schroot-listmounts") return await schroot(argv, caller);
  return (await import("../frontend/schroot/mounts.ts")).runMountProgram(name, process.argv0, argv, caller);
}
