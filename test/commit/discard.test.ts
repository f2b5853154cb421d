// deadline: 120
// Random trees, random changes: a discard of everything must show the session as it began, hard links and all.
// FALLTHRU_DISCARD_CASES=300 for more than the usual, FALLTHRU_DISCARD_SEED for another start.
import { afterAll, expect, test } from "bun:test";
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beginSession } from "../../src/session/begin.ts";
import { discardChanges } from "../../src/session/changes/discard.ts";
import { endSession } from "../../src/session/end.ts";
import { mountPointOf } from "../../src/session/paths.ts";
import { describeChroot, makeBareProfile, temporaryDirectory } from "../support/directories.ts";
import { describeWithoutHoles } from "../support/tree.ts";
import { changeRandomly } from "../support/unions.ts";

const cases = Number(process.env["FALLTHRU_DISCARD_CASES"] ?? 20);
const first = Number(process.env["FALLTHRU_DISCARD_SEED"] ?? 1);
const base = temporaryDirectory("discard");
makeBareProfile();

afterAll(() => {
  rmSync(base, { recursive: true });
});

async function checkCase(seed: number): Promise<void> {
  const root = join(mkdtempSync(join(base, "case-")), "root");
  mkdirSync(join(root, "etc"), { recursive: true });
  changeRandomly(root, seed, 40);
  describeChroot("t", root, ["profile=bare"]);
  await beginSession("t", { name: "s", ...(seed % 4 === 3 ? { union: "fallthru" } : {}) });
  try {
    const merged = mountPointOf("s");
    const seen = describeWithoutHoles(merged);
    changeRandomly(merged, seed + 100_000, 30);
    // What can't be done in this tree is passed over, and that may be all of it.
    writeFileSync(join(merged, "new"), "");
    discardChanges("s", { paths: ["/"] });
    expect(describeWithoutHoles(merged)).toEqual(seen);
    // What isn't in memory any more is read from the layers.
    writeFileSync("/proc/sys/vm/drop_caches", "2");
    expect(describeWithoutHoles(merged)).toEqual(seen);
  } finally {
    await endSession("s", { force: true });
  }
}

test("a discard of everything shows the session as it began", async () => {
  for (let seed = first; seed < first + cases; seed++) {
    try {
      await checkCase(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
});

test.each(["overlay", "fallthru"] as const)(
  "a deleted name comes back as one of the file whose mode was changed, and comes back with it: %s",
  async (union) => {
    const root = join(mkdtempSync(join(base, "case-")), "root");
    for (const name of ["etc", "dir"]) mkdirSync(join(root, name), { recursive: true });
    writeFileSync(join(root, "one"), "one\n");
    linkSync(join(root, "one"), join(root, "dir/linked"));
    describeChroot("t", root, ["profile=bare"]);
    await beginSession("t", { name: "s", union });
    try {
      const merged = mountPointOf("s");
      const seen = describeWithoutHoles(merged);
      rmSync(join(merged, "dir"), { recursive: true });
      chmodSync(join(merged, "one"), 0o600);
      discardChanges("s", { paths: ["/"] });
      expect(describeWithoutHoles(merged)).toEqual(seen);
    } finally {
      await endSession("s", { force: true });
    }
  },
);
