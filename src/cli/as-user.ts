import { isInside } from "../places.ts";
import { enterSpace } from "../session/rootless/enter.ts";
import { exitNow } from "../session/run.ts";
import type { Verb } from "./commands/index.ts";
import { dispatch, fail } from "./dispatch.ts";

/** Verbs that need no name spaces, or are somebody else's to perform. */
const outside = new Set(
  (
    "chroot add,chroot list,layer list,layer add,layer remove,layer show,mount,mount.fallthru,fallthru,login,login enable,login disable,login status,doctor,completion," +
    "version,probe-worker,serve,daemon,daemon-worker,login-keep,login-save,login-pam,login-count,session-watch,init,__complete"
  ).split(","),
);

/** Verbs that only look: at what is on the disk, where there are no name spaces. */
const looking = new Set(["list", "info"]);

/**
 * Runs one command line for who isn't the superuser: most verbs go on inside the user's name spaces, in this very process
 * and by this very line. @returns the exit status, of what runs outside
 */
export async function dispatchAsUser(argv: readonly string[]): Promise<number> {
  if (!isInside) return dispatch(argv, undefined, { before: (verb, words) => enter(verb, words, argv) });
  const { arriveInside } = await import("../session/rootless/inside.ts");
  let words: readonly string[] = [];
  try {
    words = arriveInside(argv.slice(1));
  } catch (error) {
    return fail(error, argv);
  }
  return exitNow(await dispatch(words));
}

async function enter(verb: Verb, words: readonly string[], argv: readonly string[]): Promise<void> {
  const own = words.includes("--") ? words.slice(0, words.indexOf("--")) : words;
  if (outside.has(verb.name) || own.includes("--help") || own.includes("-h")) return;
  await enterSpace(argv, looking.has(verb.name) ? "look" : "start");
}
