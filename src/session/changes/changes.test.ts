// deadline: 300
import { expect, test } from "bun:test";
import { random, randomChanges } from "../../../test/support/changes.ts";
import { applyChanges, factLines, factsOf } from "../../../test/support/facts.ts";
import { Stage } from "../../../test/support/stage.ts";
import { applyToPath } from "../../../test/support/unions.ts";
import { fileSystemOf, openDirectory } from "../../kernel/file.ts";
import type { Fd } from "../../kernel/fd.ts";
import { isTimesOnly } from "./diff.ts";
import type { Union } from "../../mount/plan.ts";
import type { Change } from "./types.ts";
import { takeBackChanges } from "./discard.ts";
import { readChanges } from "./read.ts";
import { openTrees } from "./trees.ts";

/** The list of changes, applied to what was there before, must give what is there. */
function checkChanges(stage: Stage): ReturnType<typeof readChanges> {
  using trees = stage.trees();
  const [before, after] = [factsOf(trees.before), factsOf(trees.after)];
  const changes = readChanges([trees]);
  expect(factLines(applyChanges(before, after, changes))).toEqual(factLines(after));
  expect(readChanges([trees], "kinds").map(inShort)).toEqual(changes.map(inShort));
  return changes;
}

function inShort(change: Change): unknown[] {
  return [change.kind, change.path, change.kind === "renamed" ? change.from : "", isTimesOnly(change)];
}

function fill(seed: number, count: number): (lower: string, index: number) => void {
  return (lower, index) => change(lower, seed * 7 + index, count);
}

function change(path: string, seed: number, count: number): void {
  using root = openDirectory(path);
  for (const one of randomChanges(random(seed), count)) applyToPath(root.procPath, one);
}

const kinds = [
  { name: "overlay over one lower", type: "overlay", lowers: 1, cases: 40, more: {}, forks: 0 },
  { name: "overlay over three lowers", type: "overlay", lowers: 3, cases: 25, more: {}, forks: 0 },
  { name: "overlay, forked twice", type: "overlay", lowers: 1, cases: 25, more: {}, forks: 2 },
  { name: "ours, forked", type: "fallthru", lowers: 1, cases: 4, more: {}, forks: 1 },
  { name: "ours over one lower", type: "fallthru", lowers: 1, cases: 6, more: {}, forks: 0 },
  { name: "ours over two lowers", type: "fallthru", lowers: 2, cases: 3, more: {}, forks: 0 },
  { name: "ours in aufs's format", type: "fallthru", lowers: 1, cases: 5, more: { dialect: "aufs" }, forks: 0 },
] as const;

for (const { name, type, lowers, cases, more, forks } of kinds) {
  test(`readChanges() says of random changes what comparing all says: ${name}`, () => {
    for (let seed = 1; seed <= cases; seed++) {
      using stage = new Stage(type, lowers, fill(seed, 40), more);
      change(stage.merged, seed + 1000, 40);
      for (let generation = 1; generation <= forks; generation++) {
        stage.freeze();
        change(stage.merged, seed + 1000 + 1000 * generation, 25);
      }
      try {
        checkChanges(stage);
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : ""}`, { cause: error });
      }
    }
  });
}

test("readChanges() says the same of trees that were read before", () => {
  using stage = new Stage("overlay", 1, fill(7, 40));
  change(stage.merged, 7007, 40);
  using trees = stage.trees();
  const shown = (): unknown[] => readChanges([trees]).map(({ kind, path }) => [kind, path]);
  const first = shown();
  expect(first.length).toBeGreaterThan(5);
  expect(shown()).toEqual(first);
});

test("openTrees() has the kernel read several lowers of a union of ours, not a server", () => {
  using stage = new Stage("fallthru", 2, fill(3, 10));
  using trees = stage.trees();
  expect(fileSystemOf(trees.before).type).toBe("overlay");
});

test("openTrees() names the way out where a session has no two sides to be compared", () => {
  const union: Union = { type: "overlay", lowers: ["/"], upper: "/u", work: "/w", volatile: false };
  const plan = { steps: [{ kind: "union", at: "/", union, attributes: 0 } as const] };
  expect(() => openTrees({ id: "gone", plan })).toThrow(
    expect.objectContaining({ code: "failed", hint: expect.stringContaining("fallthru recover") }),
  );
  const bind = { kind: "bind", at: "/", from: "/", depth: "single", attributes: 0 } as const;
  expect(() => openTrees({ id: "gone", plan: { steps: [bind] } })).toThrow(
    expect.objectContaining({ code: "unsupported" }),
  );
});

test("takeBackChanges() of all that was changed makes it what it was", () => {
  for (let seed = 1; seed <= 40; seed++) {
    using stage = new Stage("overlay", 1, fill(seed, 40));
    change(stage.merged, seed + 3000, 40);
    using trees = stage.trees();
    const wanted = readChanges([trees]).filter((one) => !isTimesOnly(one));
    try {
      takeBackChanges([trees], wanted);
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
    const shown = (root: Fd): string[] =>
      factLines(factsOf(root)).map((line) => line.replace(/ (inode|time)=\S+/g, ""));
    expect([seed, ...shown(trees.after)]).toEqual([seed, ...shown(trees.before)]);
  }
});
