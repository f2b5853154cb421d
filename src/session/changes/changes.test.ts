import { expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { random, randomChanges } from "../../../test/support/changes.ts";
import { temporaryDirectory } from "../../../test/support/directories.ts";
import { applyChanges, factLines, factsOf } from "../../../test/support/facts.ts";
import { applyToPath } from "../../../test/support/unions.ts";
import { cloneMount, detachMount } from "../../kernel/mount.ts";
import { type Fd } from "../../kernel/fd.ts";
import { openDirectory } from "../../kernel/file.ts";
import { attachSteps } from "../../mount/attach.ts";
import type { Union } from "../../mount/plan.ts";
import { readChanges } from "./read.ts";
import { openTrees, openUnionTrees } from "./trees.ts";
import type { UnionTrees } from "./types.ts";

/** A union over lowers that `prepare` fills, mounted; its trees are looked at while it is. */
class Stage implements Disposable {
  readonly base = mkdtempSync(join(temporaryDirectory("changes"), "stage-"));
  readonly union: Union;
  readonly merged = join(this.base, "place/merged");

  constructor(
    type: Union["type"],
    lowers: number,
    prepare: (lower: string, index: number) => void,
    more: Partial<Union> = {},
  ) {
    const path = (name: string): string => {
      const made = join(this.base, name);
      mkdirSync(made, { recursive: true });
      return made;
    };
    const names = Array.from({ length: lowers }, (_, index) => path(`lower${index}`));
    for (const [index, name] of names.entries()) prepare(name, index);
    mkdirSync(this.merged, { recursive: true });
    this.union = { type, lowers: names, upper: path("upper"), work: path("work"), volatile: false, ...more };
    using place = openDirectory(join(this.base, "place"));
    attachSteps(place, [{ kind: "union", at: "/merged", union: this.union, attributes: 0 }]);
  }

  trees(): UnionTrees {
    using root: Fd = cloneMount(null, this.merged);
    return openUnionTrees({ kind: "union", at: "/", union: this.union, attributes: 0 }, root);
  }

  [Symbol.dispose](): void {
    detachMount(this.merged);
    execFileSync("rm", ["-rf", this.base]);
  }
}

/** The list of changes, applied to what was there before, must give what is there. */
function checkChanges(stage: Stage): ReturnType<typeof readChanges> {
  using trees = stage.trees();
  const [before, after] = [factsOf(trees.before), factsOf(trees.after)];
  const changes = readChanges([trees]);
  expect(factLines(applyChanges(before, after, changes))).toEqual(factLines(after));
  return changes;
}

function fill(seed: number, count: number): (lower: string, index: number) => void {
  return (lower, index) => change(lower, seed * 7 + index, count);
}

function change(path: string, seed: number, count: number): void {
  using root = openDirectory(path);
  for (const one of randomChanges(random(seed), count)) applyToPath(root.procPath, one);
}

const kinds = [
  { name: "overlay over one lower", type: "overlay", lowers: 1, cases: 60, more: {} },
  { name: "overlay over three lowers", type: "overlay", lowers: 3, cases: 40, more: {} },
  { name: "ours over one lower", type: "fallthru", lowers: 1, cases: 10, more: {} },
  { name: "ours over two lowers", type: "fallthru", lowers: 2, cases: 5, more: {} },
  { name: "ours in aufs's format", type: "fallthru", lowers: 1, cases: 8, more: { dialect: "aufs" } },
] as const;

for (const { name, type, lowers, cases, more } of kinds) {
  test(`readChanges() says of random changes what comparing all says: ${name}`, () => {
    for (let seed = 1; seed <= cases; seed++) {
      using stage = new Stage(type, lowers, fill(seed, 40), more);
      change(stage.merged, seed + 1000, 40);
      try {
        checkChanges(stage);
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : ""}`, { cause: error });
      }
    }
  });
}

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
