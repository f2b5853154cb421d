// deadline: 300
// kill -9 at every system call that changes something, of a begin and an end for which an administrator has scripts.
import { beforeAll, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../support/directories.ts";
import type { Traces } from "../support/leftovers.ts";
import { killEverywhere } from "./everywhere.ts";
import { beginMarked, describeMarked, expectWholeOrGone, settle } from "./session.ts";

const notes = join(temporaryDirectory("notes"), "calls");
let before: Traces;

beforeAll(async () => {
  // One before the tree is mounted, one when it is.
  for (const name of ["04own", "60own"]) {
    const path = `/etc/schroot/setup.d/${name}`;
    writeFileSync(path, `#!/bin/sh\necho ${name} $1 >>${notes}\n`);
    chmodSync(path, 0o755);
  }
  before = await settle(describeMarked);
});

const forget = async (): Promise<void> => rmSync(notes, { force: true });
const calls = (): string[] => (existsSync(notes) ? readFileSync(notes, "utf8").trim().split("\n") : []);

/** Whatever was started is stopped, once the session is gone. */
function expectStopped(): void {
  for (const name of ["04own", "60own"]) {
    if (calls().includes(`${name} setup-start`)) expect(calls()).toContain(`${name} setup-stop`);
  }
}

test("a begin that is killed leaves a session that is whole or gone, and its scripts are run to stop it", async () => {
  const counts = await killEverywhere(["begin", "--name", "x", "tiny"], forget, async () => {
    const fate = await expectWholeOrGone("x", before);
    expectStopped();
    return fate;
  });
  expect(counts.points).toBeGreaterThan(60);
  expect(counts.whole).toBeGreaterThan(0);
  expect(counts.gone).toBeGreaterThan(50);
});

test("an end that is killed leaves a session that is whole or gone, and every script was run to stop it", async () => {
  const prepare = async (): Promise<void> => {
    await forget();
    await beginMarked("x");
  };
  const counts = await killEverywhere(["end", "x"], prepare, async () => {
    const fate = await expectWholeOrGone("x", before);
    expectStopped();
    expect(calls()).toContain("60own setup-start");
    return fate;
  });
  expect(counts.whole).toBeGreaterThan(0);
  expect(counts.gone).toBeGreaterThan(20);
});
