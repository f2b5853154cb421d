// A commit and an undo that are killed: what lies below the session is as before or as after.
import { expect } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describeChroot, makeBareProfile } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { leftoversAfter, type Traces, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import { describeTree } from "../support/tree.ts";
import { expectFate } from "./session.ts";
import { explainedFull, inject, type Point, pointsOf, takesSpace } from "./strace.ts";

const root = tinyRoot();
let clean: Traces;

/** Makes the chroot that is committed to. */
export async function prepare(union = "overlay"): Promise<void> {
  makeBareProfile();
  describeChroot("t", root, ["profile=bare", `union-type=${union}`]);
  mkdirSync(join(root, "srv/dir/sub"), { recursive: true });
  for (const name of ["changed", "gone", "moved", "mode", "able", "abler", "dir/file", "dir/sub/deep"])
    writeFileSync(join(root, "srv", name), name);
  execFileSync("setcap", ["cap_net_raw+ep", join(root, "srv/able"), "cap_net_raw+ep", join(root, "srv/abler")]);
  execFileSync("ln", [join(root, "srv/changed"), join(root, "srv/linked")]);
  await fallthru(["recover"]);
  await sleep(30);
  clean = traces();
}

/** Ends what is left, and looks whether all is gone. */
export async function cleanUp(): Promise<void> {
  await fallthru(["end", "x"]);
  // A union's own process takes a moment.
  expect(await leftoversAfter(clean)).toEqual([]);
}

interface Sides {
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly seen: readonly string[];
}

async function begin(script: string): Promise<Sides> {
  expect(await fallthru(["begin", "t", "--name", "x"])).toMatchObject({ status: 0, stderr: "" });
  await sleep(30);
  expect(await fallthru(["run", "@x", "--", "sh", "-c", script], { directory: "/" })).toMatchObject({
    status: 0,
    stderr: "",
  });
  const before = describeTree(root);
  expect(await fallthru(["commit", "x"])).toMatchObject({ status: 0, stderr: "" });
  const after = describeTree(root);
  expect(after).not.toEqual(before);
  expect(await fallthru(["undo"])).toMatchObject({ status: 0, stderr: "" });
  expect(describeTree(root)).toEqual(before);
  return { before, after, seen: view() };
}

function view(): string[] {
  return describeTree("/run/fallthru/mount/x/x");
}

/** Where the target is after the next command; all else must be as it was, too. */
async function fateOf({ before, after, seen }: Sides): Promise<"before" | "after"> {
  expect(await fallthru(["recover"])).toMatchObject({ status: 0, stderr: "" });
  const is = describeTree(root);
  if (!is.some((line, index) => line !== before[index])) expect(is).toEqual([...before]);
  else expect(is).toEqual([...after]);
  expect(view()).toEqual([...seen]);
  return is.length === before.length && is.every((line, index) => line === before[index]) ? "before" : "after";
}

function areas(): string[] {
  return readdirSync(dirname(root)).filter((name) => name.startsWith(".fallthru-commit-"));
}

interface Fates {
  readonly points: number;
  before: number;
  after: number;
}

async function failAll(what: string, args: readonly string[], sides: Sides, start: "before" | "after"): Promise<Fates> {
  const reset = async (fate: "before" | "after"): Promise<void> => {
    if (fate === start) return;
    expect(await fallthru(start === "before" ? ["undo"] : ["commit", "x"])).toMatchObject({ status: 0, stderr: "" });
    expect(describeTree(root)).toEqual([...(start === "before" ? sides.before : sides.after)]);
  };
  await reset(await fateOf(sides));
  const points: Point[] = (await pointsOf(args)).filter((point) => what === kill || takesSpace(point));
  await reset(await fateOf(sides));
  const fates: Fates = { points: points.length, before: 0, after: 0 };
  for (const point of points) {
    const { isReached, status, stderr, call } = await inject(point, what, args);
    // With every commit before it there is more to be read: it may have been another call.
    if (what !== kill && !takesSpace({ ...point, call })) {
      await reset(await fateOf(sides));
      continue;
    }
    const fate = await expectFate(point, async () => {
      if (what !== kill && status !== 0)
        expect([status, stderr]).toEqual([8, expect.stringMatching(explainedFull) as string]);
      const found = await fateOf(sides);
      // One that was finished keeps what it has replaced.
      expect(areas().length).toBe(found === "before" ? 0 : 1);
      // Whoever wasn't killed leaves nothing to others, and says what is so.
      if (what !== kill && isReached) expect(found === start).toBe(status !== 0);
      return found;
    });
    if (isReached) fates[fate]++;
    await reset(fate);
  }
  return fates;
}

const kill = "signal=KILL";

/** Kills a commit of what `script` does, and its undoing, at every point. */
export async function killCommits(script: string): Promise<void> {
  const sides = await begin(script);
  for (const fates of [
    await failAll(kill, ["commit", "x"], sides, "before"),
    await failAll(kill, ["undo"], sides, "after"),
  ]) {
    expect(fates.points).toBeGreaterThan(40);
    expect(fates.before + fates.after).toBeGreaterThan(fates.points * 0.9);
    expect(Math.min(fates.before, fates.after)).toBeGreaterThan(5);
  }
}

/** Has the disk full at each step of a commit of what `script` does, and of its undoing: then all is as it was. */
export async function fillCommits(script: string): Promise<void> {
  const sides = await begin(script);
  const commit = await failAll("error=ENOSPC", ["commit", "x"], sides, "before");
  const undo = await failAll("error=EDQUOT", ["undo"], sides, "after");
  expect(commit.before).toBeGreaterThan(20);
  expect(undo.after).toBeGreaterThan(5);
}
