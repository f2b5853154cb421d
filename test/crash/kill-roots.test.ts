// deadline: 400
// kill -9 at every system call that changes something, while a session's root is made, saved or taken away.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { unless } from "../../src/kernel/error.ts";
import { detachMount } from "../../src/kernel/mount.ts";
import { mountPointOf } from "../../src/session/paths.ts";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { leftovers, type Traces } from "../support/leftovers.ts";
import { archiveOf, btrfsSubvolume, describeAs, ext4Image } from "../support/rootstores.ts";
import { killEverywhere } from "./everywhere.ts";
import { expectWholeOrGone, settle } from "./session.ts";

let before: Traces;
let btrfs: ReturnType<typeof btrfsSubvolume>;
let archive: string;
let dir: string;

/** As few files as there can be: each is system calls to be killed at. */
function smallestRoot(): string {
  const root = temporaryDirectory("root");
  for (const name of ["bin", "etc", "proc"]) mkdirSync(join(root, name));
  copyFileSync("/bin/busybox", join(root, "bin/busybox"));
  for (const name of ["sh", "cat", "test"]) symlinkSync("busybox", join(root, "bin", name));
  writeFileSync(join(root, "etc/hostname"), "mark\n");
  return root;
}

beforeAll(async () => {
  const root = smallestRoot();
  btrfs = btrfsSubvolume(root);
  archive = archiveOf(root, "root.tar");
  dir = join(temporaryDirectory("dir"), "root");
  execFileSync("cp", ["-a", root, dir]);
  describeChroot("dir", dir, ["profile=crash"]);
  const profile = "/etc/schroot/crash";
  mkdirSync(profile);
  writeFileSync(join(profile, "fstab"), "proc /proc proc defaults 0 0\n");
  for (const name of ["copyfiles", "nssdatabases"]) writeFileSync(join(profile, name), "");
  describeAs("file", "file", [`file=${archive}`, "profile=crash"]);
  describeAs("loop", "loopback", [`file=${ext4Image(root, "8M")}`, "profile=crash"]);
  const keys = [`btrfs-source-subvolume=${btrfs.subvolume}`, `btrfs-snapshot-directory=${btrfs.snapshots}`];
  describeAs("btrfs", "btrfs-snapshot", [...keys, "profile=crash"]);
  before = await settle();
});

afterAll(() => {
  execFileSync("umount", [btrfs.mountPoint]);
});

/** Also what no session's trace is: snapshots, and archives that were being packed. */
async function check(): Promise<"whole" | "gone"> {
  const fate = await expectWholeOrGone("x", before);
  expect(readdirSync(btrfs.snapshots)).toEqual([]);
  expect(readdirSync(dirname(archive))).toEqual(["root.tar"]);
  return fate;
}

async function begin(name: string): Promise<void> {
  expect(await fallthru(["begin", name, "--name", "x"])).toMatchObject({ status: 0, stderr: "" });
}

for (const [name, least] of [
  ["file", 45],
  ["loop", 40],
  ["btrfs", 20],
] as const) {
  describe(`of a chroot of type ${name}`, () => {
    test("a begin that is killed leaves a session that is whole or gone", async () => {
      const counts = await killEverywhere(["begin", name, "--name", "x"], async () => {}, check);
      expect(counts.points).toBeGreaterThan(least);
      expect(counts.whole + counts.gone).toBeGreaterThan(counts.points * 0.85);
      expect(counts.whole).toBeGreaterThan(0);
      expect(counts.gone).toBeGreaterThan(least * 0.6);
    });

    test("an end that is killed leaves a session that is whole or gone", async () => {
      const counts = await killEverywhere(["end", "x"], () => begin(name), check);
      expect(counts.points).toBeGreaterThan(15);
      expect(counts.whole + counts.gone).toBeGreaterThan(counts.points * 0.85);
      expect(counts.gone).toBeGreaterThan(10);
    });
  });
}

test("a recover that is killed leaves a session that is whole", async () => {
  const prepare = async (): Promise<void> => {
    await begin("loop");
    // As a restart of the machine leaves it.
    for (const path of [mountPointOf("x"), "/run/fallthru/root/x"]) unless(["EINVAL"], () => detachMount(path));
  };
  const counts = await killEverywhere(["recover"], prepare, check);
  expect(counts.points).toBeGreaterThan(15);
  expect(counts.whole).toBeGreaterThan(counts.points * 0.85);
  expect(counts.gone).toBe(0);
});

test("an end that packs an archive anew and is killed leaves the old archive or the new one", async () => {
  let round = 0;
  const last = () => execFileSync("tar", ["-xOf", archive, "./etc/round"], { encoding: "utf8" }).trim();
  const prepare = async (): Promise<void> => {
    await begin("source:file");
    const script = `echo ${++round} > /etc/round`;
    expect(await fallthru(["run", "@x", "--", "sh", "-c", script])).toMatchObject({ status: 0, stderr: "" });
  };
  const counts = await killEverywhere(["end", "x"], prepare, async () => {
    const fate = await check();
    // Where it was whole, it has been ended since.
    expect(last()).toBe(String(round));
    return fate;
  });
  expect(counts.points).toBeGreaterThan(15);
  expect(counts.whole).toBeGreaterThan(5);
  expect(counts.gone).toBeGreaterThan(10);
});

for (const [name, least] of [
  ["btrfs", 40],
  ["dir", 60],
] as const) {
  test(`an update of type ${name} that is killed leaves the old root or the new one`, async () => {
    const root = name === "dir" ? dir : btrfs.subvolume;
    const mark = join(root, "etc/round");
    writeFileSync(mark, "old\n");
    const counts = await killEverywhere(
      ["chroot", "update", name, "--", "sh", "-c", "echo new > /etc/round"],
      async () => writeFileSync(mark, "old\n"),
      async () => {
        expect(await fallthru(["recover"])).toMatchObject({ status: 0, stderr: "" });
        expect(leftovers(before)).toEqual([]);
        expect(readdirSync(dirname(root)).filter((entry) => entry.startsWith("."))).toEqual([]);
        expect(readFileSync(join(root, "etc/hostname"), "utf8")).toBe("mark\n");
        const content = readFileSync(mark, "utf8");
        expect(["old\n", "new\n"]).toContain(content);
        return content === "old\n" ? "gone" : "whole";
      },
    );
    expect(counts.points).toBeGreaterThan(least);
    expect(counts.whole).toBeGreaterThan(5);
    expect(counts.gone).toBeGreaterThan(20);
  });
}
