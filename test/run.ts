import { spawn } from "node:child_process";
import { chmodSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
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

/** Past a file's deadline its container has this long to kill, look for leftovers and clean. */
const graceMs = 30_000;

/** All test files below `folders`, as paths from the top of the repository. */
export function findTestFiles(folders: readonly string[]): string[] {
  return globSync(
    folders.map((folder) => `${folder}/**/*.test.ts`),
    { cwd: top },
  ).toSorted();
}

/** Runs test files one after the other, each contained (see support/contain.ts); prints a line for each. */
export async function runTestFiles(files: readonly string[]): Promise<Counts> {
  let sum: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const file of files) {
    const start = performance.now();
    const { counts, problems, output } = await runTestFile(file);
    const word = counts.failed === 0 ? "ok" : "FAILED";
    const seconds = ((performance.now() - start) / 1000).toFixed(3);
    console.log(
      `${word.padEnd(7)}${file.padEnd(44)} ${String(counts.passed).padStart(4)} passed ${seconds.padStart(9)} s`,
    );
    if (counts.failed > 0)
      console.log([output.trimEnd(), ...problems.map((problem) => `${file}: ${problem}`)].join("\n"));
    sum = {
      passed: sum.passed + counts.passed,
      failed: sum.failed + counts.failed,
      skipped: sum.skipped + counts.skipped,
    };
  }
  return sum;
}

interface FileResult {
  readonly counts: Counts;
  readonly problems: readonly string[];
  readonly output: string;
}

async function runTestFile(file: string): Promise<FileResult> {
  // On a disk, as the product's state is: an upper layer can't lie on every tmpfs or overlay.
  const base = mkdtempSync("/var/tmp/fallthru-test-");
  chmodSync(base, 0o755);
  mkdirSync(join(base, "tmp"), { mode: 0o1777 });
  try {
    const deadlineMs = deadlineSecondsOf(file) * 1000;
    const messages = await contain(file, base, deadlineMs);
    return readResult(base, messages);
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

function deadlineSecondsOf(file: string): number {
  const head = readFileSync(join(top, file), "utf8").split("\n", 10).join("\n");
  const found = /^\/\/ deadline: (\d+)$/m.exec(head);
  return found === null ? defaultDeadlineSeconds : Number(found[1]);
}

/** The container's own messages: normally none. Its mounts go away with it, whatever became of it. */
function contain(file: string, base: string, deadlineMs: number): Promise<string> {
  const program = [process.execPath, join(import.meta.dirname, "support/contain.ts"), file, base, String(deadlineMs)];
  const child = spawn("unshare", ["--mount", "--propagation", "private", "--", ...program], {
    cwd: top,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let messages = "";
  child.stdout.on("data", (data: Buffer) => (messages += data.toString()));
  child.stderr.on("data", (data: Buffer) => (messages += data.toString()));
  const { pid } = child;
  const timer = setTimeout(() => pid !== undefined && process.kill(-pid, "SIGKILL"), deadlineMs + graceMs);
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
  else if (outcome.exitStatus !== 0 && counts.failed === 0 && problems.length === 0) {
    problems.push(`ended with status ${String(outcome.exitStatus)}`);
  }
  return { counts: { ...counts, failed: counts.failed + problems.length }, problems, output };
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
  const files = process.argv.slice(2);
  const { passed, failed, skipped } = await runTestFiles(files.length > 0 ? files : findTestFiles(["src", "test"]));
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}
