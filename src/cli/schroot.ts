/** Does as one of schroot's programs would; for who isn't the superuser the service does it. @returns exit status */
export async function runAs(name: string, argv: readonly string[]): Promise<number> {
  if (name === "schroot" && process.geteuid?.() !== 0) {
    const { askService, exitNow } = await import("../daemon/client.ts");
    return exitNow(await askService(argv));
  }
  return (await import("./schroot-here.ts")).runHere(name, argv);
}
