// What crashes of the machine, broken disks and other people's files leave keeps nobody from their work, and goes.
import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { fallthru, startFallthru } from "../support/fallthru.ts";
import { leftovers, type Traces } from "../support/leftovers.ts";
import { beginMarked, describeMarked, expectUsable, settle, stateOf } from "./session.ts";
import { inject, pointsOf } from "./strace.ts";

const sessions = "/var/lib/fallthru/sessions";
let before: Traces;

beforeAll(async () => {
  before = await settle(describeMarked);
});

afterEach(async () => {
  await fallthru(["recover"]);
  await fallthru(["end", "--all"]);
  expect(leftovers(before)).toEqual([]);
});

describe("a session without a record, as a power cut leaves it", () => {
  const halfMade = (): void => {
    mkdirSync(`${sessions}/x/layers/0/upper`, { recursive: true });
  };
  test("is listed as a leftover, and cleared by recover", async () => {
    halfMade();
    expect(await stateOf("x")).toBe("leftover");
    expect(await fallthru(["recover"])).toMatchObject({ status: 0, stdout: "removed x\n" });
    expect(leftovers(before)).toEqual([]);
  });
  test("gives way to a begin of its name", async () => {
    halfMade();
    await beginMarked("x");
    await expectUsable("x");
  });
  test("can be ended", async () => {
    halfMade();
    expect(await fallthru(["end", "x"])).toMatchObject({ status: 0 });
    expect(leftovers(before)).toEqual([]);
  });
});

describe("an automatic session's record", () => {
  for (const [name, text] of [
    ["empty", ""],
    ["cut off", '{"version":1,"id":"x",'],
  ] as const) {
    test(`that is ${name} goes with its session`, async () => {
      mkdirSync(`${sessions}/x`);
      writeFileSync(`${sessions}/x/automatic.json`, text);
      expect(await fallthru(["recover"])).toMatchObject({ status: 0, stdout: "removed x\n" });
      expect(leftovers(before)).toEqual([]);
    });
  }
});

describe("a named session's record", () => {
  const damage = {
    "is damaged": () => "garbage\n",
    "is empty": () => "",
    "is a newer Fallthru's": (text: string) => text.replace('"version":1', '"version":99'),
  };
  for (const [name, change] of Object.entries(damage)) {
    test(`that ${name} hides no other session`, async () => {
      await beginMarked("x");
      await beginMarked("y");
      const file = `${sessions}/x/record.json`;
      const text = readFileSync(file, "utf8");
      writeFileSync(file, change(text));
      expect(await stateOf("x")).toBe("unreadable");
      expect(await stateOf("y")).toBe("open");
      expect(await fallthru(["gc"])).toMatchObject({ status: 0, stderr: "" });
      await expectUsable("y");
      await beginMarked("z");
      const recovered = await fallthru(["recover"]);
      expect(recovered.status).toBe(1);
      expect(recovered.stdout).toStartWith("lost x: ");
      const isNewer = name.includes("newer");
      const says = { stderr: expect.stringContaining(isNewer ? "newer" : "damaged") as string };
      expect(await fallthru(["info", "x"])).toMatchObject({ status: isNewer ? 10 : 9, ...says });
      expect(await fallthru(["run", "@x", "--", "true"])).toMatchObject({ status: 125, ...says });
      // What it changed is given up by hand, but not what this version may not understand.
      expect(await fallthru(["end", "x"])).toMatchObject({ status: isNewer ? 10 : 0 });
      if (isNewer) writeFileSync(file, text);
    });
  }
});

test("a leftover that can't be cleared away is told of, and keeps nobody from beginning", async () => {
  mkdirSync(`${sessions}/x/layers/0/busy`, { recursive: true });
  writeFileSync(`${sessions}/.held/x`, "");
  execFileSync("mount", ["-t", "tmpfs", "none", `${sessions}/x/layers/0/busy`]);
  try {
    const begun = await fallthru(["begin", "tiny", "--name", "y"]);
    expect(begun).toMatchObject({ status: 0, stdout: "y\n" });
    expect(begun.stderr).toContain("warning: session x was left by a process that was killed, and can't be cleared");
    expect(await fallthru(["run", "tiny", "--", "echo", "on"])).toMatchObject({ status: 0, stdout: "on\n" });
    await expectUsable("y");
    for (const [verb, word] of [
      ["recover", "lost"],
      ["gc", "stuck"],
    ] as const) {
      const { status, stdout } = await fallthru([verb]);
      expect(status).toBe(1);
      expect(stdout).toStartWith(`${word} x: `);
    }
    expect(await stateOf("x")).toBe("leftover");
  } finally {
    execFileSync("umount", [`${sessions}/x/layers/0/busy`]);
  }
  expect(await fallthru(["recover"])).toMatchObject({ status: 0, stdout: "removed x\n" });
});

describe("an automatic session whose command runs", () => {
  let running: ChildProcess;
  const start = async (): Promise<void> => {
    running = startFallthru(["run", "tiny", "--name", "x", "--", "sh", "-c", "echo up; sleep 100"]);
    await new Promise((up) => running.stdout?.once("data", up));
  };
  const stop = async (): Promise<void> => {
    const closed = new Promise((done) => running.once("close", done));
    running.kill("SIGTERM");
    await closed;
  };
  test("is waited for by nobody", async () => {
    await start();
    try {
      expect(await fallthru(["recover"], { timeoutMs: 30_000 })).toMatchObject({ status: 0, stdout: "" });
      expect(await fallthru(["end", "x"], { timeoutMs: 30_000 })).toMatchObject({ status: 4 });
      expect(await fallthru(["begin", "tiny", "--name", "x"], { timeoutMs: 30_000 })).toMatchObject({ status: 5 });
      expect(await stateOf("x")).toBe("held");
    } finally {
      await stop();
    }
    expect(leftovers(before)).toEqual([]);
  });
});

test("a begin that waits for its name takes it when it is free", async () => {
  writeFileSync(`${sessions}/.held/x`, "");
  const holder = spawn("flock", ["--no-fork", `${sessions}/.held/x`, "sleep", "0.5"]);
  const closed = new Promise((done) => holder.once("close", done));
  await new Promise((done) => setTimeout(done, 100));
  expect(await stateOf("x")).toBeUndefined();
  await beginMarked("x");
  await closed;
  await expectUsable("x");
});

test("too many mounts are not a full disk", async () => {
  const points = await pointsOf(["begin", "tiny", "--name", "x"]);
  await fallthru(["end", "x"]);
  const last = points.findLast(({ syscall }) => syscall === "move_mount");
  if (last === undefined) throw new Error("no move_mount");
  const { status, stderr } = await inject(last, "error=ENOSPC", ["begin", "tiny", "--name", "x"]);
  expect(status).toBe(1);
  expect(stderr).toContain("as many mounts as there may be");
  expect(stderr).toContain("fs.mount-max");
});

test("a lost /var/lib/fallthru hides no session's mounts", async () => {
  await beginMarked("x");
  rmdirSync(`${sessions}/.held`);
  await beginMarked("y");
  await expectUsable("x");
});
