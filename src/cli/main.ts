const argv = process.argv.slice(2);
const name = process.argv0.slice(process.argv0.lastIndexOf("/") + 1);
// Called by such a name, as through a link, we do as that program of schroot's would.
const isSchroot = ["schroot", "schroot-mount", "schroot-listmounts"].includes(name);
// As somebody's shell: login(1) and sshd(8) put a dash in front, and hand over a command with -c.
const isShell =
  ["fallthru-login", "-fallthru-login", "-fallthru"].includes(name) || (name === "fallthru" && argv[0] === "-c");

// exit() and not the loop's own end: what a verb left open must not keep the caller waiting.
process.exit(await run());

async function run(): Promise<number> {
  if (isSchroot) return beSchroot();
  if (isShell) return (await import("./login.ts")).beShell(name.startsWith("-"), argv);
  return (await import("./dispatch.ts")).dispatchForUser(argv);
}

/** For who isn't the superuser the service does it. */
async function beSchroot(): Promise<number> {
  if (name !== "schroot" || process.geteuid?.() === 0) return (await import("./schroot-here.ts")).runHere(name, argv);
  const { askService, exitNow } = await import("../daemon/client.ts");
  return exitNow(await askService(argv));
}
