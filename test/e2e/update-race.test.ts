// deadline: 200
// Roots that are updated again and again while sessions come, are forked, looked at, and go.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { leftoversAfter, type Traces, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import { describeAs, ext4Image } from "../support/rootstores.ts";

let before: Traces;
const folders: string[] = [];

beforeAll(async () => {
  const tree = tinyRoot();
  writeFileSync(join(tree, "etc/one"), "0\n");
  writeFileSync(join(tree, "etc/two"), "0\n");
  const dir = join(temporaryDirectory("roots"), "root");
  execFileSync("cp", ["-a", tree, dir]);
  const image = ext4Image(tree, "16M");
  describeChroot("overlay", dir, ["profile=minimal"]);
  describeChroot("ours", dir, ["profile=minimal", "union-type=fallthru"]);
  describeAs("image", "loopback", [`file=${image}`, "profile=minimal"]);
  folders.push(dirname(dir), dirname(image));
  await fallthru(["recover"]);
  before = traces();
});

afterAll(async () => {
  expect(await leftoversAfter(before)).toEqual([]);
});

const ok = async (...args: string[]): Promise<string> => {
  const result = await fallthru(args);
  expect({ args, ...result }).toMatchObject({ args, status: 0, stderr: "" });
  return result.stdout;
};

/** Both files are of one generation, or the view is of no root that there ever was. */
async function generationIn(source: string): Promise<number> {
  const [one = "", two = "", ...more] = (await ok("run", source, "--", "cat", "/etc/one", "/etc/two")).split("\n");
  expect({ two, more }).toEqual({ two: one, more: [""] });
  return Number(one);
}

async function comeAndGo(name: string, chroot: string, isOver: (rounds: number) => boolean): Promise<void> {
  for (let rounds = 0; !isOver(rounds); rounds++) {
    const [id, fork] = [`${name}-${rounds}`, `${name}-${rounds}f`];
    await ok("begin", chroot, "--name", id);
    const generation = await generationIn(`@${id}`);
    await ok("run", `@${id}`, "--", "sh", "-c", "echo own > /own");
    await ok("fork", `@${id}`, "--name", fork);
    expect(await generationIn(`@${fork}`)).toBe(generation);
    expect(await ok("diff", `@${fork}`, "--name-status")).toBe("A\t/own\n");
    expect(await generationIn(chroot)).toBeGreaterThanOrEqual(generation);
    expect(await generationIn(`@${id}`)).toBe(generation);
    await ok("end", id, fork);
  }
}

test("each session sees one generation from its beginning to its end, and nothing is left", async () => {
  const end = Date.now() + 8_000;
  const isOver = (rounds: number): boolean => Date.now() > end && rounds > 2;
  const updates = async (chroot: string): Promise<void> => {
    for (let count = 0; !isOver(count); count++) {
      const script = `test "$(cat /etc/one)" = ${count} && echo ${count + 1} > /etc/one && echo ${count + 1} > /etc/two`;
      await ok("chroot", "update", chroot, "--", "sh", "-c", script);
    }
  };
  const chroots = ["overlay", "ours", "image"] as const;
  await Promise.all([
    updates("overlay"),
    updates("image"),
    ...chroots.map((chroot) => comeAndGo(chroot, chroot, isOver)),
  ]);
  expect(existsSync("/var/lib/fallthru/sessions/.replaced")).toBe(false);
  for (const folder of folders) expect(readdirSync(folder)).toHaveLength(1);
});
