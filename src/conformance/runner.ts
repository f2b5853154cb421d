import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Arrangement, Probe } from "./probe.ts";
import { nameOf } from "./probes/index.ts";
import { ownCommand } from "./start.ts";
import type { System } from "./systems.ts";
import type { Message } from "./worker.ts";

/** What came of one probe. */
export type Outcome =
  | { readonly kind: "ok"; readonly ms: number }
  | { readonly kind: "wrong"; readonly what: string; readonly ms: number }
  /** It makes no sense there. */
  | { readonly kind: "left out" };

export type Outcomes = ReadonlyMap<string, Outcome>;

export interface RunOptions {
  /** Where the layers are made: on what the answer depends on; by default the directory for temporary files. */
  readonly directory?: string;
  readonly onOutcome?: (probe: string, outcome: Outcome) => void;
}

/** What a probe without a deadline of its own has. */
const deadlineSeconds = 10;

/**
 * Runs probes on a system, in a process with its own mounts and process ids: one that hangs or crashes is wrong, those
 * after it go on in a new process, and nothing is left.
 */
export async function runProbes(system: System, probes: readonly Probe[], options: RunOptions = {}): Promise<Outcomes> {
  const outcomes = new Map<string, Outcome>();
  const tell = (probe: string, outcome: Outcome): void => {
    outcomes.set(probe, outcome);
    options.onOutcome?.(probe, outcome);
  };
  let waiting = probes.filter((probe) => {
    if (isMeaningful(system, probe)) return true;
    tell(nameOf(probe), { kind: "left out" });
    return false;
  });
  const base = mkdtempSync(join(options.directory ?? tmpdir(), "conformance-"));
  chmodSync(base, 0o755);
  try {
    while (waiting.length > 0) {
      const errors = await runSome(system, waiting, base, tell);
      const left = waiting.filter((probe) => !outcomes.has(nameOf(probe)));
      if (left.length === waiting.length) throw new Error(`${system.id}: the probes' process doesn't start: ${errors}`);
      waiting = left;
    }
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
  return outcomes;
}

/** What makes an image of a lower. */
const packers: Readonly<Partial<Record<Arrangement, string>>> = { squashfs: "mksquashfs", erofs: "mkfs.erofs" };

function isMeaningful(system: System, { needs = [], arrangement = "together" }: Probe): boolean {
  const packer = packers[arrangement];
  if (
    packer !== undefined &&
    !["/usr/bin", "/usr/sbin", "/bin", "/sbin"].some((path) => existsSync(`${path}/${packer}`))
  )
    return false;
  return (system.isUnion || !needs.includes("union")) && (system.isPrivileged || !needs.includes("privilege"));
}

/** Until all are done, or one has taken too long or ended the process. @returns what it wrote to stderr */
function runSome(
  system: System,
  probes: readonly Probe[],
  base: string,
  tell: (probe: string, outcome: Outcome) => void,
): Promise<string> {
  const child = startWorker(system, base);
  const list = `${probes.map(nameOf).join("\n")}\n`;
  if (system.isPrivileged) child.stdin?.end(list);
  else mapUsers(child, () => child.stdin?.end(`\n${list}`));
  let errors = "";
  child.stderr?.on("data", (data: Buffer) => (errors += data.toString()));
  let current: { probe: string; timer: NodeJS.Timeout; start: number } | undefined;
  const settle = (outcome: Outcome): void => {
    if (current === undefined) return;
    clearTimeout(current.timer);
    tell(current.probe, outcome);
    current = undefined;
  };
  const begin = (probe: string): void => {
    const seconds = probes.find((known) => nameOf(known) === probe)?.deadlineSeconds ?? deadlineSeconds;
    const timer = setTimeout(() => {
      settle({ kind: "wrong", what: `hangs: not done after ${seconds} s`, ms: seconds * 1000 });
      child.kill("SIGKILL");
    }, seconds * 1000);
    current = { probe, timer, start: performance.now() };
  };
  createInterface({ input: child.stdout ?? process.stdin }).on("line", (line) => {
    const message = JSON.parse(line) as Message;
    if (message.kind === "begin") begin(message.probe);
    else if (message.wrong === undefined) settle({ kind: "ok", ms: message.ms });
    else settle({ kind: "wrong", what: message.wrong, ms: message.ms });
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => {
      const ms = Math.round(performance.now() - (current?.start ?? 0));
      settle({ kind: "wrong", what: `ends the process: ${String(signal ?? status)} ${errors.trim()}`.trim(), ms });
      resolve(errors);
    });
  });
}

/**
 * The shell is the first process of the new process ids: killed, it takes along whatever was started below it, servers
 * too, even while the worker waits for one of them.
 */
function startWorker(system: System, base: string): ChildProcess {
  const spaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
  const worker = ownCommand("probe-worker", system.id, base);
  const contained = ["unshare", ...spaces, "sh", "-c", '"$@"; exit $?', "sh", ...worker];
  if (system.isPrivileged) return spawn("unshare", contained.slice(1), { stdio: "pipe" });
  const child = spawn("unshare", ["--user", "sh", "-c", 'read go; exec "$@"', "sh", ...contained], { stdio: "pipe" });
  return child;
}

/** Gives a new user name space our own ids. */
function mapUsers(child: ChildProcess, then: () => void): void {
  const own = readlinkSync("/proc/self/ns/user");
  const map = (): void => {
    if (child.pid === undefined || child.exitCode !== null) return;
    if (readlinkSync(`/proc/${child.pid}/ns/user`) === own) {
      setTimeout(map, 1);
      return;
    }
    for (const file of ["uid_map", "gid_map"]) writeFileSync(`/proc/${child.pid}/${file}`, "0 0 65536");
    then();
  };
  map();
}
