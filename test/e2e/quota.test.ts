// A real quota, of the superuser's too: Btrfs's, of a subvolume.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { explainedFull } from "../crash/strace.ts";
import { describeChroot, makeBareProfile, temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";
import { describeTree } from "../support/tree.ts";

const disk = temporaryDirectory("disk");
const tree = join(disk, "tree");
const root = join(tree, "root");
const upper = join(tree, "upper");

beforeAll(() => {
  const image = join(temporaryDirectory("image"), "btrfs");
  execFileSync("truncate", ["-s", "600M", image]);
  execFileSync("mkfs.btrfs", ["-q", image]);
  execFileSync("mount", ["-o", "loop", image, disk]);
  execFileSync("btrfs", ["quota", "enable", disk]);
  execFileSync("btrfs", ["subvolume", "create", tree], { stdio: "ignore" });
  mkdirSync(upper);
  execFileSync("cp", ["-a", tinyRoot(), root]);
  makeBareProfile();
  describeChroot("t", root, ["profile=bare"]);
});
afterAll(async () => {
  await fallthru(["end", "--all"]);
  execFileSync("umount", [disk]);
});

/** Lets the subvolume have so many bytes more than it has. */
function allowMore(bytes: number): void {
  execFileSync("sync", ["--file-system", disk]);
  const shown = execFileSync("btrfs", ["qgroup", "show", "--raw", "-f", tree], { encoding: "utf8" });
  const used = Number(/^0\/\d+ +(\d+)/m.exec(shown)?.[1]);
  execFileSync("btrfs", ["qgroup", "limit", String(used + bytes), tree]);
}

async function ok(...words: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await fallthru(words);
  expect([words, status, stderr]).toEqual([words, 0, ""]);
  return stdout;
}

const full = { status: 8, stderr: expect.stringMatching(explainedFull) as string };

test("a fork that copies and meets it says where, and leaves nothing", async () => {
  await ok("begin", "t", "--name", "x", "--upper", upper);
  // So small that Btrfs keeps them with their names, where they share nothing.
  const script = "mkdir /many; i=0; while [ $i -lt 3000 ]; do head -c 1500 /bin/busybox >/many/$i; i=$((i+1)); done";
  await ok("run", "@x", "--", "sh", "-c", script);
  const there = readdirSync(upper);
  allowMore(1 << 20);
  expect(await fallthru(["fork", "x", "--name", "y", "--copy"])).toMatchObject(full);
  expect(readdirSync(upper)).toEqual(there);
  expect(await ok("run", "@x", "--", "sh", "-c", "ls /many | wc -l")).toBe("3000\n");
  allowMore(60 << 20);
  await ok("fork", "x", "--name", "y", "--copy");
  await ok("end", "x", "y");
});

test("a commit that meets it says where, and changes nothing; an undo needs no space", async () => {
  await ok("begin", "t", "--name", "x");
  const script = "i=0; while [ $i -lt 10 ]; do cat /bin/busybox; i=$((i+1)); done >/root/big; echo more >>/etc/passwd";
  await ok("run", "@x", "--", "sh", "-c", script);
  const before = describeTree(root);
  allowMore(4 << 20);
  expect(await fallthru(["commit", "x"])).toMatchObject(full);
  expect(describeTree(root)).toEqual(before);
  expect(readdirSync(tree).toSorted()).toEqual(["root", "upper"]);
  expect(await ok("log")).toBe("");
  allowMore(60 << 20);
  await ok("commit", "x");
  expect(readFileSync(join(root, "root/big")).length).toBe(10 * statSync("/bin/busybox").size);
  allowMore(1 << 20);
  await ok("undo");
  expect(describeTree(root)).toEqual(before);
  await ok("end", "x");
});
