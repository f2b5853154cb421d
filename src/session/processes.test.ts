import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, readlinkSync, renameSync, rmdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { tinyRoot } from "../../test/support/roots.ts";
import { UserError } from "../error.ts";
import { statAt } from "../kernel/file.ts";
import { describeProcess, hasMounted, killInside, lookInside, processesInside } from "./processes.ts";

/** Stands for a session's mount point: a file system of its own. */
const root = temporaryDirectory("mounted");
beforeAll(() => {
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", root]);
  execFileSync("cp", ["-a", `${tinyRoot()}/.`, root]);
});
afterAll(() => execFileSync("umount", [root]));

function start(script: string): { pid: number; ended: Promise<unknown> } {
  const child = spawn("chroot", [root, "/bin/sh", "-c", script], { stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise((done) => child.once("exit", (_, signal) => done(signal)));
  return { pid: child.pid ?? 0, ended };
}

async function untilInside(count: number): Promise<number[]> {
  for (;;) {
    const found = processesInside(root);
    if (found.length === count) return found;
    await new Promise((done) => setTimeout(done, 5));
  }
}

test("killInside() kills all and says how many there were, and no others", async () => {
  expect([killInside(root), processesInside(root)]).toEqual([0, []]);
  const outside = spawn("sleep", ["1000"], { cwd: root, stdio: "ignore" });
  const { pid, ended } = start("trap '' TERM; sleep 1000; while :; do :; done");
  const found = await untilInside(2);
  expect(found).toContain(pid);
  expect(describeProcess(pid)).toEqual({ pid, command: "/bin/sh -c trap '' TERM; sleep 1000; while :; do :; done" });
  expect(killInside(root)).toBe(2);
  expect(await ended).toBe("SIGKILL");
  expect(outside.exitCode).toBeNull();
  outside.kill();
});

test("whoever has the root that everybody has isn't inside, whatever is mounted there", () => {
  const bound = temporaryDirectory("bound");
  execFileSync("mount", ["--bind", "/", bound]);
  try {
    // Not killInside(): where this is wrong, that is the machine's end.
    expect(processesInside(bound)).toEqual([]);
  } finally {
    execFileSync("umount", [bound]);
  }
});

test("who is just ending has nothing mounted any more", async () => {
  const { dev } = statAt(null, root);
  // It starts one that ends, and never asks how.
  const parent = spawn("sh", ["-c", "sleep 0 & exec sleep 1000"], { stdio: "ignore" });
  expect(hasMounted(parent.pid ?? 0, dev)).toBe(true);
  const states = /^\d+ \(.*\) Z/;
  for (let tries = 0; ; tries++) {
    const [zombie] = readFileSync(`/proc/${parent.pid}/task/${parent.pid}/children`, "utf8").split(" ");
    if (zombie !== "" && states.test(readFileSync(`/proc/${zombie}/stat`, "utf8"))) {
      expect(hasMounted(Number(zombie), dev)).toBe(false);
      break;
    }
    expect(tries).toBeLessThan(1000);
    await new Promise((done) => setTimeout(done, 5));
  }
  parent.kill();
});

test("a root whose name only begins like this one is another's", async () => {
  const other = `${root}-other`;
  execFileSync("cp", ["-a", root, other]);
  const child = spawn("chroot", [other, "/bin/sleep", "1000"], { stdio: "ignore" });
  await new Promise((done) => setTimeout(done, 50));
  expect(processesInside(root)).toEqual([]);
  child.kill();
  execFileSync("rm", ["-rf", other]);
});

/** A directory so deep that twice as deep is more than the 4096 bytes of a path that Linux tells. */
function deepDirectory(top: string): string {
  const directory = join(top, ...Array.from({ length: 11 }, () => "d".repeat(250)));
  mkdirSync(directory, { recursive: true });
  return directory;
}

test("a working directory or root whose path is too long to be told hides nobody, and is no hindrance", async () => {
  const elsewhere = temporaryDirectory("far");
  const [standingAt, insideAt, elsewhereAt] = [join(root, "standing"), join(root, "inside"), join(elsewhere, "half")];
  const standing = spawn("sleep", ["1000"], { cwd: deepDirectory(standingAt), stdio: "ignore" });
  const rootDir = deepDirectory(insideAt);
  copyFileSync(join(root, "bin/busybox"), join(rootDir, "busybox"));
  const inside = spawn("chroot", [rootDir, "/busybox", "sleep", "1000"], { stdio: "ignore" });
  const ended = new Promise((done) => inside.once("exit", (_, signal) => done(signal)));
  const other = spawn("sleep", ["1000"], { cwd: deepDirectory(elsewhereAt), stdio: "ignore" });
  try {
    await untilInside(1);
    for (const half of [standingAt, insideAt])
      renameSync(half, join(deepDirectory(join(root, "deeper")), basename(half)));
    renameSync(elsewhereAt, join(deepDirectory(join(elsewhere, "deeper")), "half"));
    expect(() => readlinkSync(`/proc/${other.pid}/cwd`)).toThrow("ENAMETOOLONG");
    expect(lookInside(root)).toMatchObject({ inside: [inside.pid], standing: [standing.pid] });
    expect(killInside(root)).toBe(1);
    expect(await ended).toBe("SIGKILL");
  } finally {
    for (const child of [other, standing, inside]) child.kill("SIGKILL");
  }
});

test("killInside() names a process that doesn't die", async () => {
  // A frozen group of version 1: its processes die only when they are thawed.
  const group = `/sys/fs/cgroup/freezer/fallthru-test-${process.pid}`;
  mkdirSync(group);
  const { pid, ended } = start("exec sleep 1000");
  await untilInside(1);
  try {
    writeFileSync(`${group}/cgroup.procs`, String(pid));
    writeFileSync(`${group}/freezer.state`, "FROZEN");
    expect(() => killInside(root, 100)).toThrow(
      new UserError("busy", `process ${pid} in the session was killed and doesn't die`),
    );
  } finally {
    writeFileSync(`${group}/freezer.state`, "THAWED");
    expect(await ended).toBe("SIGKILL");
    rmdirSync(group);
  }
});

test("processes that are gone, or the kernel's own, are no hindrance", () => {
  expect(describeProcess(2)).toEqual({ pid: 2, command: "" });
  expect(describeProcess(99_999_999)).toEqual({ pid: 99_999_999, command: "" });
  expect(processesInside(`${temporaryDirectory()}/nowhere`)).toEqual([]);
});
