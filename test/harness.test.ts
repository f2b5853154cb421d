// The harness itself: what it must notice, and that nothing of it stays.
import { describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { cgroups, version2 } from "./support/cgroup.ts";

describe("runTestFiles()", () => {
  const cases = [
    { wrong: "nothing", says: "", last: "1 passed, 0 failed, 0 skipped" },
    { wrong: "mount", says: "left behind: mount [0-9]+: tmpfs on .*/leave", last: "1 passed, 1 failed, 0 skipped" },
    { wrong: "process", says: "left behind: process [0-9]+: sleep 1000", last: "1 passed, 1 failed, 0 skipped" },
    { wrong: "cgroup", says: "left behind: cgroup .*/fallthru-left", last: "1 passed, 1 failed, 0 skipped" },
    {
      wrong: "record",
      says: "left behind: record /var/lib/fallthru/sessions/left",
      last: "1 passed, 1 failed, 0 skipped",
    },
    {
      wrong: "loop",
      says: "left behind: loop device /dev/loop[0-9]+ of .*disk",
      last: "1 passed, 1 failed, 0 skipped",
    },
    { wrong: "death", says: "was ended by SIGKILL", last: "0 passed, 1 failed, 0 skipped" },
    { wrong: "failure", says: "toBe", last: "0 passed, 1 failed, 0 skipped" },
    { wrong: "endless", says: "deadline|timed out", last: "0 passed, 1 failed, 0 skipped" },
    { wrong: "blocked", says: "deadline", last: "0 passed, 1 failed, 0 skipped" },
    { wrong: "no-test", says: "ran no test", last: "0 passed, 1 failed, 0 skipped" },
  ];
  for (const { wrong, says, last } of cases) {
    test(`counts a file with ${wrong} and cleans up after it`, async () => {
      const { output, status, id } = await run(wrong);
      expect(output).toMatch(new RegExp(says));
      expect(output.trimEnd().split("\n").at(-1)).toBe(last);
      expect(status).toBe(wrong === "nothing" ? 0 : 1);
      expectNothingLeft(id);
    });
  }
});

test("an interrupted run leaves nothing", async () => {
  const child = runner("endless");
  const closed = new Promise((done) => child.on("close", done));
  await new Promise((done) => setTimeout(done, 700));
  child.kill("SIGINT");
  expect(await closed).toBe(130);
  expectNothingLeft(child.pid);
});

function runner(wrong: string): ReturnType<typeof spawn> {
  return spawn(process.execPath, ["test/run.ts", "test/fixtures/leave.ts"], {
    env: { ...process.env, LEAVE: wrong },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function run(wrong: string): Promise<{ output: string; status: number | null; id: number | undefined }> {
  const child = runner(wrong);
  let output = "";
  child.stdout?.on("data", (data: Buffer) => (output += data.toString()));
  child.stderr?.on("data", (data: Buffer) => (output += data.toString()));
  const status = await new Promise<number | null>((done) => child.on("close", done));
  return { output, status, id: child.pid };
}

/** Our own harness's cgroup and directory are there, the nested one's are not. */
function expectNothingLeft(id: number | undefined): void {
  expect(cgroups()).toEqual([join(version2(), "tests")]);
  expect(readdirSync("/var/tmp").filter((name) => name.startsWith(`fallthru-test-${id}-`))).toEqual([]);
  expect(existsSync("/var/lib/fallthru/sessions")).toBe(false);
}
