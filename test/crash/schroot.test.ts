// deadline: 300
// kill -9 at every system call that changes something, of schroot's actions: session, mounts and file go together.
import { existsSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "bun:test";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, run } from "../support/fallthru.ts";
import { leftovers, type Traces } from "../support/leftovers.ts";
import { killEverywhere } from "./everywhere.ts";
import { describeMarked, expectWholeOrGone, settle } from "./session.ts";

const schroot = join(temporaryDirectory("bin"), "schroot");
const file = "/var/lib/schroot/session/x";
let before: Traces;

beforeAll(async () => {
  symlinkSync(executable, schroot);
  before = await settle(() => describeMarked(["union-type=overlay"]));
});

async function begin(): Promise<void> {
  expect(await run([schroot, "-b", "-c", "tiny", "-n", "x"])).toMatchObject({ status: 0, stdout: "x\n", stderr: "" });
}

/** Whether it is listed says whether it is there; and then it can be run in. */
async function check(): Promise<"whole" | "gone"> {
  await run([executable, "recover"]);
  const isThere = existsSync(file);
  const ran = await run([schroot, "-r", "-c", "x", "-d", "/", "--", "true"]);
  expect(ran.stderr).toBe(isThere ? "" : "E: x: Chroot not found\n");
  expect(await expectWholeOrGone("x", before)).toBe(isThere ? "whole" : "gone");
  return isThere ? "whole" : "gone";
}

test("a killed --begin-session leaves the session with its file, or neither", async () => {
  const { points, whole, gone } = await killEverywhere([schroot, "-b", "-c", "tiny", "-n", "x"], async () => {}, check);
  expect(points).toBeGreaterThan(40);
  expect(whole + gone).toBeGreaterThan(points * 0.9);
  expect(whole).toBeGreaterThan(0);
});

test("a killed --end-session leaves the session with its file, or neither", async () => {
  const { points, whole, gone } = await killEverywhere([schroot, "-e", "-c", "x"], begin, check);
  expect(points).toBeGreaterThan(20);
  expect(whole + gone).toBeGreaterThan(points * 0.9);
  expect(gone).toBeGreaterThan(10);
});

test("fallthru end takes the file away too", async () => {
  await begin();
  expect(await run([executable, "end", "x"])).toMatchObject({ status: 0 });
  expect(leftovers(before)).toEqual([]);
});
