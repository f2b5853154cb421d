// deadline: 180
// Forks of sessions whose root or changes lie elsewhere than on a plain disk, and on one that is full.
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statfsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { fallthru, startFallthru } from "../support/fallthru.ts";
import { leftoversAfter, type Traces, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import { btrfsSubvolume, describeAs, ext4Image } from "../support/rootstores.ts";
import { describeTree } from "../support/tree.ts";

const mountPointOf = (id: string): string => `/run/fallthru/mount/${id}/${id}`;
const dataOf = (id: string): string[] => describeTree(`${mountPointOf(id)}/data`);
let btrfs: ReturnType<typeof btrfsSubvolume>;
let before: Traces;

beforeAll(async () => {
  const root = tinyRoot();
  mkdirSync(`${root}/data`);
  btrfs = btrfsSubvolume(root);
  describeChroot("tiny", root);
  describeAs("loop", "loopback", [`file=${ext4Image(root)}`, "union-type=overlay"]);
  const places = [`btrfs-source-subvolume=${btrfs.subvolume}`, `btrfs-snapshot-directory=${btrfs.snapshots}`];
  describeAs("btrfs", "btrfs-snapshot", places);
  await fallthru(["recover"]);
  before = traces();
});

afterEach(async () => {
  await fallthru(["end", "--all", "--force"]);
  expect(await leftoversAfter(before)).toEqual([]);
});

afterAll(() => execFileSync("umount", [btrfs.mountPoint]));

async function begin(chroot: string, args: readonly string[] = []): Promise<void> {
  expect(await fallthru(["begin", chroot, "--name", "a", ...args])).toMatchObject({ status: 0, stderr: "" });
  const script = "echo one >one; ln one two; mkdir deep; echo x >deep/x; head -c 8000000 /dev/urandom >big";
  execFileSync("sh", ["-ec", script], { cwd: `${mountPointOf("a")}/data` });
}

/** Runs `work` while a command runs in the session. */
async function whileBusy(work: () => Promise<void>): Promise<void> {
  const busy = startFallthru(["run", "@a", "--directory", "/", "--", "sh", "-c", ": >/data/ready; sleep 100"]);
  for (let tries = 0; tries < 3000 && !existsSync(`${mountPointOf("a")}/data/ready`); tries++) await sleep(20);
  try {
    await work();
  } finally {
    busy.kill("SIGKILL");
  }
}

async function expectFork(way: string): Promise<void> {
  const was = dataOf("a");
  const forked = await fallthru(["fork", "@a", "--name", "b", "--json"]);
  expect(forked).toMatchObject({ status: 0, stderr: "" });
  expect(JSON.parse(forked.stdout)).toMatchObject({ id: "b", way });
  expect(dataOf("b")).toEqual(was);
  execFileSync("sh", ["-ec", "echo more >>one; rm big"], { cwd: `${mountPointOf("b")}/data` });
  expect(dataOf("a")).toEqual(was);
  expect(readFileSync(`${mountPointOf("b")}/data/two`, "utf8")).toBe("one\nmore\n");
}

test("a fork of a Btrfs snapshot is another, whoever is inside", async () => {
  await begin("btrfs");
  await whileBusy(() => expectFork("snapshot"));
});

test("a fork of a session on an image shares what was changed", async () => {
  await begin("loop");
  await expectFork("shared");
});

test("a fork of a session whose changes are on Btrfs shares their blocks where somebody is inside", async () => {
  const upper = `${btrfs.mountPoint}/uppers`;
  mkdirSync(upper);
  await begin("tiny", ["--upper", upper]);
  const free = (): number => {
    execFileSync("sync", ["--file-system", upper]);
    const { bfree, bsize } = statfsSync(upper);
    return bfree * bsize;
  };
  const [had] = [free()];
  await whileBusy(() => expectFork("reflinks"));
  expect(had - free()).toBeLessThan(4_000_000);
});

test("a fork for which the disk has no room says so and leaves nothing, and the session goes on", async () => {
  const upper = temporaryDirectory("small");
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=12M", "small", upper]);
  try {
    await begin("tiny", ["--upper", upper]);
    await whileBusy(async () => {
      const [was, there] = [dataOf("a"), readdirSync(upper)];
      const { status, stderr } = await fallthru(["fork", "@a", "--name", "b"]);
      expect({ status, stderr }).toMatchObject({ status: 8, stderr: expect.stringContaining(upper) as string });
      expect(stderr.split("\n").length).toBeLessThan(4);
      expect([dataOf("a"), readdirSync(upper)]).toEqual([was, there]);
      expect(readdirSync("/var/lib/fallthru/sessions").filter((name) => !name.startsWith("."))).toEqual(["a"]);
      expect(await fallthru(["run", "@a", "--", "cat", "/data/two"])).toMatchObject({ status: 0, stdout: "one\n" });
    });
    await fallthru(["end", "--force", "a"]);
  } finally {
    execFileSync("umount", [upper]);
  }
});
