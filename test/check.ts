// `./check`: see there for its arguments. Each stage prints one line; what a failing one printed is shown whole.
// The last line counts the tests, and each stage as one more of them.
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { type Counts, findTestFiles, runTestFiles, takeJobs } from "./run.ts";

const top = resolve(import.meta.dirname, "..");
const quickFiles = ["test/boundaries.test.ts"];

interface Stage {
  readonly name: string;
  readonly command: readonly string[];
}

const bin = (name: string): string => `node_modules/.bin/${name}`;
const types: Stage = { name: "types", command: [bin("tsc"), "--noEmit", "--project", "."] };
const toolTypes: Stage = { name: "types of tools/", command: [bin("tsc"), "--noEmit", "--project", "tools"] };
const lint: Stage = { name: "lint", command: [bin("oxlint")] };
const format: Stage = { name: "format", command: [bin("oxfmt"), "--check"] };
const deadCode: Stage = { name: "dead code", command: [bin("knip"), "--no-progress"] };
const executable: Stage = { name: "build the executable", command: ["sh", "build.sh", "executable"] };
const library: Stage = { name: "build the library", command: ["sh", "build.sh", "library"] };
/** Made here, so that no test's deadline pays for it. */
const debianRoot: Stage = { name: "Debian root", command: [bin("bun"), "test/support/roots.ts"] };

/** The test files that were named, from the top of the repository, or all of them. */
function chooseFiles(args: readonly string[]): string[] {
  if (args.includes("--quick")) return [...quickFiles, ...findTestFiles(["src"])];
  if (args.length > 0) return args.flatMap((name) => filesOf(relative(top, resolve(name))));
  return findTestFiles(["src", "test"]);
}

function filesOf(name: string): string[] {
  const found = statSync(resolve(top, name), { throwIfNoEntry: false });
  if (found === undefined) {
    console.error(`check: no file ${name}`);
    process.exit(2);
  }
  return found.isDirectory() ? findTestFiles([name]) : [name];
}

function chooseStages(args: readonly string[]): Stage[] {
  if (args.includes("--quick")) return [types, toolTypes, lint, format, executable, ...debianPackages()];
  const always = [executable, library, ...nodeFromNpm(), ...debianPackages()];
  if (args.length > 0) return always;
  return [types, toolTypes, lint, format, deadCode, ...always, debianRoot];
}

/** Where npm ran no install scripts, the package `node` holds no Node yet: this runs its script. */
function nodeFromNpm(): Stage[] {
  if (spawnSync("node_modules/node/bin/node", ["--version"], { cwd: top }).status === 0) return [];
  return [{ name: "Node from npm", command: ["npm", "run", "--prefix", "node_modules/node", "preinstall"] }];
}

/** What test/packages lists and this machine lacks. */
function debianPackages(): Stage[] {
  const listed = readFileSync(resolve(top, "test/packages"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  const query = spawnSync("dpkg-query", ["--show", "--showformat=${db:Status-Status} ${Package}\\n", ...listed]);
  const installed = new Set(query.stdout.toString().split("\n"));
  const missing = listed.filter((name) => !installed.has(`installed ${name}`));
  if (missing.length === 0) return [];
  const install = "apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300";
  const command = `export DEBIAN_FRONTEND=noninteractive; apt-get update -q && ${install} ${missing.join(" ")}`;
  return [{ name: "Debian packages", command: ["sh", "-c", command] }];
}

/** True where the stage succeeded. */
function runStage({ name, command: [program = "", ...args] }: Stage): boolean {
  const start = performance.now();
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: top,
    env: { ...process.env, NO_COLOR: "1" },
    maxBuffer: Infinity,
  });
  const word = status === 0 ? "ok" : "FAILED";
  const seconds = ((performance.now() - start) / 1000).toFixed(3);
  console.log(`${word.padEnd(7)}${name.padEnd(56)} ${seconds.padStart(9)} s`);
  if (status !== 0) console.log(error === undefined ? `${stdout.toString()}${stderr.toString()}` : String(error));
  return status === 0;
}

async function check(words: readonly string[]): Promise<Counts> {
  const { jobs, rest: args } = takeJobs(words);
  const files = chooseFiles(args);
  const stages = chooseStages(args);
  const failed = stages.filter((stage) => !runStage(stage));
  const counts = { passed: stages.length - failed.length, failed: failed.length, skipped: 0 };
  // Tests of an older executable would mislead.
  if (failed.includes(executable)) return counts;
  const tests = await runTestFiles(files, jobs);
  return {
    passed: counts.passed + tests.passed,
    failed: counts.failed + tests.failed,
    skipped: counts.skipped + tests.skipped,
  };
}

if (process.getuid?.() !== 0) {
  console.error("check: the tests need root");
  process.exitCode = 1;
} else {
  const { passed, failed, skipped } = await check(process.argv.slice(2));
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode ??= failed > 0 ? 1 : 0;
}
