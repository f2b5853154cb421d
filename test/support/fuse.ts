// Starts servers of test file systems. The test itself never touches what they serve: it has others do so, client().
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { ServerArguments } from "../fixtures/fuse-server.ts";
import { temporaryDirectory } from "./directories.ts";
import { run, type RunResult } from "./fallthru.ts";

const fixture = join(import.meta.dirname, "../fixtures/fuse-server.ts");

/** A server in a process of its own. */
export class Server implements AsyncDisposable {
  readonly mountPoint: string;
  readonly process: ChildProcess;
  #output = "";

  constructor(mountPoint: string, child: ChildProcess) {
    this.mountPoint = mountPoint;
    this.process = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
  }

  /** Waits until it has printed a line that matches. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      const line = this.#output.split("\n").find((text) => pattern.test(text));
      if (line !== undefined) return line;
      if (this.process.exitCode !== null || this.process.signalCode !== null) throw new Error(`ended: ${this.#output}`);
      await new Promise((wake) => setTimeout(wake, 5));
    }
  }

  async kill(): Promise<void> {
    const ended = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.kill();
    await run(["umount", "--lazy", this.mountPoint]);
  }
}

/** Starts a server, of `device` where that is given. */
export function startServer(args: ServerArguments, mountPoint: string, device?: number): Server {
  const child = spawn(process.execPath, [fixture, JSON.stringify(args)], {
    stdio: ["ignore", "pipe", "inherit", ...(device === undefined ? [] : [device])],
  });
  return new Server(mountPoint, child);
}

/** Mounts and serves a new file system. */
export async function serveNew(args: ServerArguments = {}): Promise<Server> {
  const mountPoint = temporaryDirectory("fuse");
  const server = startServer({ ...args, mountPoint }, mountPoint);
  await server.line(/^ready$/);
  return server;
}

/** Runs a shell script inside the mount, in a process of its own; throws where it fails. */
export async function client(server: Server, script: string): Promise<string> {
  const result = await tryClient(server, script);
  if (result.status !== 0) throw new Error(`${script}: ${String(result.status ?? result.signal)}: ${result.stderr}`);
  return result.stdout;
}

export function tryClient(server: Server, script: string): Promise<RunResult> {
  return run(["sh", "-euc", `cd '${server.mountPoint}'\n${script}`], { timeoutMs: 60_000 });
}

/** As client(), for what no shell does: TypeScript in a process of its own. */
export async function clientScript(server: Server, script: string): Promise<string> {
  const source = `process.chdir(${JSON.stringify(server.mountPoint)});\n${script}`;
  const result = await run([process.execPath, "-e", source], {
    timeoutMs: 60_000,
    directory: join(import.meta.dirname, "../.."),
  });
  if (result.status !== 0) throw new Error(`${script}: ${String(result.status ?? result.signal)}: ${result.stderr}`);
  return result.stdout;
}
