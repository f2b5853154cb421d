// What the tests of commits share: a chroot to commit to.
import { afterAll, beforeEach, expect } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describeChroot, makeBareProfile } from "./directories.ts";
import { fallthru } from "./fallthru.ts";
import { leftoversAfter, type Traces, traces } from "./leftovers.ts";
import { tinyRoot } from "./roots.ts";

/**
 * Makes the chroot `t`, which gets nothing of the host's. Before each test its /srv has these files alone, each with its name in
 * it; after all of them nothing of sessions may be left. To be called once by a test file.
 * @returns its root, and what there was of sessions before
 */
export async function makeCommitRoot(files: readonly string[]): Promise<{ root: string; clean: Traces }> {
  const root = tinyRoot();
  makeBareProfile();
  describeChroot("t", root, ["profile=bare"]);
  await fallthru(["recover"]);
  const clean = traces();
  beforeEach(() => {
    rmSync(join(root, "srv"), { recursive: true, force: true });
    for (const name of files) {
      const path = join(root, "srv", name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, `${name}\n`);
    }
  });
  afterAll(async () => {
    expect(await leftoversAfter(clean)).toEqual([]);
  });
  return { root, clean };
}
