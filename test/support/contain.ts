// Runs one test file: `contain.ts FILE BASE DEADLINE_MS`, started by test/run.ts in a mount namespace of its own.
// It lays fresh state over the product's fixed paths, runs the file in a session of its own, and afterwards looks for
// what was left behind.
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readMountInfo } from "../../src/mount/mountinfo.ts";
import { enterCgroups } from "./cgroup.ts";
import { leftoversAfter, traces } from "./leftovers.ts";

/** What became of a test file, besides what its own report says. */
export interface Outcome {
  /** Null where a signal ended it. */
  readonly exitStatus: number | null;
  /** Each makes the file fail. */
  readonly problems: readonly string[];
}

/** The product's fixed paths get state of their own, on the disk that `base` is on. */
function layFreshState(base: string): void {
  const state = makeDir(join(base, "state"));
  const schroot = makeDir(join(base, "schroot"));
  copySchrootProfiles(schroot);
  execFileSync("mount", ["--bind", state, makeDir("/var/lib/fallthru")]);
  execFileSync("mount", ["--bind", schroot, makeDir("/etc/schroot")]);
  execFileSync("mount", ["--bind", makeDir(join(base, "schroot-state")), makeDir("/var/lib/schroot")]);
  // The host's own sessions: only this name space's copy of their mounts goes.
  const run = makeDir("/run/fallthru");
  while (readMountInfo().some(({ mountPoint }) => mountPoint === run)) {
    execFileSync("umount", ["--recursive", "--lazy", run]);
  }
  mkdirSync(join(base, "tmp"));
  chmodSync(join(base, "tmp"), 0o1777);
}

/** schroot's stock profiles, and no chroots. */
function copySchrootProfiles(to: string): void {
  if (existsSync("/etc/schroot")) {
    for (const entry of readdirSync("/etc/schroot", { withFileTypes: true })) {
      if (!entry.isDirectory() || entry.name === "chroot.d") continue;
      cpSync(join("/etc/schroot", entry.name), join(to, entry.name), { recursive: true });
    }
  }
  makeDir(join(to, "chroot.d"));
  writeFileSync(join(to, "schroot.conf"), "");
}

function makeDir(path: string): string {
  mkdirSync(path, { recursive: true });
  return path;
}

/** Runs the file to its end or its deadline. */
function runFile(file: string, base: string, deadlineMs: number): Promise<Outcome> {
  const output = openSync(join(base, "output"), "w");
  const report = ["--reporter=junit", `--reporter-outfile=${join(base, "junit.xml")}`];
  const child = spawn(process.execPath, ["test", `--timeout=${deadlineMs * 0.9}`, ...report, `./${file}`], {
    detached: true,
    stdio: ["ignore", output, output],
    env: { ...process.env, FALLTHRU_SESSION: undefined },
  });
  const problems: string[] = [];
  const timer = setTimeout(() => {
    problems.push(`took longer than its deadline of ${deadlineMs / 1000} s`);
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  }, deadlineMs);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("exit", (exitStatus, signal) => {
      clearTimeout(timer);
      if (signal !== null && problems.length === 0) problems.push(`was ended by ${signal}`);
      done({ exitStatus, problems });
    });
  });
}

/** All else goes with the name space, the cgroup and `base`; a loop device belongs to the machine. */
function freeLoopDevice(trace: string): void {
  const device = /^loop device (\/dev\/\w+) /.exec(trace)?.[1];
  if (device !== undefined) execFileSync("losetup", ["--detach", device]);
}

const [file = "", base = "", deadline = ""] = process.argv.slice(2);
process.env["TMPDIR"] = join(base, "tmp");
enterCgroups();
layFreshState(base);
const before = traces();
const { exitStatus, problems } = await runFile(file, base, Number(deadline));
const left = await leftoversAfter(before);
const outcome: Outcome = { exitStatus, problems: [...problems, ...left.map((trace) => `left behind: ${trace}`)] };
writeFileSync(join(base, "outcome.json"), JSON.stringify(outcome));
for (const trace of left) freeLoopDevice(trace);
