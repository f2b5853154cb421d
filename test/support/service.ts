import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryDirectory } from "./directories.ts";
import { run, type RunOptions, type RunResult } from "./fallthru.ts";

const program = resolve(import.meta.dirname, "../fixtures/service.ts");

/** Accounts that every Debian has. */
export const nobody = { name: "nobody", uid: 65534, gid: 65534 } as const;
export const games = { name: "games", uid: 5, gid: 60 } as const;

export type Account = typeof nobody | typeof games;

/** As this user, with these supplementary groups: words to put before a command. */
export function as(user: Account, groups: readonly number[] = []): string[] {
  const more = groups.length === 0 ? "--clear-groups" : `--groups=${groups.join(",")}`;
  return ["setpriv", `--reuid=${user.uid}`, `--regid=${user.gid}`, more, "--"];
}

/** A service of the test's own, with the front end of test/fixtures/service.ts. */
export class Service implements AsyncDisposable {
  readonly path: string;
  #child: ChildProcess | undefined;
  readonly #env: Readonly<Record<string, string>>;
  readonly #prefix: readonly string[];

  /** @param env of the service itself @param prefix words before its command */
  constructor(env: Readonly<Record<string, string>> = {}, prefix: readonly string[] = []) {
    const directory = temporaryDirectory("service");
    chmodSync(directory, 0o755);
    this.path = join(directory, "socket");
    this.#env = env;
    this.#prefix = prefix;
  }

  get processId(): number {
    return this.#child?.pid ?? 0;
  }

  /** Also in the place of one that was killed. */
  async start(): Promise<this> {
    const [file, ...words] = [...this.#prefix, process.execPath, program, "server", this.path];
    this.#child = spawn(file, words, {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, ...this.#env },
    });
    while ((await this.ask([], ["status", "0"])).status !== 0) await sleep(20);
    return this;
  }

  /** The command line of a client of it. */
  client(words: readonly string[]): string[] {
    return [process.execPath, program, "client", this.path, ...words];
  }

  /** Asks as somebody (see as()), and waits for the end. */
  ask(who: readonly string[], words: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run([...who, ...this.client(words)], options);
  }

  /** The processes that it has started for clients. */
  workers(): number[] {
    return childrenOf(this.processId);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const workers = this.workers();
    await new Promise((done) => {
      child.on("exit", done);
      child.kill("SIGKILL");
    });
    // Those that have nothing to do notice at once.
    this.#left = workers;
  }

  #left: number[] = [];

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    while (this.#left.some(isAlive)) await sleep(10);
  }
}

/** The processes that a process has started and that still are. */
export function childrenOf(pid: number): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((id) => id > 0 && parentOf(id) === pid);
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined; // It has just ended.
  }
}

/** Until each of its threads is a zombie it may still be closing what it had open, and keep a mount busy, or a socket open, with that. */
export function isAlive(pid: number): boolean {
  return threadsOf(pid).some((thread) => {
    try {
      return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1"));
    } catch {
      return false; // It has just ended.
    }
  });
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}
