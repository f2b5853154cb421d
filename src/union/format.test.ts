// deadline: 300
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { type Change, random, randomChanges } from "../../test/support/changes.ts";
import { applyToPath, dumpPath, mountDisk, mountOverlay, mountTmpfs, UnionTree } from "../../test/support/unions.ts";
import { Union } from "./union.ts";

/**
 * Random changes through a union and through the kernel's overlayfs, on the same lowers: they must answer alike, show
 * the same tree, and each must read what the other has written.
 */

interface Case {
  /** What has made each lower: the lowest plainly, the others through overlayfs. */
  readonly lowers: readonly (readonly Change[])[];
  readonly changes: readonly Change[];
  /** The upper lies where the lowers do. */
  readonly isSameFileSystem: boolean;
  /** Disks and tmpfs differ in what they know of attributes, blocks and handles. */
  readonly isOnDisk: boolean;
}

function makeCase(seed: number): Case {
  const next = random(seed);
  return {
    lowers: Array.from({ length: 1 + next(3) + (next(6) === 0 ? 3 : 0) }, () => randomChanges(next, 20)),
    changes: randomChanges(next, 1 + next(30)),
    isSameFileSystem: next(3) > 0,
    isOnDisk: next(3) === 0,
  };
}

/** @returns what is wrong, or undefined */
function check({ lowers, changes, isOnDisk, isSameFileSystem }: Case): string | undefined {
  using space = isOnDisk ? mountDisk() : mountTmpfs();
  using other = mountTmpfs();
  const directory = (name: string, on: { root: string } = space): string => {
    const path = `${on.root}/${name}`;
    mkdirSync(path);
    return path;
  };
  const paths: string[] = [];
  for (const [index, made] of lowers.entries()) {
    const path = directory(`lower${index}`);
    if (index === 0) {
      for (const change of made) applyToPath(path, change);
    } else {
      using mount = mountOverlay(paths, path, directory(`work${index}`));
      for (const change of made) applyToPath(mount.root, change);
    }
    paths.unshift(path);
  }
  const on = isSameFileSystem ? space : other;
  const ours = { lowers: paths, upper: directory("upper-ours", on), work: directory("work-ours", on) };
  const theirs = { lowers: paths, upper: directory("upper-theirs", on), work: directory("work-theirs", on) };
  return compareChanges(changes, ours, theirs);
}

interface Layers {
  readonly lowers: readonly string[];
  readonly upper: string;
  readonly work: string;
}

function compareChanges(changes: readonly Change[], ours: Layers, theirs: Layers): string | undefined {
  const logged: string[] = [];
  const log = (line: string): number => logged.push(line);
  const inos = new Map<string, number>();
  let shown: string[];
  {
    using union = new Union({ ...ours, log });
    using mount = mountOverlay(theirs.lowers, theirs.upper, theirs.work);
    const tree = new UnionTree(union);
    const first = difference(tree.dump(), dumpPath(mount.root));
    if (first !== undefined) return `before any change: ${first}`;
    for (const [index, change] of changes.entries()) {
      const [a, b] = [tree.apply(change), applyToPath(mount.root, change)];
      if (a !== b && (a === "ok" || b === "ok"))
        return `change ${index} ${JSON.stringify(change)}: ${a}, overlayfs: ${b}`;
    }
    shown = tree.dump(inos);
    const wrong = difference(shown, dumpPath(mount.root));
    if (wrong !== undefined) return wrong;
    if (union.inodeCount !== 1) return `${union.inodeCount} inodes remembered`;
  }
  {
    using mount = mountOverlay(ours.lowers, ours.upper, ours.work);
    const wrong = difference(shown, dumpPath(mount.root));
    if (wrong !== undefined) return `overlayfs on our upper: ${wrong}`;
  }
  for (const [name, layers] of [
    ["ours", ours],
    ["theirs", theirs],
  ] as const) {
    using union = new Union({ ...layers, log });
    const again = new Map<string, number>();
    const wrong = difference(new UnionTree(union).dump(again), shown);
    if (wrong !== undefined) return `a union on ${name}: ${wrong}`;
    if (name !== "ours") continue;
    for (const [path, ino] of inos)
      if (again.get(path) !== ino) return `st_ino of ${path} was ${ino}, is ${again.get(path)}`;
  }
  return logged[0];
}

function difference(ours: readonly string[], theirs: readonly string[]): string | undefined {
  const at = ours.findIndex((line, index) => line !== theirs[index]);
  if (at < 0 && ours.length === theirs.length) return undefined;
  return `shows ${ours[at < 0 ? ours.length : at]}, expected ${theirs[at < 0 ? ours.length : at]}`;
}

/** The smallest part of a failing case that still fails. */
function shrink(failing: Case): { smallest: Case; problem: string } {
  let smallest = failing;
  let problem = check(failing) ?? "passes now";
  const parts = (): Case[] => [
    ...smallest.changes.map((_, at) => ({ ...smallest, changes: smallest.changes.toSpliced(at, 1) })),
    ...(smallest.lowers.length > 1
      ? smallest.lowers.map((_, at) => ({ ...smallest, lowers: smallest.lowers.toSpliced(at, 1) }))
      : []),
    ...smallest.lowers.flatMap((made, layer) =>
      made.map((_, at) => ({ ...smallest, lowers: smallest.lowers.with(layer, made.toSpliced(at, 1)) })),
    ),
  ];
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false;
    for (const part of parts()) {
      const wrong = safely(part);
      if (wrong === undefined) continue;
      [smallest, problem, isSmaller] = [part, wrong, true];
      break;
    }
  }
  return { smallest, problem };
}

function safely(part: Case): string | undefined {
  try {
    return check(part);
  } catch (error) {
    return `throws ${String(error)} ${error instanceof Error ? (error.stack ?? "").split("\n").slice(1, 6).join(" ") : ""}`;
  }
}

const cases = Number(process.env["FALLTHRU_CASES"] ?? 500);
const firstSeed = Number(process.env["FALLTHRU_SEED"] ?? 1);

test("Union and overlayfs read and write the same format", () => {
  for (let seed = firstSeed; seed < firstSeed + cases; seed++) {
    if (safely(makeCase(seed)) === undefined) continue;
    const { smallest, problem } = shrink(makeCase(seed));
    expect(`seed ${seed}: ${problem}\n${JSON.stringify(smallest, undefined, 1)}`).toBe("");
  }
});
