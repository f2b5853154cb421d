import { expressionOf } from "../chroot/expression.ts";
import type { Fd } from "../kernel/fd.ts";
import { O, RESOLVE } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import { openAt, readLinkAt } from "../kernel/file.ts";
import type { Path } from "../kernel/libc.ts";
import { ownEnvironment, verbatimValue } from "../kernel/own.ts";
import { superuserPath, userPath } from "../places.ts";
import type { User } from "./user.ts";

/** Of the caller's variables, those that describe the terminal and the time zone: a clean environment keeps them. */
const kept = ["TERM", "COLORTERM", "NO_COLOR", "TZ"];

/**
 * The environment of a command: the caller's with the session's mark, or a clean one as a login has; without what
 * matches `filter`, an extended regular expression. What is `given` comes last, and isn't filtered.
 */
export function makeEnvironment(
  id: string,
  user: User,
  shell: string,
  options: { preserve: boolean; filter: string | undefined; given: Readonly<Record<string, string>> },
): Record<string, Path> {
  const env = ownEnvironment(options.preserve ? undefined : kept);
  const own = {
    HOME: user.home,
    LOGNAME: user.name,
    USER: user.name,
    SHELL: shell,
    PATH: user.uid === 0 ? superuserPath : userPath,
  };
  for (const [key, value] of Object.entries(own)) {
    // A caller who changes the user gets that user's; otherwise what the caller has is kept, and nothing is added.
    if (!options.preserve || user.uid !== process.getuid?.()) env[key] = value;
  }
  const given: Record<string, Path> = {};
  for (const key in options.given) given[key] = verbatimValue(options.given[key] ?? "");
  return { ...filterEnvironment(env, options.filter), FALLTHRU_SESSION: id, ...given };
}

/** The user's shell, if it is there inside; else bash, else sh. */
export function chooseShell(root: Fd, user: User): string {
  for (const shell of [user.shell, "/bin/bash"]) {
    if (shell !== "" && existsInside(root, shell)) return shell;
  }
  return "/bin/sh";
}

/** Whether a path leads somewhere inside a root, whoever may use it. */
export function existsInside(root: Fd, path: string): boolean {
  const opened = unless(["ENOENT", "ENOTDIR", "ELOOP"], () => openAt(root, path, O.PATH, { resolve: RESOLVE.IN_ROOT }));
  opened?.close();
  return opened !== undefined;
}

/** The caller's own directory, or undefined where it was deleted under them. */
export function callerDirectory(): Path | undefined {
  const directory = readLinkAt(null, "/proc/self/cwd");
  return directory.subarray(-10).toString("latin1") === " (deleted)" ? undefined : directory;
}

const dropped =
  "BASH_ENV|CDPATH|ENV|HOSTALIASES|IFS|KRB5_CONFIG|KRBCONFDIR|KRBTKFILE|KRB_CONF|LD_.*|LOCALDOMAIN|NLSPATH|PATH_LOCALE|RES_OPTIONS|TERMINFO|TERMINFO_DIRS|TERMPATH";

/** What schroot drops where a chroot's description doesn't say (schroot.conf(5), environment-filter). */
export const defaultFilter = `^(${dropped})$`;

function filterEnvironment(env: Record<string, Path>, filter: string | undefined): Record<string, Path> {
  if (filter === undefined) return env;
  const matches = filter === defaultFilter ? matcherOfDefault() : matcherOf(filter);
  const left: Record<string, Path> = {};
  for (const key of Object.keys(env)) if (!matches(key) && env[key] !== undefined) left[key] = env[key];
  return left;
}

/** Nearly every session has it, and to compile it costs a start 0.1 ms. */
function matcherOfDefault(): (key: string) => boolean {
  const names = dropped.split("|");
  return (key) => names.includes(key) || key.startsWith("LD_");
}

/** Whether a variable of this name is kept out by an environment-filter. */
export function matcherOf(filter: string): (key: string) => boolean {
  const expression = expressionOf(filter);
  return (key) => expression.test(key);
}
