// deadline: 300
// A power cut: the state lies on an ext4 of its own, whose disk is copied at chosen moments as a crash would leave it, and
// mounted again where nothing is mounted and nothing runs.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { copyFileSync, readdirSync } from "node:fs";
import { temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { type Traces, traces } from "../support/leftovers.ts";
import { type Depth, depths, makeDisk, mountDisk, settleDisk, unmountAll } from "./disk.ts";
import { beginMarked, describeMarked, expectFate, expectWholeOrGone, settle } from "./session.ts";
import { inject, type Point, pointsOf } from "./strace.ts";

const state = "/var/lib/fallthru";
const images = temporaryDirectory("images");
const elsewhere = temporaryDirectory("elsewhere");
let before: Traces;

beforeAll(async () => {
  // In memory: a thousand copies are made of them.
  execFileSync("mount", ["-t", "tmpfs", "images", images]);
  before = await settle(describeMarked);
  for (const name of ["state", "elsewhere"]) makeDisk(`${images}/${name}`, "8M");
});

afterEach(unmountAll);

afterAll(() => execFileSync("umount", [images]));

/** What is there before a session, on the disks that are mounted now. */
function baseline(): Traces {
  const isDisk = (trace: string): boolean =>
    /^loop device|^mount .* on \/var\/(lib\/fallthru|tmp\/.*\/elsewhere-\w+)$/.test(trace);
  return new Set([...before, ...[...traces()].filter(isDisk)]);
}

interface Cut {
  readonly point: Point;
  readonly args: readonly string[];
  readonly prepare: () => Promise<void>;
  readonly stateDepth: Depth;
  readonly elsewhereDepth: Depth;
}

/** Cuts the power when `args` come to the point; starts the machine again. @returns what became of the session */
async function cutPower({
  point,
  args,
  prepare,
  stateDepth,
  elsewhereDepth,
}: Cut): Promise<"whole" | "gone" | "missed"> {
  for (const name of ["state", "elsewhere"]) copyFileSync(`${images}/${name}`, `${images}/${name}.now`);
  mountDisk(`${images}/state.now`, state);
  mountDisk(`${images}/elsewhere.now`, elsewhere);
  await fallthru(["recover"]);
  await prepare();
  const { isReached } = await inject(point, "signal=KILL", args);
  if (isReached) {
    settleDisk(state, stateDepth);
    settleDisk(elsewhere, elsewhereDepth);
    for (const name of ["state", "elsewhere"]) copyFileSync(`${images}/${name}.now`, `${images}/${name}.cut`);
  }
  unmountAll();
  if (!isReached) return "missed";
  mountDisk(`${images}/state.cut`, state);
  mountDisk(`${images}/elsewhere.cut`, elsewhere);
  const fate = await expectWholeOrGone("x", baseline());
  expect(readdirSync(elsewhere).filter((name) => name.startsWith("fallthru"))).toEqual([]);
  unmountAll();
  return fate;
}

/** Only what changes the state's file system: neither mounts nor the files that the profile has copied into the root. */
function isOnDisk({ syscall, call }: Point): boolean {
  if (syscall === "write") return call.includes("version");
  return (
    /^(mkdir|symlink|open|rename|unlink|rmdir|fsync|exit_group)/.test(syscall) &&
    !/fallthru-new|cgroup|open_tree/.test(call)
  );
}

async function diskPointsOf(args: readonly string[], prepare: () => Promise<void>): Promise<Point[]> {
  await fallthru(["recover"]);
  await prepare();
  const points = await pointsOf(args);
  await fallthru(["end", "x"]);
  return points.filter(isOnDisk);
}

const nothing = async (): Promise<void> => {};

/** The session and its changes are on the disk. */
async function beginSynced(options: readonly string[] = []): Promise<void> {
  await beginMarked("x", options);
  await fallthru(["run", "@x", "--", "sh", "-c", "mkdir /a; echo > /a/b"]);
  for (const path of [state, elsewhere]) execFileSync("sync", ["--file-system", path]);
}

describe("the power is cut", () => {
  const upper = ["--upper", elsewhere];
  const cases = [
    { name: "during begin", args: ["begin", "tiny", "--name", "x"], prepare: nothing, isElsewhere: false },
    {
      name: "during begin with its layers on another disk",
      args: ["begin", "tiny", "--name", "x", ...upper],
      prepare: nothing,
      isElsewhere: true,
    },
    { name: "during end", args: ["end", "x"], prepare: () => beginSynced(), isElsewhere: false },
    {
      name: "during end with its layers on another disk",
      args: ["end", "x"],
      prepare: () => beginSynced(upper),
      isElsewhere: true,
    },
    {
      name: "during run with its layers on another disk",
      args: ["run", "tiny", "--name", "x", ...upper, "--", "true"],
      prepare: nothing,
      isElsewhere: true,
    },
    { name: "during run", args: ["run", "tiny", "--name", "x", "--", "true"], prepare: nothing, isElsewhere: false },
  ];
  for (const { name, args, prepare, isElsewhere } of cases) {
    test(`${name}: recover finds the session whole or gone`, async () => {
      const fates = { whole: 0, gone: 0, missed: 0 };
      const points = await diskPointsOf(args, prepare);
      for (const point of points) {
        for (const stateDepth of depths) {
          // The other disk may be ahead of the first, or behind it.
          const elsewhereDepth = isElsewhere ? (stateDepth === "synced" ? "all" : "synced") : "all";
          await expectFate(point, async () => {
            fates[await cutPower({ point, args, prepare, stateDepth, elsewhereDepth })]++;
          });
        }
      }
      expect(fates.whole + fates.gone).toBeGreaterThan(points.length * 2.5);
      expect(fates.gone).toBeGreaterThan(30);
      if (args[0] !== "run") expect(fates.whole).toBeGreaterThan(2);
      console.log(name, points.length, fates);
    });
  }
});
