// deadline: 240
// A login where there is no room, or too few of anything: one message that names what is full, and a shell on the machine's own root only
// where the administrator chose that. Nothing is left, and the next login gets in when there is room again.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import {
  alice,
  bob,
  carol,
  dave,
  describeLogin,
  firstProcesses,
  loginBy,
  makeMachine,
  ownProcesses,
  startService,
  unmakeMachine,
  untilNothingIsLeft,
} from "../support/logins.ts";
import { tinyRoot } from "../support/roots.ts";

const [state, running] = ["/var/lib/fallthru", "/run/fallthru"];
const tiny = tinyRoot();

beforeAll(async () => {
  makeMachine();
  const common = ["setup.nssdatabases="];
  describeLogin("strict", tiny, ["login.users=alice", ...common]);
  describeLogin("bound", tiny, ["login.users=bob", "login.sudo=yes", ...common]);
  describeLogin("spare", tiny, ["login.users=carol", "login.on-failure=host", ...common]);
  describeLogin("bound-spare", tiny, ["login.users=dave", "login.sudo=yes", "login.on-failure=host", ...common]);
  for (const [path, mode] of [
    [state, "755"],
    [running, "711"],
  ] as const) {
    mkdirSync(path, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=16m,mode=${mode}`, "tmpfs", path]);
  }
  await startService();
  for (const person of [alice, bob, carol, dave]) expect(await loginBy(person)).toMatchObject({ stdout: "inside\n" });
  await untilNothingIsLeft();
});

afterAll(async () => {
  await unmakeMachine();
  for (const path of [state, running]) execFileSync("umount", ["--lazy", path]);
});

async function expectRefusal(what: RegExp, outer: readonly string[] = []): Promise<void> {
  for (const person of [alice, bob]) {
    const { status, stdout, stderr } = await loginBy(person, { outer });
    expect({ status, stdout, stderr }).toEqual({
      status: 1,
      stdout: "",
      stderr: expect.stringMatching(what) as string,
    });
    expect(stderr).toMatch(/^fallthru: you can't log in here: .*\n(hint: .*\n)?$/);
  }
  for (const person of [carol, dave]) {
    const { status, stdout, stderr } = await loginBy(person, { outer });
    expect({ status, stdout, stderr }).toEqual({
      status: 0,
      stdout: "outside\n",
      stderr: expect.stringMatching(what) as string,
    });
    expect(stderr).toMatch(/^fallthru: you are on this machine's own root: .*\n(hint: .*\n)?$/);
  }
  expect([...firstProcesses(), ...ownProcesses("bounded")]).toEqual([]);
}

async function expectLogins(): Promise<void> {
  for (const person of [alice, bob]) expect(await loginBy(person)).toMatchObject({ status: 0, stdout: "inside\n" });
  await untilNothingIsLeft();
}

/** Leaves only so many inodes free on a tmpfs. */
function leaveInodes(path: string, count: number): void {
  const used = Number(execFileSync("df", ["--output=iused", path], { encoding: "utf8" }).split("\n")[1]);
  execFileSync("mount", ["-o", `remount,nr_inodes=${used + count}`, path]);
}

test.each([
  [state, 1, /: the file system of \/var\/lib\/fallthru\/sessions\S* is full: .*\nhint: .*, or .*: login\.upper\n$/],
  [state, 4, /: the file system of \/var\/lib\/fallthru\/sessions\S* is full: mkdir /],
  // Where overlayfs has no inode for its work directory, it is read-only without a word.
  [state, 9, /is full: make the overlay's work directory in \S+: no space left on device/],
  [running, 1, /: the file system of \/run\/fallthru is full: mkdir .*\nhint: .*mount -o remount,nr_inodes=0/],
])("%s has only %d inodes left", async (path, count, what) => {
  leaveInodes(path, count);
  try {
    await expectRefusal(what);
  } finally {
    execFileSync("mount", ["-o", "remount,nr_inodes=100000", path]);
  }
  await expectLogins();
});

test("the state directory's file system has no space left", async () => {
  execFileSync("sh", ["-c", `dd if=/dev/zero of=${state}/big 2>/dev/null || true`]);
  try {
    await expectRefusal(/: the file system of \/var\/lib\/fallthru\/sessions\S* is full: /);
  } finally {
    execFileSync("rm", [`${state}/big`]);
  }
  await expectLogins();
});

test("a limit of open files that suffices for a shell does so for one whose root is bound, and is the shell's", async () => {
  const limited = await loginBy(bob, {
    outer: ["prlimit", "--nofile=10:10", "--"],
    script: "ulimit -Hn; ulimit -Sn",
  });
  expect(limited).toMatchObject({ status: 0, stdout: "10\n10\n", stderr: "" });
  await untilNothingIsLeft();
});
