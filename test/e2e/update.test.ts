// deadline: 120
// chroot update: the new one or the old one, whatever happens.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { fallthru, startFallthru } from "../support/fallthru.ts";
import { leftovers, type Traces, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import { archiveOf, btrfsSubvolume, describeAs, ext4Image } from "../support/rootstores.ts";

/** What lies beside each chroot's root, the root itself included. */
let beside: Record<string, string>;
let btrfs: ReturnType<typeof btrfsSubvolume>;
let before: Traces;

beforeAll(async () => {
  const tree = tinyRoot();
  writeFileSync(join(tree, "etc/hostname"), "mark\n");
  btrfs = btrfsSubvolume(tree);
  const folder = temporaryDirectory("roots");
  execFileSync("cp", ["-a", tree, join(folder, "dir")]);
  const [archive, image] = [archiveOf(tree), ext4Image(tree)];
  const profile = "profile=minimal";
  describeChroot("dir", join(folder, "dir"), [profile]);
  describeAs("file", "file", [`file=${archive}`, profile]);
  describeAs("loop", "loopback", [`file=${image}`, profile]);
  const keys = [`btrfs-source-subvolume=${btrfs.subvolume}`, `btrfs-snapshot-directory=${btrfs.snapshots}`];
  describeAs("btrfs", "btrfs-snapshot", [...keys, profile]);
  beside = { dir: folder, file: dirname(archive), loop: dirname(image), btrfs: btrfs.mountPoint };
  await fallthru(["recover"]);
  before = traces();
});

afterEach(async () => {
  await fallthru(["end", "--all"]);
  await fallthru(["recover"]);
  expect(leftovers(before)).toEqual([]);
  for (const folder of Object.values(beside))
    expect(readdirSync(folder).filter((name) => name.startsWith("."))).toEqual([]);
});

afterAll(() => {
  execFileSync("umount", [btrfs.mountPoint]);
});

const update = (name: string, script: string) => fallthru(["chroot", "update", name, "--", "sh", "-c", script]);
const read = async (name: string): Promise<string> =>
  (await fallthru(["run", name, "--", "sh", "-c", "cat /added 2>/dev/null || echo none"])).stdout;

for (const name of ["dir", "file", "loop", "btrfs"]) {
  describe(`an update of type ${name}`, () => {
    test("that fails, or is killed, leaves the chroot as it was", async () => {
      const failed = await update(name, "echo bad > /added; rm -r /var; exit 3");
      expect(failed).toMatchObject({ status: 3, stderr: "" });
      expect(await read(name)).toBe("none\n");
      const child = startFallthru([
        "chroot",
        "update",
        name,
        "--",
        "sh",
        "-c",
        "echo bad > /added; echo up; sleep 100",
      ]);
      await new Promise((up) => child.stdout?.once("data", up));
      const closed = new Promise((done) => child.once("exit", done));
      child.kill("SIGKILL");
      await closed;
      expect((await fallthru(["recover"])).stdout).toContain("removed");
      expect(await read(name)).toBe("none\n");
    });

    test("that succeeds is what later sessions have, and keeps what was not changed", async () => {
      expect(await update(name, "echo one > /added; id -u; pwd")).toMatchObject({
        status: 0,
        stdout: "0\n/\n",
        stderr: "",
      });
      expect(await read(name)).toBe("one\n");
      expect(await update(name, "cat /added /etc/hostname; rm /added")).toMatchObject({
        status: 0,
        stdout: "one\nmark\n",
      });
      expect(await read(name)).toBe("none\n");
    });

    test("and its open sessions", async () => {
      await fallthru(["begin", name, "--name", "open"]);
      const result = await update(name, "echo two > /added");
      const look = await fallthru(["run", "@open", "--", "sh", "-c", "cat /etc/hostname; test ! -e /added"]);
      expect(look).toMatchObject({ status: 0, stdout: "mark\n" });
      expect(result).toMatchObject({ status: 0, stderr: "" });
      expect(await read(name)).toBe("two\n");
    });
  });
}

test("an update finds the host's resolv.conf, and leaves none behind", async () => {
  describeChroot("dir", join(beside["dir"] ?? "", "dir"), [
    "setup.copyfiles=copy",
    "setup.nssdatabases=",
    "profile=minimal",
  ]);
  writeFileSync("/etc/schroot/copy", "/etc/resolv.conf\n/etc/nowhere/resolv.conf\n");
  const host = execFileSync("cat", ["/etc/resolv.conf"], { encoding: "utf8" });
  expect(await update("dir", "cat /etc/resolv.conf")).toMatchObject({ status: 0, stdout: host, stderr: "" });
  expect(execFileSync("cat", [join(beside["dir"] ?? "", "dir/etc/resolv.conf")], { encoding: "utf8" })).toBe("");
});

test("what can't be updated says so", async () => {
  describeAs("own", "custom", ["profile=minimal"]);
  expect(await update("own", "true")).toMatchObject({
    status: 125,
    stderr: expect.stringContaining("source:NAME") as string,
  });
});
