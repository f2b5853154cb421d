// Kills a command, or makes the kernel refuse it something, at one chosen system call: strace(1), --inject.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, run, type RunOptions, type RunResult } from "../support/fallthru.ts";

/** One system call of a command's main thread: the `nth` of its kind since the start. */
export interface Point {
  readonly syscall: string;
  readonly nth: number;
  /** As strace shows it, for messages. */
  readonly call: string;
}

/** The calls that change something. Between two of them nothing happens that a kill could make a difference to. */
const changing = [
  ..."mkdir mkdirat mknodat openat openat2 creat rename renameat renameat2 link linkat symlink symlinkat".split(" "),
  ..."unlink unlinkat rmdir write pwrite64 copy_file_range sendfile ftruncate fsync fdatasync syncfs flock ioctl".split(
    " ",
  ),
  ..."fchown fchownat chmod fchmod fchmodat utimensat setxattr lsetxattr fsetxattr".split(" "),
  ..."fsopen fsmount open_tree move_mount mount_setattr mount umount2".split(" "),
  ..."chroot chdir fchdir unshare setns sethostname setgroups setresgid setresuid personality".split(" "),
  ..."clone clone3 fork vfork execve kill tgkill waitid exit_group".split(" "),
];

/** A kind that this architecture lacks is passed over. */
const filter = `trace=${changing.map((name) => `?${name}`).join(",")},?statx`;

/** Where the program's own work starts: before it are the dynamic linker, Bun, and reading the configuration. */
const beginning = /"\/run\/fallthru["/]|"\/var\/lib\/fallthru\/sessions/;

/**
 * Runs `fallthru args` once to its end and returns the points at which it changes something, in order.
 * @param from what its own work starts with
 */
export async function pointsOf(
  args: readonly string[],
  options: RunOptions = {},
  from: RegExp = beginning,
): Promise<Point[]> {
  const file = join(temporaryDirectory("trace"), "trace");
  const result = await run(["strace", "-o", file, "-e", "signal=none", "-e", filter, ...commandOf(args)], options);
  if (result.status !== 0) throw new Error(`${args.join(" ")} ended with ${String(result.status)}:\n${result.stderr}`);
  const counts = new Map<string, number>();
  const points: Point[] = [];
  let isBegun = false;
  for (const call of readFileSync(file, "utf8").split("\n")) {
    const syscall = /^\w+(?=\()/.exec(call)?.[0];
    if (syscall === undefined) continue;
    const nth = (counts.get(syscall) ?? 0) + 1;
    counts.set(syscall, nth);
    isBegun ||= from.test(call);
    if (isBegun && isChange(syscall, call)) points.push({ syscall, nth, call });
  }
  return points;
}

/** Arguments for Fallthru; or a whole command, whose first word is a path. */
function commandOf(args: readonly string[]): readonly string[] {
  return args[0]?.startsWith("/") === true ? args : [executable, ...args];
}

/** What only looks, or asks a terminal's state, is none. */
function isChange(syscall: string, call: string): boolean {
  if (syscall.startsWith("openat")) return call.includes("O_CREAT");
  // getxattrat(2) and listxattrat(2), which this strace doesn't know, and so shows unasked and can't inject into.
  if (syscall === "syscall_0x1d0" || syscall === "syscall_0x1d1") return false;
  return syscall !== "statx" && !(syscall === "ioctl" && call.includes("TCGETS"));
}

/** Calls that a full disk, or a quota, makes fail; what was reserved is written over. */
export function takesSpace({ syscall, call }: Point): boolean {
  return (
    /^(mkdir|mknod|openat|link|symlink|rename|write|pwrite|copy_file|sendfile|l?setxattr|fsetxattr)/.test(syscall) &&
    !/^write\([12],/.test(call) &&
    (!call.startsWith("openat") || call.includes("O_CREAT"))
  );
}

/** What is said then. */
export const explainedFull =
  /^fallthru: (the file system of|a quota of the file system of) \/.*\nhint: free some space there/;

/** Those that src/kernel makes again when they fail, to be sure of errno (quick): they fail again. Others are node:fs's. */
const repeated = new Set([
  ..."openat2 mkdirat mknodat unlinkat renameat2 linkat symlinkat fchownat fchmodat utimensat lsetxattr fsetxattr".split(
    " ",
  ),
  ..."fsopen fsmount open_tree move_mount mount_setattr umount2".split(" "),
  ..."chroot chdir fchdir unshare setns setgroups setresgid setresuid personality execve".split(" "),
]);

function again({ syscall, nth }: Point, what: string): string {
  return what.startsWith("error=") && repeated.has(syscall) ? `..${nth + 1}` : "";
}

export interface Injected extends RunResult {
  /** Whether the point was reached: start-up isn't the same every time. */
  readonly isReached: boolean;
  /** That was made to fail, as strace shows it. */
  readonly call: string;
}

/**
 * Runs `fallthru args` and does `what` when its main thread comes to `point`: `signal=KILL` before the call is made,
 * other signals right after it, `error=ENOSPC` instead of it.
 * @param further injections as strace takes them, at whatever points they name
 */
export async function inject(
  point: Point,
  what: string,
  args: readonly string[],
  further: readonly string[] = [],
): Promise<Injected> {
  const file = join(temporaryDirectory("trace"), "trace");
  const injection = `inject=${point.syscall}:${what}:when=${point.nth}${again(point, what)}`;
  // Only what is traced is injected into.
  const traced = [point.syscall, ...further.map((each) => each.slice("inject=".length, each.indexOf(":")))];
  const flags = ["-o", file, "-e", "signal=none", "-e", `trace=${traced.join(",")}`];
  const injections = [injection, ...further].flatMap((each) => ["-e", each]);
  const result = await run(["strace", ...flags, ...injections, ...commandOf(args)]);
  const trace = existsSync(file) ? readFileSync(file, "utf8") : "";
  const calls = trace.split("\n").filter((line) => line.startsWith(`${point.syscall}(`));
  return { ...result, isReached: calls.length >= point.nth, call: calls[point.nth - 1] ?? "" };
}
