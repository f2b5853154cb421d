// What the tests of commits share: a chroot to commit to.
import { afterAll, afterEach, beforeEach, expect } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describeChroot, makeBareProfile } from "./directories.ts";
import { fallthru, type RunResult } from "./fallthru.ts";
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

/**
 * The same, with a session `s` on it that is begun before each test; after each one sessions `s` and `other`, and all commits, are gone.
 * @returns `inside` runs a script in a session's /srv; `text` is a file of the root's /srv, undefined where there is none
 */
export async function makeCommitSessions(files: readonly string[]): Promise<{
  root: string;
  inside: (script: string, session?: string) => Promise<RunResult>;
  text: (path: string) => string | undefined;
}> {
  const { root } = await makeCommitRoot(files);
  const srv = join(root, "srv");
  beforeEach(async () => {
    await sleep(30);
    expect(await fallthru(["begin", "t", "--name", "s"])).toMatchObject({ status: 0, stderr: "" });
    await sleep(30);
  });
  afterEach(async () => {
    await fallthru(["end", "s", "other"]);
    rmSync("/var/lib/fallthru/sessions/.commits", { recursive: true, force: true });
    for (const name of readdirSync(dirname(root)))
      if (name.startsWith(".fallthru-commit-")) rmSync(join(dirname(root), name), { recursive: true });
  });
  return {
    root,
    inside: (script, session = "s") =>
      fallthru(["run", `@${session}`, "--", "sh", "-c", `cd /srv; ${script}`], { directory: "/" }),
    text: (path) => (existsSync(join(srv, path)) ? readFileSync(join(srv, path), "utf8") : undefined),
  };
}
