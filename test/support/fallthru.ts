import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";

/** What `npm run build` makes; the tests run this one, as a user does. */
export const executable = resolve(import.meta.dirname, "../../build/fallthru");

export interface RunOptions {
  /** What the command reads; without it, nothing. */
  readonly input?: string | Uint8Array;
  /** Added to the environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly directory?: string;
  /** Then the command is killed, and `signal` says so. */
  readonly timeoutMs?: number;
}

export interface RunResult {
  /** Null where a signal ended the command. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs Fallthru to its end: `await fallthru(["run", "tiny", "--", "true"])`. */
export function fallthru(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return run([executable, ...args], options);
}

/** Starts Fallthru and returns at once, for tests that kill it or talk to it; the caller sees to its end. */
export function startFallthru(
  args: readonly string[],
  options: RunOptions & { stdio?: StdioOptions } = {},
): ChildProcess {
  return start([executable, ...args], options);
}

/** Runs any program to its end. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const child = start(command, options);
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin?.on("error", () => {}); // A command needn't read what it is given.
  child.stdin?.end(options.input);
  const timer =
    options.timeoutMs === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), options.timeoutMs);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      done({ status, signal, stdout, stderr });
    });
  });
}

function start(
  [program = "", ...args]: readonly string[],
  options: RunOptions & { stdio?: StdioOptions },
): ChildProcess {
  if (program === executable && !existsSync(executable)) throw new Error(`${executable} is missing: npm run build`);
  return spawn(program, args, {
    cwd: options.directory,
    env: { ...process.env, ...options.env },
    stdio: options.stdio ?? "pipe",
  });
}
