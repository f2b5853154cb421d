// deadline: 300
// A power cut during commit, undo and fork: state and target lie on an ext4 of their own, whose disk is copied at every other
// moment as a crash would leave it. FALLTHRU_POWER_ALL=1 tries each, and all depths at it.
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describeChroot, makeBareProfile, temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";
import { describeTree } from "../support/tree.ts";
import { depths, makeDisk, mountDisk, settleDisk, unmountAll } from "./disk.ts";
import { expectFate, stateOf } from "./session.ts";
import { inject, type Point, pointsOf } from "./strace.ts";

const state = "/var/lib/fallthru";
const root = `${state}/root`;
const images = temporaryDirectory("images");
const script =
  "cd /srv; echo more >>changed; rm gone; mv moved here; chmod 600 mode; mkdir -p new/below; echo n >new/below/file; " +
  "ln new/below/file new/link; head -c 100000 /bin/busybox >big; chmod 700 dir; rm -r dir/sub";
let before: readonly string[];
let after: readonly string[];
let seen: readonly string[];

async function succeed(...args: string[]): Promise<void> {
  expect([args, await fallthru(args)]).toMatchObject([args, { status: 0, stderr: "" }]);
}

/**
 * The file that was only renamed may have a later time: the session's copying its content up sets that, and only then is it
 * set back.
 */
function view(id: string): string[] {
  return describeTree(`/run/fallthru/mount/${id}/${id}`).map((line) =>
    line.startsWith("./srv/here ") ? line.replace(/ \d{19} /, " ") : line,
  );
}

beforeAll(async () => {
  // In memory: hundreds of copies are made of them.
  execFileSync("mount", ["-t", "tmpfs", "images", images]);
  makeBareProfile();
  describeChroot("t", root, ["profile=bare"]);
  makeDisk(`${images}/disk`, "12M");
  mountDisk(`${images}/disk`, state);
  cpSync(tinyRoot(), root, { recursive: true, verbatimSymlinks: true });
  mkdirSync(`${root}/srv/dir/sub`, { recursive: true });
  for (const name of ["changed", "gone", "moved", "mode", "dir/file", "dir/sub/deep"])
    writeFileSync(join(root, "srv", name), name);
  execFileSync("ln", [`${root}/srv/changed`, `${root}/srv/linked`]);
  await sleep(30);
  await succeed("begin", "t", "--name", "x");
  await succeed("run", "@x", "--", "sh", "-ec", script);
  [before, seen] = [describeTree(root), view("x")];
  await sleep(30);
  unmountAll();
  copyFileSync(`${images}/disk`, `${images}/changed`);
  mountDisk(`${images}/disk`, state);
  await succeed("recover");
  await succeed("commit", "x");
  after = describeTree(root);
  expect(after).not.toEqual(before);
  unmountAll();
  copyFileSync(`${images}/disk`, `${images}/committed`);
});

afterEach(unmountAll);

afterAll(() => execFileSync("umount", [images]));

/** Only what changes the disk. */
function isOnDisk({ syscall, call }: Point): boolean {
  return (
    /^(mkdir|mknod|symlink|link|open|rename|unlink|rmdir|fsync|syncfs|fchown|fchmod|utimens|exit_group)/.test(
      syscall,
    ) && !/fallthru-new|cgroup|open_tree|\/run\//.test(call)
  );
}

/** Starts a machine whose disk is a copy of an image, and which was off. */
async function start(image: string, copy: string): Promise<void> {
  copyFileSync(`${images}/${image}`, `${images}/${copy}`);
  mountDisk(`${images}/${copy}`, state);
  await succeed("recover");
}

/** Cuts the power at each point. @returns what `check` said of each cut, and how often */
async function cutAll(
  image: string,
  args: readonly string[],
  check: () => Promise<string>,
): Promise<Map<string, number>> {
  await start(image, "now");
  const isAll = process.env["FALLTHRU_POWER_ALL"] === "1";
  const points = (await pointsOf(args)).filter(isOnDisk).filter((_, index) => isAll || index % 2 === 0);
  unmountAll();
  const fates = new Map<string, number>([["points", points.length]]);
  for (const [index, point] of points.entries()) {
    for (const depth of isAll ? depths : [depths[index % depths.length] ?? "all"]) {
      await start(image, "now");
      const { isReached } = await inject(point, "signal=KILL", args);
      if (isReached) settleDisk(state, depth);
      copyFileSync(`${images}/now`, `${images}/cut`);
      unmountAll();
      if (!isReached) continue;
      const fate = await expectFate(point, async () => {
        mountDisk(`${images}/cut`, state);
        await succeed("recover");
        return check();
      });
      fates.set(fate, (fates.get(fate) ?? 0) + 1);
      unmountAll();
    }
  }
  return fates;
}

/** What lies below is as before or as after, to the last attribute, and the session shows what it showed. */
async function sideOf(): Promise<string> {
  const is = describeTree(root);
  const isBefore = is.join("\n") === before.join("\n");
  if (!isBefore) expect(is).toEqual([...after]);
  expect(view("x")).toEqual([...seen]);
  return Promise.resolve(isBefore ? "before" : "after");
}

for (const [name, image, args] of [
  ["commit", "changed", ["commit", "x"]],
  ["undo", "committed", ["undo"]],
] as const) {
  test(`the power is cut during ${name}: what lies below is as before or as after`, async () => {
    const fates = await cutAll(image, args, sideOf);
    console.log(name, fates);
    expect(fates.get("points")).toBeGreaterThan(15);
    for (const side of ["before", "after"]) expect([side, fates.get(side) ?? 0]).not.toEqual([side, 0]);
  });
}

test("the power is cut during fork: the session is whole, the new one is whole or gone", async () => {
  const fates = await cutAll("changed", ["fork", "x", "--name", "y"], async () => {
    expect(await stateOf("x")).toBe("open");
    expect(view("x")).toEqual([...seen]);
    const there = await stateOf("y");
    if (there !== undefined) {
      expect(there).toBe("open");
      expect(view("y")).toEqual([...seen]);
      await succeed("end", "y");
    }
    await succeed("end", "x");
    expect(readdirSync(`${state}/sessions`).filter((file) => !file.startsWith("."))).toEqual([]);
    const frozen = `${state}/sessions/.frozen`;
    expect(existsSync(frozen) ? readdirSync(frozen) : []).toEqual([]);
    return there === undefined ? "gone" : "whole";
  });
  console.log("fork", fates);
  expect(fates.get("points")).toBeGreaterThan(15);
  for (const fate of ["gone", "whole"]) expect([fate, fates.get(fate) ?? 0]).not.toEqual([fate, 0]);
});
