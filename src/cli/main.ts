import { dispatch } from "./dispatch.ts";

const argv = process.argv.slice(2);
// Called by that name, as through a link, we do as schroot would.
const isSchroot = process.argv0.slice(process.argv0.lastIndexOf("/") + 1) === "schroot";

// exit() and not the loop's own end: what a verb left open must not keep the caller waiting.
process.exit(isSchroot ? await (await import("./schroot.ts")).runAsSchroot(argv) : await dispatch(argv));
