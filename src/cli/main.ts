import { dispatch } from "./dispatch.ts";

const argv = process.argv.slice(2);
const name = process.argv0.slice(process.argv0.lastIndexOf("/") + 1);
// Called by such a name, as through a link, we do as that program of schroot's would.
const isSchroot = ["schroot", "schroot-mount", "schroot-listmounts"].includes(name);

// exit() and not the loop's own end: what a verb left open must not keep the caller waiting.
process.exit(isSchroot ? await (await import("./schroot.ts")).runAs(name, argv) : await dispatch(argv));
