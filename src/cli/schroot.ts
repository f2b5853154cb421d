import { exitNow } from "../session/run.ts";

/** Does as schroot(1) would; for who isn't the superuser the service does it. @returns exit status */
export async function runAsSchroot(argv: readonly string[]): Promise<number> {
  if (process.geteuid?.() !== 0) {
    const { askService } = await import("../daemon/client.ts");
    return exitNow(await askService(argv));
  }
  const [{ processCaller }, { schroot }, { SignalRelay }] = await Promise.all([
    import("../frontend/schroot/process.ts"),
    import("../frontend/schroot/schroot.ts"),
    import("../session/waiting.ts"),
  ]);
  using signals = new SignalRelay();
  return await schroot(argv, processCaller(signals));
}
