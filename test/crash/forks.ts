// Kills a fork, or fills its disk, at each of its points: the session is whole, and the new one whole or gone.
import { expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { appendFileSync, readdirSync } from "node:fs";
import { fallthru } from "../support/fallthru.ts";
import { leftoversAfter, type Traces } from "../support/leftovers.ts";
import { describeTree } from "../support/tree.ts";
import { beginMarked, describeMarked, expectFate, expectUsable, settle, stateOf } from "./session.ts";
import { explainedFull, inject, type Point, pointsOf, takesSpace } from "./strace.ts";

let before: Traces;

export async function settleForForks(): Promise<void> {
  before = await settle(() => {
    describeMarked();
    // A file system of the tree's own, whose files no plan could bring back.
    appendFileSync("/etc/schroot/crash/fstab", "tmpfs /mnt tmpfs defaults 0 0\n");
  });
}

const treeOf = (id: string): string => `/run/fallthru/mount/${id}/${id}`;

/** What is in it but for the kernel's file systems. */
function describeSession(id: string): string[] {
  return ["etc", "var", "root", "usr"].flatMap((name) => describeTree(`${treeOf(id)}/${name}`));
}

/** Something of each kind. What else the tree shows (/home, /dev) is the host's own. */
const change = `echo more >>etc/hostname; mkdir etc/new; echo a >etc/new/a; ln etc/new/a etc/new/b; mv usr/bin usr/other;
  rm etc/passwd; echo kept >mnt/kept; mkdir -p root/deep/er; chmod 711 root`;

async function prepare(options: readonly string[]): Promise<string[]> {
  await beginMarked("x", options);
  const { status, stderr } = spawnSync("sh", ["-ec", change], { cwd: treeOf("x"), encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return describeSession("x");
}

async function expectBoth(was: readonly string[]): Promise<"whole" | "gone"> {
  const recovered = await fallthru(["recover", "--json"]);
  expect(recovered).toMatchObject({ status: 0, stderr: "" });
  expect(JSON.parse(recovered.stdout)).toMatchObject({ lost: [] });
  expect(await stateOf("x")).toBe("open");
  expect(describeSession("x")).toEqual(was as string[]);
  expect(readdirSync(`${treeOf("x")}/mnt`)).toEqual(["kept"]);
  await expectUsable("x");
  const state = await stateOf("y");
  if (state !== undefined) {
    expect(state).toBe("open");
    expect(describeSession("y")).toEqual(was as string[]);
    await expectUsable("y");
  }
  // In either order, and each leaves the other what it has.
  const order = state === undefined ? ["x"] : ["x", "y"];
  for (const id of order) expect(await fallthru(["end", id])).toMatchObject({ status: 0, stderr: "" });
  expect(await leftoversAfter(before)).toEqual([]);
  return state === undefined ? "gone" : "whole";
}

/** How many points there are, and what became of the new session. */
export async function killFork(options: readonly string[], fork: readonly string[]): Promise<Record<string, number>> {
  const args = ["fork", "@x", "--name", "y", ...fork];
  await prepare(options);
  const points: Point[] = await pointsOf(args);
  await fallthru(["end", "--all"]);
  const fates = { whole: 0, gone: 0 };
  for (const point of points) {
    const was = await prepare(options);
    await inject(point, "signal=KILL", args);
    fates[await expectFate(point, () => expectBoth(was))]++;
  }
  return { points: points.length, ...fates };
}

/** Has the disk full, or a quota used up, at each step of a fork. @returns how often it was refused, and how often it did without */
export async function fillFork(fork: readonly string[]): Promise<{ refused: number; done: number }> {
  const args = ["fork", "@x", "--name", "y", ...fork];
  await prepare([]);
  const points = (await pointsOf(args)).filter(takesSpace);
  await fallthru(["end", "--all"]);
  const counts = { refused: 0, done: 0 };
  let was: readonly string[] | undefined;
  for (const [index, point] of points.entries()) {
    was ??= await prepare([]);
    const { isReached, status, stderr } = await inject(point, `error=${index % 2 === 0 ? "ENOSPC" : "EDQUOT"}`, args);
    const isDone = await expectFate(point, async () => {
      const there = describeSession("x");
      expect(there).toEqual([...(was ?? [])]);
      expect(await stateOf("y")).toBe(status === 0 ? "open" : undefined);
      if (status === 0) return true;
      expect([status, stderr]).toEqual([8, expect.stringMatching(explainedFull) as string]);
      return false;
    });
    if (isReached) counts[isDone ? "done" : "refused"]++;
    if (!isDone) continue;
    await expectBoth(was);
    was = undefined;
  }
  // What was refused has left nothing, and the last of all finds the session as it was.
  if (was !== undefined) await expectBoth(was);
  return counts;
}
