import { isUsers } from "../places.ts";
import { dispatch } from "./dispatch.ts";

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
  if (isSchroot) return (await import("./schroot.ts")).runAs(name, argv);
  if (isShell) return (await import("./login.ts")).beShell(name.startsWith("-"), argv);
  return isUsers ? (await import("./as-user.ts")).dispatchAsUser(argv) : dispatch(argv);
}
