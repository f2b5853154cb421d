// Control groups of version 2 on a machine whose controllers are all version 1's: a tree that looks like one shows
// what is written where; the kernel's own, without controllers, how groups are killed.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { UserError } from "../error.ts";
import { joinControlGroups, killControlGroups, makeControlGroups, removeControlGroups } from "./cgroup.ts";

const top = "/sys/fs/cgroup";
const group = `${top}/fallthru/x`;
const read = (path: string) => readFileSync(path, "utf8");

describe("version 2 alone", () => {
  beforeEach(() => {
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", top]);
    writeFileSync(`${top}/cgroup.controllers`, "cpuset cpu io memory hugetlb pids\n");
    writeFileSync(`${top}/cgroup.procs`, "");
    const own = /^0::(.*)$/m.exec(read("/proc/self/cgroup"))?.[1] ?? "/";
    mkdirSync(`${top}${own}`, { recursive: true });
  });
  afterEach(() => execFileSync("umount", [top]));

  test("gets each limit in its own file, and the controllers on the way to it", () => {
    makeControlGroups("x", { memoryBytes: 1 << 29, cpus: 1.5, pids: 7 });
    expect(read(`${group}/memory.max`)).toBe(String(1 << 29));
    expect(read(`${group}/cpu.max`)).toBe("150000 100000");
    expect(read(`${group}/pids.max`)).toBe("7");
    // The last of several writes is all that is left in a file.
    expect(read(`${top}/cgroup.subtree_control`)).toBe("+pids");
    expect(read(`${top}/fallthru/cgroup.subtree_control`)).toBe("+pids");
  });

  test("makes no group without limits, and takes no less than the kernel allows", () => {
    makeControlGroups("x", {});
    expect(existsSync(`${top}/fallthru`)).toBe(false);
    makeControlGroups("x", { cpus: 0.001 });
    expect(readdirSync(group)).toEqual(["cpu.max"]);
    expect(read(`${group}/cpu.max`)).toBe("1000 100000");
  });

  test("is joined and left as one, with room for our own threads meanwhile", () => {
    const limits = { memoryBytes: 1 << 29, pids: 7 };
    makeControlGroups("x", limits);
    const goBack = joinControlGroups("x", limits, "come back");
    expect(read(`${group}/cgroup.procs`)).toBe("0");
    expect(Number(read(`${group}/pids.max`))).toBeGreaterThan(7);
    const own = /^0::(.*)$/m.exec(read("/proc/self/cgroup"))?.[1] ?? "/";
    goBack();
    expect(read(`${top}${own}/cgroup.procs`)).toBe("0");
    expect(read(`${group}/pids.max`)).toBe("7");
    joinControlGroups("x", limits, "stay");
    expect(read(`${group}/pids.max`)).toBe("7");
  });

  test("without the controller, says what is missing", () => {
    writeFileSync(`${top}/cgroup.controllers`, "cpuset io\n");
    expect(() => makeControlGroups("x", { memoryBytes: 1 })).toThrow(UserError);
    expect(() => makeControlGroups("x", { memoryBytes: 1 })).toThrow("no cgroup memory controller here");
  });
});

describe("the kernel's version 2", () => {
  beforeEach(() => {
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", top]);
    execFileSync("mount", ["-t", "cgroup2", "cgroup2", top]);
  });
  afterEach(() => {
    for (const point of [top, top]) execFileSync("umount", [point]);
  });

  test("kills a group at once, waits until it is empty, and leaves no parent", async () => {
    mkdirSync(group, { recursive: true });
    const children = [1, 2, 3].map(() =>
      spawn("sh", ["-c", `echo $$ >${group}/cgroup.procs; trap '' TERM; sleep 1000`]),
    );
    const ended = children.map((child) => new Promise((done) => child.on("exit", (_, signal) => done(signal))));
    while (read(`${group}/cgroup.procs`).trim().split("\n").length < 6)
      await new Promise((done) => setTimeout(done, 5));
    killControlGroups("x");
    expect(await Promise.all(ended)).toEqual(["SIGKILL", "SIGKILL", "SIGKILL"]);
    removeControlGroups("x");
    expect(existsSync(`${top}/fallthru`)).toBe(false);
    killControlGroups("x");
    removeControlGroups("x");
  });

  test("keeps the parent while another session has a group", () => {
    mkdirSync(group, { recursive: true });
    mkdirSync(`${top}/fallthru/y`);
    removeControlGroups("x");
    expect(existsSync(`${top}/fallthru/y`)).toBe(true);
    removeControlGroups("y");
    expect(existsSync(`${top}/fallthru`)).toBe(false);
  });
});

test("version 1: members are killed until none is left; one that doesn't die is named", async () => {
  makeControlGroups("x", { pids: 50 });
  const own = "/sys/fs/cgroup/pids/fallthru/x";
  const child = spawn("sh", ["-c", `echo $$ >${own}/cgroup.procs; trap '' TERM; sleep 1000; sleep 1000`]);
  const ended = new Promise((done) => child.once("exit", (_, signal) => done(signal)));
  while (read(`${own}/cgroup.procs`).trim().split("\n").length < 2) await new Promise((done) => setTimeout(done, 5));
  const frozen = `/sys/fs/cgroup/freezer/fallthru-test-${process.pid}`;
  mkdirSync(frozen);
  try {
    writeFileSync(`${frozen}/cgroup.procs`, String(child.pid));
    writeFileSync(`${frozen}/freezer.state`, "FROZEN");
    expect(() => killControlGroups("x", 100)).toThrow(`process ${child.pid} in the session was killed and doesn't die`);
  } finally {
    writeFileSync(`${frozen}/freezer.state`, "THAWED");
    expect(await ended).toBe("SIGKILL");
    rmdirSync(frozen);
  }
  killControlGroups("x");
  removeControlGroups("x");
  expect(existsSync("/sys/fs/cgroup/pids/fallthru")).toBe(false);
});
