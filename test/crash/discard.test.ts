// deadline: 300
// A discard that is killed, or meets a full disk, at each of its system calls: what was reached is as it was, the rest still
// changed, nothing half or under another name; said again, it does the rest.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeChroot, makeBareProfile } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { leftoversAfter, type Traces, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import { describeWithoutHoles } from "../support/tree.ts";
import { expectFate } from "./session.ts";
import { explainedFull, inject, pointsOf, takesSpace } from "./strace.ts";

const root = tinyRoot();
const merged = "/run/fallthru/mount/x/x";
const args = ["discard", "x", "/srv"];
let clean: Traces;

beforeAll(async () => {
  makeBareProfile();
  describeChroot("t", root, ["profile=bare"]);
  mkdirSync(join(root, "srv/dir/sub"), { recursive: true });
  for (const name of ["changed", "gone", "moved", "mode", "dir/file", "dir/sub/deep"])
    writeFileSync(join(root, "srv", name), name.repeat(2000));
  execFileSync("ln", [join(root, "srv/changed"), join(root, "srv/linked")]);
  await fallthru(["recover"]);
  clean = traces();
});

afterAll(async () => {
  await fallthru(["end", "--all"]);
  expect(await leftoversAfter(clean)).toEqual([]);
});

const change =
  "cd srv; echo more >>changed; rm gone; mv moved here; chmod 600 mode; mkdir -p new/below; echo n >new/below/file; rm -r dir";

/** Begins the session, and changes it. @returns what it was before */
async function prepare(): Promise<string[]> {
  expect(await fallthru(["begin", "t", "--name", "x"])).toMatchObject({ status: 0, stderr: "" });
  const seen = describeWithoutHoles(merged);
  execFileSync("sh", ["-ec", change], { cwd: merged });
  return seen;
}

/** What a name may have, in the session: as it was, as it was changed, or nothing, but nothing half. */
function expectNothingHalf(): void {
  const script =
    "find . -type f -size +0 ! -path ./new/below/file -exec md5sum {} + | cut -d' ' -f1,3; find . -name '.fallthru*'";
  const lines = execFileSync("sh", ["-ec", `cd srv; ${script}`], { cwd: merged, encoding: "utf8" });
  for (const line of lines.split("\n").filter((each) => each !== "")) expect(whole).toContain(line);
}

const whole: string[] = [];

async function everywhere(
  what: readonly string[],
  wanted: (point: Parameters<typeof takesSpace>[0]) => boolean,
): Promise<number> {
  await prepare();
  whole.push(...filesOf(merged), ...filesOf(root));
  const points = (await pointsOf(args)).filter(wanted);
  await fallthru(["end", "x"]);
  let reached = 0;
  for (const [index, point] of points.entries()) {
    const seen = await prepare();
    const how = what[index % what.length] ?? "";
    const { isReached, status, stderr } = await inject(point, how, args);
    await expectFate(point, async () => {
      if (how.startsWith("error=") && status !== 0)
        expect([status, stderr]).toEqual([8, expect.stringMatching(explainedFull) as string]);
      // A kill may leave a copy that has no name yet but one of its own; that is what a change is.
      if (how.startsWith("error=")) expectNothingHalf();
      const again = await fallthru(args);
      if (again.status !== 0) expect(again).toMatchObject({ status: 3 });
      expect(describeWithoutHoles(merged)).toEqual(seen);
    });
    if (isReached) reached++;
    await fallthru(["end", "x"]);
  }
  return reached;
}

function filesOf(tree: string): string[] {
  const script = "cd srv; find . -type f -size +0 -exec md5sum {} + | cut -d' ' -f1,3";
  return execFileSync("sh", ["-ec", script], { cwd: tree, encoding: "utf8" }).split("\n");
}

test("killed", async () => {
  expect(await everywhere(["signal=KILL"], () => true)).toBeGreaterThan(30);
});

test("a full disk, and a quota", async () => {
  expect(await everywhere(["error=ENOSPC", "error=EDQUOT"], takesSpace)).toBeGreaterThan(10);
});
