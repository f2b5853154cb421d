// deadline: 300
// kill -9 at system calls of a start without root that change something, every third of them, or with FALLTHRU_CRASH_STEP=1
// each: the next command works, and leaves nothing.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { executable } from "../support/fallthru.ts";
import { giveTinyRoot, type Someone, someone } from "../support/someone.ts";
import { expectFate } from "./session.ts";
import { inject, pointsOf } from "./strace.ts";

let anna: Someone;

beforeAll(async () => {
  anna = someone();
  await giveTinyRoot(anna);
});

afterAll(() => anna.leave());

/** All of the user's processes, by their command lines; what is dead and only not waited for has none. */
function processes(): string[] {
  return readdirSync("/proc")
    .filter((pid) => Number(pid) > 0)
    .map((pid) => {
      try {
        const isHers = statSync(`/proc/${pid}`).uid === anna.uid;
        return isHers ? readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ").trim() : "";
      } catch {
        return ""; // It has just ended.
      }
    })
    .filter((line) => line !== "");
}

async function expectNothing(): Promise<void> {
  // Killed is not yet dead.
  for (const end = performance.now() + 30_000; processes().length > 0 && performance.now() < end;) await sleep(5);
  expect(processes()).toEqual([]);
  expect(readdirSync(join(anna.state, "sessions")).filter((name) => !name.startsWith("."))).toEqual([]);
  expect(readdirSync(join(anna.state, "sessions/.held"))).toEqual([]);
}

test("a start without root that is killed is gone with the next command", async () => {
  const login = ["/usr/bin/env", "-i", `HOME=${anna.home}`, "USER=anna", "PATH=/usr/bin:/bin"];
  const start = [...login, ...anna.words, executable, "run", "tiny", "--", "true"];
  expect(await anna.fallthru(["run", "tiny", "--", "true"])).toMatchObject({ status: 0, stderr: "" });
  await expectNothing();
  const all = await pointsOf(start, {}, /\.local\/state\/fallthru/);
  await expectNothing();
  expect(all.length).toBeGreaterThan(60);
  const step = Number(process.env["FALLTHRU_CRASH_STEP"] ?? 3);
  const points = all.filter((_, index) => index % step === 0);
  let reached = 0;
  for (const point of points) {
    reached += Number((await inject(point, "signal=KILL", start)).isReached);
    await expectFate(point, async () => {
      expect(await anna.fallthru(["run", "tiny", "--", "id", "-u"])).toMatchObject({
        status: 0,
        stdout: "0\n",
        stderr: "",
      });
      await expectNothing();
    });
  }
  console.log(`killed at ${reached} of ${points.length} points`);
  expect(reached).toBeGreaterThan(points.length * 0.9);
});
