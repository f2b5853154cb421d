import { dispatch } from "./dispatch.ts";

// exit() and not the loop's own end: what a verb left open must not keep the caller waiting.
process.exit(await dispatch(process.argv.slice(2)));
