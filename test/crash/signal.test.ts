// deadline: 240
// SIGTERM, SIGHUP and SIGINT, the terminal that is closed, Ctrl-C, timeout(1), and kill -9 of the whole process group.
import { beforeAll, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { leftoversAfter, type Traces } from "../support/leftovers.ts";
import { Terminal } from "../support/terminal.ts";
import { beginMarked, beginUnmounted, describeMarked, expectFate, expectWholeOrGone, settle } from "./session.ts";
import { inject, type Point, pointsOf } from "./strace.ts";

let before: Traces;

beforeAll(async () => {
  before = await settle(describeMarked);
});

const statuses: Readonly<Record<string, number>> = { TERM: 143, HUP: 129, INT: 130 };

const nothing = async (): Promise<void> => {};
const command = ["run", "tiny", "--", "sh", "-c", "sleep 0.02"];

/** Every `step`th point, another offset for each signal. */
async function sample(args: readonly string[], step: number, offset: number): Promise<Point[]> {
  const points = await pointsOf(args);
  return points.filter((_, index) => index % step === offset % step);
}

describe("a signal that ends programs", () => {
  for (const [offset, signal] of ["TERM", "HUP", "INT"].entries()) {
    test(`SIG${signal} at any point of a run leaves nothing, without any further command`, async () => {
      let count = 0;
      for (const point of await sample(command, 4, offset)) {
        const { isReached, status } = await inject(point, `signal=${signal}`, command);
        if (!isReached) continue;
        count++;
        await expectFate(point, async () => {
          expect(await leftoversAfter(before)).toEqual([]);
          expect([0, statuses[signal], null]).toContain(status);
        });
      }
      expect(count).toBeGreaterThan(15);
    });

    for (const [args, prepare] of [
      [["begin", "tiny", "--name", "x"], nothing],
      [["end", "x"], () => beginMarked("x")],
      [["recover"], () => beginUnmounted("x")],
    ] as const) {
      test(`SIG${signal} at any point of ${args[0]} leaves a session that is whole or gone`, async () => {
        await prepare();
        const points = await sample(args, 5, offset);
        await fallthru(["end", "x"]);
        for (const point of points) {
          await prepare();
          const { status, stdout } = await inject(point, `signal=${signal}`, args);
          await expectFate(point, async () => {
            // Without any further command: begun and told, or nothing; recover may leave it as it found it.
            if (args[0] === "begin" && stdout === "") expect(await leftoversAfter(before)).toEqual([]);
            if (args[0] === "end") expect(await leftoversAfter(before)).toEqual([]);
            expect([0, statuses[signal], null]).toContain(status);
            await expectWholeOrGone("x", before);
          });
        }
        expect(points.length).toBeGreaterThan(3);
      });
    }
  }
});

describe("kill -9 of the process group", () => {
  for (const [args, prepare] of [
    [["begin", "tiny", "--name", "x"], nothing],
    [["end", "x"], () => beginMarked("x")],
    [[...command], nothing],
  ] as const) {
    test(`at any point of ${args[0]} leaves a session that is whole or gone`, async () => {
      await prepare();
      const points = await sample(args, args[0] === "end" ? 2 : 5, 1);
      await fallthru(["end", "x"]);
      for (const point of points) {
        await prepare();
        await killGroupAt(point, args);
        await expectFate(point, () => expectWholeOrGone("x", before));
      }
      expect(points.length).toBeGreaterThan(8);
    });
  }

  test("while a run's command and its children go on leaves nothing", async () => {
    const script = "(sleep 100 & sleep 101) & setsid sleep 102 & echo up; sleep 103";
    const child = spawn(executable, ["run", "tiny", "--", "sh", "-c", script], { detached: true, stdio: "pipe" });
    await new Promise((up) => child.stdout.once("data", up));
    const closed = new Promise((done) => child.once("exit", done));
    process.kill(-(child.pid ?? 0), "SIGKILL");
    await closed;
    expect(await fallthru(["recover"])).toMatchObject({ status: 0, stderr: "" });
    expect(await leftoversAfter(before)).toEqual([]);
  });
});

/** Stops the command at the point, and then kills it with all that is in its process group. */
async function killGroupAt(point: Point, args: readonly string[]): Promise<void> {
  const injection = `inject=${point.syscall}:signal=STOP:when=${point.nth}`;
  const flags = ["-o", "/dev/null", "-e", "signal=none", "-e", `trace=${point.syscall}`, "-e", injection];
  const child = spawn("strace", [...flags, executable, ...args], { detached: true, stdio: "ignore" });
  const closed = new Promise((done) => child.once("exit", done));
  const traced = await untilStopped(child);
  if (child.exitCode === null) process.kill(-(child.pid ?? 0), "SIGKILL");
  await closed;
  while (existsSync(`/proc/${traced ?? "none"}`)) await sleep(1);
}

/**
 * A traced process stops for an instant at each of its calls: this waits until it doesn't go on.
 * @returns its id; undefined where it came to its end
 */
async function untilStopped(tracer: ChildProcess): Promise<string | undefined> {
  const { pid = 0 } = tracer;
  let same = "";
  for (let looks = 0; looks < 3 && tracer.exitCode === null; await sleep(2)) {
    const traced = readOr(`/proc/${pid}/task/${pid}/children`).trim();
    const status = readOr(`/proc/${traced}/status`);
    looks = /^State:\s+[tT]/m.test(status) && status === same ? looks + 1 : 0;
    same = status;
  }
  return /^Pid:\s+(\d+)$/m.exec(same)?.[1];
}

function readOr(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // It isn't there yet, or any more.
  }
}

/** A whole run takes about 20 ms; the later ones meet the command at work. */
const momentsMs = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 23, 26, 30, 40, 60, 100, 140, 180, 220, 260];

describe("nothing is left once a run is gone", () => {
  for (const program of ["true", "sleep 100"]) {
    const args = ["run", "tiny", "--", ...program.split(" ")];
    test(`when the terminal is closed under ${program}`, async () => {
      for (const moment of momentsMs) {
        const terminal = new Terminal([executable, ...args]);
        await sleep(moment);
        terminal.hangUp();
        await terminal.ended;
        expect({ moment, left: await leftoversAfter(before) }).toEqual({ moment, left: [] });
      }
    });

    test(`when Ctrl-C is typed under ${program}`, async () => {
      for (const moment of momentsMs) {
        const terminal = new Terminal([executable, ...args]);
        await sleep(moment);
        while ((await Promise.race([terminal.ended, sleep(100, "running")])) === "running") terminal.type("\x03");
        expect({ moment, left: await leftoversAfter(before) }).toEqual({ moment, left: [] });
        terminal.hangUp();
      }
    });

    for (const signal of ["TERM", "INT", "HUP"]) {
      test(`when timeout(1) sends ${program} SIG${signal}`, async () => {
        for (const moment of momentsMs) {
          await run(["timeout", "-s", signal, `${(moment + 1) / 1000}`, executable, ...args]);
          expect({ moment, left: await leftoversAfter(before) }).toEqual({ moment, left: [] });
        }
      });
    }
  }
});
