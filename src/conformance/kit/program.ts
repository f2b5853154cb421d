import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { Wrong } from "./assert.ts";
import { defer } from "./kernel.ts";

export interface Result {
  readonly status: number | null;
  readonly out: string;
  readonly error: string;
}

/** Runs a program to its end; as another user with setpriv(1). */
export function run(argv: readonly string[], options: { cwd?: string; input?: string } = {}): Result {
  const [program = "", ...args] = argv;
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: options.cwd,
    input: options.input,
    timeout: 15_000,
    killSignal: "SIGKILL",
    env: { PATH: process.env["PATH"], LC_ALL: "C" },
  });
  return { status, out: stdout?.toString("latin1") ?? "", error: stderr?.toString("latin1") ?? String(error) };
}

/** A shell script's output; throws where it fails. */
export function sh(script: string, cwd = "/"): string {
  const { status, out, error } = run(["sh", "-euc", script], { cwd });
  if (status !== 0) throw new Wrong(`${script}: status ${status}: ${error.trim()}`);
  return out;
}

export function asUser(uid: number, argv: readonly string[]): readonly string[] {
  return ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", ...argv];
}

/** Starts a program; it ends with the probe at the latest. */
export function start(argv: readonly string[], cwd = "/"): ChildProcess {
  const [program = "", ...args] = argv;
  const child = spawn(program, args, { cwd, stdio: ["pipe", "pipe", "pipe"] });
  child.on("error", () => {});
  defer(() => void child.kill("SIGKILL"));
  return child;
}

export function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => {
    child.on("exit", (status) => {
      resolve(status);
    });
  });
}

/** Waits for a line of a program's output. */
export function line(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.on("data", (data: Buffer) => {
      text += data.toString("latin1");
      if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
    });
    child.on("exit", () => {
      reject(new Wrong(`${child.spawnfile} ended, having printed ${JSON.stringify(text)}`));
    });
  });
}

/** Throws what `problem` says, unless that is undefined after some time. */
export async function eventually(problem: () => string | undefined, withinMs = 5000): Promise<void> {
  const end = performance.now() + withinMs;
  for (;;) {
    const wrong = problem();
    if (wrong === undefined) return;
    if (performance.now() > end) throw new Wrong(wrong);
    await new Promise((wake) => setTimeout(wake, 5));
  }
}

/** Nothing else is done meanwhile. */
export function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
