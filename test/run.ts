import { spawn } from "node:child_process";
import { chmodSync, existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, constants } from "node:os";
import { basename, join, resolve } from "node:path";
import { killCgroups, makeCgroups, removeCgroups, version2 } from "./support/cgroup.ts";
import type { Outcome } from "./support/contain.ts";

/** How many tests passed, failed and were skipped. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const top = resolve(import.meta.dirname, "..");

/** What a test file has without a line `// deadline: SECONDS` among its first ten. */
const defaultDeadlineSeconds = 120;

/** That is for a fast machine that does nothing else. Others take longer, and a file that passes ends when it is done. */
const slack = 6;

/** How many run at a time, unless it is said: most files have one process at work, and CI has a limit. */
const usualJobs = Math.min(2, availableParallelism());

/** Names what a run has of its own: its process id follows. */
const prefix = "fallthru-test-";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Past a file's deadline its container has this long to kill, look for leftovers and clean. */
const graceMs = 30_000;

/** All test files below `folders`, as paths from the top of the repository. */
export function findTestFiles(folders: readonly string[]): string[] {
  return globSync(
    folders.map((folder) => `${folder}/**/*.test.ts`),
    { cwd: top },
  ).toSorted();
}

/** Runs test files, `jobs` at a time, each contained (see support/contain.ts); prints a line for each. */
export async function runTestFiles(files: readonly string[], jobs = usualJobs): Promise<Counts> {
  await sweep();
  const sum = { passed: 0, failed: 0, skipped: 0 };
  const waiting = [...files];
  for (const signal of signals) {
    process.once(signal, () => {
      waiting.length = 0;
      process.exitCode = 128 + constants.signals[signal];
    });
  }
  const work = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const start = performance.now();
      const result = await runTestFile(file);
      report(file, result, performance.now() - start);
      for (const key of ["passed", "failed", "skipped"] as const) sum[key] += result.counts[key];
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return sum;
}

function report(file: string, { counts, problems, output }: FileResult, durationMs: number): void {
  const word = counts.failed === 0 ? "ok" : "FAILED";
  const seconds = (durationMs / 1000).toFixed(3).padStart(9);
  console.log(`${word.padEnd(7)}${file.padEnd(44)} ${String(counts.passed).padStart(4)} passed ${seconds} s`);
  if (counts.failed > 0)
    console.log([output.trimEnd(), ...problems.map((problem) => `${file}: ${problem}`)].join("\n"));
}

/** Takes `--jobs N` out of the arguments. */
export function takeJobs(args: readonly string[]): { jobs: number; rest: string[] } {
  const at = args.indexOf("--jobs");
  if (at < 0) return { jobs: usualJobs, rest: [...args] };
  return { jobs: Math.max(1, Math.trunc(Number(args[at + 1])) || 1), rest: args.toSpliced(at, 2) };
}

interface FileResult {
  readonly counts: Counts;
  readonly problems: readonly string[];
  readonly output: string;
}

async function runTestFile(file: string): Promise<FileResult> {
  // On a disk, as the product's state is: an upper layer can't lie on every tmpfs or overlay.
  const base = mkdtempSync(`/var/tmp/${prefix}${process.pid}-`);
  const name = basename(base);
  const groups = makeCgroups(name);
  const interrupt = (): void => {
    killCgroups(name);
  };
  for (const signal of signals) process.on(signal, interrupt);
  try {
    chmodSync(base, 0o755);
    const messages = await contain(file, base, groups, deadlineSecondsOf(file) * 1000);
    return readResult(base, messages);
  } finally {
    for (const signal of signals) process.off(signal, interrupt);
    await removeCgroups(name);
    rmSync(base, { recursive: true, force: true });
  }
}

/** Removes what runs that were killed outright have left. */
async function sweep(): Promise<void> {
  for (const folder of ["/var/tmp", version2()]) {
    const dead = readdirSync(folder).filter((name) => name.startsWith(prefix) && !isAlive(Number(name.split("-")[2])));
    for (const name of dead) {
      if (existsSync(join(version2(), name))) await removeCgroups(name);
      rmSync(join("/var/tmp", name), { recursive: true, force: true });
    }
  }
}

function isAlive(id: number): boolean {
  return existsSync(`/proc/${id}`);
}

function deadlineSecondsOf(file: string): number {
  const head = readFileSync(join(top, file), "utf8").split("\n", 10).join("\n");
  const found = /^\/\/ deadline: (\d+)$/m.exec(head);
  return slack * (found === null ? defaultDeadlineSeconds : Number(found[1]));
}

/** The container's own messages: normally none. Its mounts go away with it, whatever became of it. */
function contain(file: string, base: string, groups: readonly string[], deadlineMs: number): Promise<string> {
  const enter = groups.map((group) => `echo $$ >'${group}'/cgroup.procs`).join(" && ");
  const unshare = `${enter} && exec unshare --mount --cgroup --propagation private -- "$0" "$@"`;
  const program = [process.execPath, join(import.meta.dirname, "support/contain.ts"), file, base, String(deadlineMs)];
  const child = spawn("sh", ["-c", unshare, ...program], {
    cwd: top,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let messages = "";
  child.stdout.on("data", (data: Buffer) => (messages += data.toString()));
  child.stderr.on("data", (data: Buffer) => (messages += data.toString()));
  const timer = setTimeout(() => {
    killCgroups(basename(base));
  }, deadlineMs + graceMs);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", () => {
      clearTimeout(timer);
      done(messages);
    });
  });
}

function readResult(base: string, messages: string): FileResult {
  const output = readOr(join(base, "output"), "") + messages;
  const text = readOr(join(base, "outcome.json"), "");
  const outcome: Outcome =
    text === "" ? { problems: ["its container died"], exitStatus: null } : (JSON.parse(text) as Outcome);
  const counts = countsOf(readOr(join(base, "junit.xml"), ""));
  const problems = [...outcome.problems];
  if (counts.passed + counts.failed + counts.skipped === 0) problems.push("ran no test");
  if (outcome.exitStatus !== 0 && counts.failed === 0 && problems.length === 0) {
    problems.push(`ended with status ${String(outcome.exitStatus)}`);
  }
  // The file itself counts as one more that failed.
  return { counts: { ...counts, failed: counts.failed + Math.min(problems.length, 1) }, problems, output };
}

function countsOf(junit: string): Counts {
  const tag = /<testsuites [^>]*>/.exec(junit)?.[0] ?? "";
  const number = (name: string): number => Number(new RegExp(` ${name}="(\\d+)"`).exec(tag)?.[1] ?? 0);
  const failed = number("failures");
  const skipped = number("skipped");
  return { passed: number("tests") - failed - skipped, failed, skipped };
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise; // The container was killed before it wrote this.
  }
}

if (import.meta.main) {
  const { jobs, rest } = takeJobs(process.argv.slice(2));
  const files = rest.length > 0 ? rest : findTestFiles(["src", "test"]);
  const { passed, failed, skipped } = await runTestFiles(files, jobs);
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode ??= failed > 0 || passed === 0 ? 1 : 0;
}
