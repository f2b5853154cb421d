import { spawn } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { basename, join, resolve } from "node:path";
import { readMountInfo } from "../src/mount/mountinfo.ts";
import { run } from "./measure.ts";

/** Where a benchmark works: nothing that it does there is seen by the host. */
export interface Place {
  /** A directory on a disk; it is gone afterwards. */
  readonly base: string;
  /** A copy of the built executable: a build meanwhile doesn't disturb. */
  readonly fallthru: string;
}

/** Set in the process that runs in the name space. */
const variable = "FALLTHRU_BENCH_BASE";

/**
 * Runs `body` in a mount name space of its own, where both programs find their state, their configuration and their
 * mount points empty; whatever is left when it ends goes with it.
 */
export async function inPrivatePlace(body: (place: Place) => void | Promise<void>): Promise<void> {
  const base = process.env[variable];
  if (base === undefined) {
    process.exitCode = await outside();
    return;
  }
  delete process.env[variable];
  delete process.env["FALLTHRU_SESSION"];
  layState(base);
  const fallthru = copyExecutable(base);
  await body({ base, fallthru });
  run([fallthru, "end", "--all"]);
}

/** Starts this very script again in the name space. @returns its exit status */
async function outside(): Promise<number> {
  if (process.getuid?.() !== 0) throw new Error("this needs root");
  const base = mkdtempSync("/var/tmp/fallthru-bench-");
  chmodSync(base, 0o755);
  const inside = ["--mount", "--propagation", "private", "--", process.execPath, ...process.argv.slice(1)];
  const child = spawn("unshare", inside, { stdio: "inherit", env: { ...process.env, [variable]: base } });
  // The keys of the terminal reach the child too; here they must not keep us from clearing up.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  try {
    return await new Promise<number>((done, fail) => {
      child.on("error", fail);
      child.on("exit", (status, signal) => done(signal === null ? (status ?? 1) : 128 + constants.signals[signal]));
    });
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

function layState(base: string): void {
  const configuration = join(base, "etc-schroot");
  if (existsSync("/etc/schroot")) cpSync("/etc/schroot", configuration, { recursive: true, verbatimSymlinks: true });
  rmSync(join(configuration, "chroot.d"), { recursive: true, force: true });
  mkdirSync(join(configuration, "chroot.d"), { recursive: true });
  writeFileSync(join(configuration, "schroot.conf"), "");
  cover("/etc/schroot", configuration);
  const state = makeDir(join(base, "var-lib-schroot"));
  for (const name of ["session", "unpack", "union/overlay", "union/underlay"]) makeDir(join(state, name));
  cover("/var/lib/schroot", state);
  cover("/var/lib/fallthru", makeDir(join(base, "var-lib-fallthru")));
  makeDir(join(base, "run-schroot/mount"));
  cover("/run/schroot", join(base, "run-schroot"));
  const locks = makeDir(join(base, "run-lock-schroot"));
  chmodSync(locks, 0o700); // schroot-listmounts insists on it
  // Where it isn't there yet it stays, empty, on the machine's own /run.
  mkdirSync("/run/lock/schroot", { recursive: true, mode: 0o700 });
  cover("/run/lock/schroot", locks);
  // The host's own sessions: only this name space's copy of their mounts goes.
  while (readMountInfo().some(({ mountPoint }) => mountPoint === "/run/fallthru")) {
    run(["umount", "--recursive", "--lazy", "/run/fallthru"]);
  }
}

function cover(mountPoint: string, directory: string): void {
  run(["mount", "--bind", directory, makeDir(mountPoint)]);
}

function makeDir(path: string): string {
  mkdirSync(path, { recursive: true });
  return path;
}

function copyExecutable(base: string): string {
  const build = resolve(import.meta.dirname, "../build");
  if (!existsSync(join(build, "fallthru"))) throw new Error("build/fallthru is missing: npm run build");
  const bin = makeDir(join(base, "bin"));
  // Written in one piece, as the build writes it and the package lays it: its page cache is of huge pages (tools/align.ts).
  for (const name of ["fallthru", "koffi.node"]) {
    writeFileSync(join(bin, name), readFileSync(join(build, name)), { mode: 0o755 });
  }
  return join(bin, "fallthru");
}

/** Describes a chroot for both programs: the same root, union and profile. @returns its name */
export function describeForBoth(root: string): string {
  if (!existsSync("/usr/bin/schroot")) throw new Error("schroot isn't installed: apt-get install schroot");
  const name = basename(root).replace(/[^a-zA-Z0-9]/g, "-");
  const keys = ["type=directory", `directory=${root}`, "union-type=overlay", "profile=default"];
  const access = ["users=root", "root-users=root"];
  writeFileSync(`/etc/schroot/chroot.d/${name}.conf`, `${[`[${name}]`, ...keys, ...access].join("\n")}\n`);
  return name;
}
