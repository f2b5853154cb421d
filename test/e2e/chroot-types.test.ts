// deadline: 240
// Sessions of every chroot type whose root has to be made first.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { leftovers, type Traces, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import { archiveOf, btrfsSubvolume, describeAs, ext4Image } from "../support/rootstores.ts";

const profile = "profile=minimal";
let tree: string;
let btrfs: ReturnType<typeof btrfsSubvolume>;
let image: string;
let archive: string;
let before: Traces;

beforeAll(async () => {
  tree = tinyRoot();
  writeFileSync(join(tree, "etc/hostname"), "mark\n");
  writeFileSync(join(tree, "etc/resolv.conf"), "golden\n");
  btrfs = btrfsSubvolume(tree);
  image = ext4Image(tree);
  archive = archiveOf(tree);
  describeAs("file", "file", [`file=${archive}`, profile]);
  describeAs("loop", "loopback", [`file=${image}`, "union-type=overlay", profile]);
  const keys = [`btrfs-source-subvolume=${btrfs.subvolume}`, `btrfs-snapshot-directory=${btrfs.snapshots}`, profile];
  describeAs("btrfs", "btrfs-snapshot", keys);
  expect(await fallthru(["recover"])).toMatchObject({ status: 0 });
  before = traces();
});

afterEach(async () => {
  await fallthru(["end", "--all"]);
  expect(leftovers(before)).toEqual([]);
  expect(readdirSync(btrfs.snapshots)).toEqual([]);
});

afterAll(() => {
  execFileSync("umount", [btrfs.mountPoint]);
});

const inside = (...words: readonly string[]) => fallthru(["run", ...words]);
const sh = (session: string, script: string) => inside(session, "--", "sh", "-c", script);

for (const name of ["file", "loop", "btrfs"]) {
  describe(`a chroot of type ${name}`, () => {
    test("is run in, and changed by none of its sessions", async () => {
      expect(await fallthru(["begin", name, "--name", "one"])).toMatchObject({
        status: 0,
        stderr: "",
        stdout: "one\n",
      });
      expect(await fallthru(["begin", name, "--name", "two"])).toMatchObject({ status: 0, stderr: "" });
      expect(await sh("@one", "cat /etc/hostname; echo one > /new; rm /etc/hostname")).toMatchObject({
        stdout: "mark\n",
        status: 0,
      });
      expect(await sh("@two", "cat /etc/hostname; test ! -e /new")).toMatchObject({ status: 0, stdout: "mark\n" });
      expect(await inside(name, "--", "cat", "/etc/hostname")).toMatchObject({ status: 0, stdout: "mark\n" });
      expect(await fallthru(["end", "one", "two"])).toMatchObject({ status: 0, stderr: "" });
    });

    test("is mounted again after a restart of the machine", async () => {
      await fallthru(["begin", name, "--name", "one"]);
      await sh("@one", "echo kept > /new");
      // All mounts are gone then, and with them loop devices.
      execFileSync("umount", ["--recursive", "--lazy", "/run/fallthru"]);
      expect(await fallthru(["recover"])).toMatchObject({ status: 0, stdout: "recovered one\n" });
      expect(await sh("@one", "cat /new /etc/hostname")).toMatchObject({ status: 0, stdout: "kept\nmark\n" });
    });

    test("takes further lowers, an upper elsewhere and in memory", async () => {
      const lower = temporaryDirectory("lower");
      writeFileSync(join(lower, "extra"), "extra\n");
      for (const options of [
        ["--upper", "tmpfs"],
        ["--upper", temporaryDirectory("upper")],
      ]) {
        const run = await inside(
          name,
          "--lower",
          lower,
          ...options,
          "--",
          "sh",
          "-c",
          "cat /extra /etc/hostname; echo >/x",
        );
        expect(run).toMatchObject({ status: 0, stdout: "extra\nmark\n", stderr: "" });
      }
      expect(existsSync(join(lower, "x"))).toBe(false);
    });

    test("is changed by a session on itself, which leaves nothing of the host in it", async () => {
      expect(await fallthru(["begin", `source:${name}`, "--name", "s"])).toMatchObject({ status: 0, stderr: "" });
      const host = readFileSync("/etc/resolv.conf", "utf8");
      expect(await sh("@s", `echo ${name} > /etc/golden; cat /etc/resolv.conf`)).toMatchObject({ stdout: host });
      expect(await fallthru(["end", "s"])).toMatchObject({ status: 0, stderr: "" });
      const script = "cat /etc/golden; grep -c . /etc/passwd";
      const accounts = readFileSync(join(tree, "etc/passwd"), "utf8").trim().split("\n").length;
      describeAs("plain-look", readType(name), [...readKeys(name), "setup.nssdatabases=", "setup.copyfiles="]);
      const look = await inside("plain-look", "--", "sh", "-c", `${script}; cat /etc/resolv.conf`);
      expect(look).toMatchObject({ status: 0, stdout: `${name}\n${accounts}\ngolden\n` });
      expect(await inside(`source:${name}`, "--", "rm", "/etc/golden")).toMatchObject({ status: 0, stderr: "" });
      expect((await inside(name, "--", "cat", "/etc/golden")).status).toBe(1);
    });
  });
}

function readType(name: string): string {
  return /^type=(.*)$/m.exec(readFileSync(`/etc/schroot/chroot.d/${name}.conf`, "utf8"))?.[1] ?? "";
}

function readKeys(name: string): string[] {
  const lines = readFileSync(`/etc/schroot/chroot.d/${name}.conf`, "utf8").trim().split("\n");
  return lines.filter((line) => !/^\[|^type=/.test(line));
}

describe("type file", () => {
  for (const suffix of ["tar", "tar.gz", "tgz", "tar.bz2", "tbz", "tar.xz", "txz", "tar.zst", "tzst"]) {
    test(`reads and repacks .${suffix}, with its mode`, async () => {
      const packed = archiveOf(tree, `root.${suffix}`);
      chmodSync(packed, 0o640);
      const magic = readFileSync(packed).subarray(0, 4).toString("hex");
      describeAs("packed", "file", [`file=${packed}`, profile]);
      expect(await inside("source:packed", "--", "sh", "-c", "echo x > /added")).toMatchObject({
        status: 0,
        stderr: "",
      });
      expect(await inside("packed", "--", "cat", "/added")).toMatchObject({ status: 0, stdout: "x\n" });
      expect(statSync(packed).mode & 0o777).toBe(0o640);
      if (suffix !== "tar")
        expect(readFileSync(packed).subarray(0, 4).toString("hex").slice(0, 4)).toBe(magic.slice(0, 4));
      expect(readdirSync(join(packed, ".."))).toEqual([`root.${suffix}`]);
    });
  }

  test("takes the root from a directory in the archive, and never from outside of it", async () => {
    const outer = temporaryDirectory("outer");
    mkdirSync(join(outer, "deep"));
    execFileSync("cp", ["-a", tree, join(outer, "deep/sid")]);
    execFileSync("ln", ["-s", "/deep/sid", join(outer, "link")]);
    execFileSync("ln", ["-s", "../../../../../../etc", join(outer, "out")]);
    const packed = archiveOf(outer);
    for (const [location, status] of [
      ["/deep/sid", 0],
      ["link", 0],
      ["/out", 125],
      ["/nowhere", 125],
    ] as const) {
      describeAs("inner", "file", [`file=${packed}`, `location=${location}`, profile]);
      const run = await inside("inner", "--", "cat", "/etc/hostname");
      expect(run).toMatchObject({ status, stdout: status === 0 ? "mark\n" : "" });
    }
  });

  test("keeps the old archive, and the session, where packing fails", async () => {
    const packed = archiveOf(tree, "root.tar.xz");
    const content = readFileSync(packed);
    describeAs("packed", "file", [`file=${packed}`, profile]);
    await fallthru(["begin", "source:packed", "--name", "s"]);
    const programs = temporaryDirectory("bin");
    writeFileSync(join(programs, "xz"), "#!/bin/sh\necho no room >&2; exit 1\n", { mode: 0o755 });
    const failed = await fallthru(["end", "s"], { env: { PATH: `${programs}:${process.env["PATH"]}` } });
    expect(failed).toMatchObject({ status: 1, stdout: "" });
    expect(failed.stderr).toContain("no room");
    expect(readFileSync(packed).equals(content)).toBe(true);
    expect(readdirSync(join(packed, ".."))).toEqual(["root.tar.xz"]);
    expect(await sh("@s", "cat /etc/hostname")).toMatchObject({ status: 0 });
    expect(await fallthru(["end", "s"])).toMatchObject({ status: 0 });
  });

  test("of two sessions on one archive the second loses nothing of the first's", async () => {
    const packed = archiveOf(tree);
    describeAs("packed", "file", [`file=${packed}`, profile]);
    for (const name of ["one", "two"]) {
      await fallthru(["begin", "source:packed", "--name", name]);
      await sh(`@${name}`, `echo ${name} > /${name}`);
    }
    expect(await fallthru(["end", "one"])).toMatchObject({ status: 0, stderr: "" });
    const refused = await fallthru(["end", "two"]);
    expect(refused).toMatchObject({ status: 4, stderr: expect.stringContaining("changed by somebody else") as string });
    expect(await sh("@two", "cat /two")).toMatchObject({ status: 0, stdout: "two\n" });
    const forced = await fallthru(["end", "--force", "two"]);
    expect(forced).toMatchObject({ status: 0, stderr: expect.stringContaining("is lost") as string });
    expect(await inside("packed", "--", "sh", "-c", "cat /one; test ! -e /two")).toMatchObject({
      status: 0,
      stdout: "one\n",
    });
  });

  test("refuses an archive that others can change", async () => {
    const packed = archiveOf(tree);
    chmodSync(packed, 0o666);
    describeAs("packed", "file", [`file=${packed}`]);
    const { status, stderr } = await fallthru(["begin", "packed"]);
    expect({ status, stderr }).toMatchObject({
      status: 6,
      stderr: expect.stringContaining("can be changed by others") as string,
    });
  });
});

describe("types loopback and block-device", () => {
  test("sessions on one image share its device, and leave the image untouched", async () => {
    const content = execFileSync("sha256sum", [image], { encoding: "utf8" });
    await fallthru(["begin", "loop", "--name", "one"]);
    await fallthru(["begin", "loop", "--name", "two"]);
    await sh("@one", "echo > /new");
    const devices = [...leftovers(before)].filter((trace) => trace.startsWith("loop device"));
    expect(devices).toHaveLength(1);
    await fallthru(["end", "--all"]);
    expect(execFileSync("sha256sum", [image], { encoding: "utf8" })).toBe(content);
  });

  test("an image isn't changed under its sessions, nor read while it is changed", async () => {
    await fallthru(["begin", "loop", "--name", "one"]);
    const refused = await fallthru(["begin", "source:loop", "--name", "s"]);
    expect(refused).toMatchObject({ status: 4, stderr: expect.stringContaining("under other sessions") as string });
    await fallthru(["end", "one"]);
    expect(await fallthru(["begin", "source:loop", "--name", "s"])).toMatchObject({ status: 0 });
    expect(await fallthru(["begin", "loop"])).toMatchObject({ status: 4 });
  });

  test("a device's own location and mount options are obeyed", async () => {
    const outer = temporaryDirectory("outer");
    execFileSync("cp", ["-a", tree, join(outer, "sid")]);
    const device = execFileSync("losetup", ["--find", "--show", ext4Image(outer)], { encoding: "utf8" }).trim();
    try {
      describeAs("block", "block-device", [
        `device=${device}`,
        "location=/sid",
        "mount-options=-o noatime,data=ordered -t ext4",
        profile,
      ]);
      expect(await inside("block", "--", "cat", "/etc/hostname")).toMatchObject({
        status: 0,
        stdout: "mark\n",
        stderr: "",
      });
      await fallthru(["begin", "source:block", "--name", "s"]);
      const { stdout } = await sh("@s", "grep ' / ' /proc/mounts; echo x > /changed");
      expect(stdout).toMatch(/^\/dev\/loop\d+ \/ ext4 rw,noatime/);
      await fallthru(["end", "s"]);
      expect(await inside("block", "--", "cat", "/changed")).toMatchObject({ status: 0, stdout: "x\n" });
      describeAs("block", "block-device", [`device=${device}`, "location=/sid", "mount-options=-o nonsense", profile]);
      expect((await inside("block", "--", "true")).stderr).toContain("nonsense");
    } finally {
      execFileSync("losetup", ["--detach", device]);
    }
  });

  test("what isn't a file system is said to be none", async () => {
    const zeros = join(temporaryDirectory("image"), "zeros");
    execFileSync("truncate", ["-s", "4M", zeros]);
    describeAs("zeros", "loopback", [`file=${zeros}`]);
    const { status, stderr } = await fallthru(["begin", "zeros"]);
    expect({ status, stderr }).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("find a file system on") as string,
    });
  });

  test("a squashfs image is a root too", async () => {
    const squashed = join(temporaryDirectory("image"), "root.squashfs");
    execFileSync("mksquashfs", [tree, squashed, "-quiet", "-no-progress"], { stdio: "ignore" });
    describeAs("squashed", "loopback", [`file=${squashed}`, profile]);
    const run = await inside("squashed", "--", "sh", "-c", "echo > /new; cat /etc/hostname");
    expect(run).toMatchObject({ status: 0, stdout: "mark\n" });
  });
});

describe("type btrfs-snapshot", () => {
  test("subvolumes that a session makes go with it", async () => {
    await fallthru(["begin", "btrfs", "--name", "one"]);
    const [snapshot = ""] = readdirSync(btrfs.snapshots);
    execFileSync("btrfs", ["subvolume", "create", join(btrfs.snapshots, snapshot, "inner")], { stdio: "ignore" });
    writeFileSync(join(btrfs.snapshots, snapshot, "inner/file"), "");
    expect(await fallthru(["end", "one"])).toMatchObject({ status: 0, stderr: "" });
  });

  test("says what is no subvolume, and what isn't on Btrfs", async () => {
    mkdirSync(join(btrfs.mountPoint, "plain"), { recursive: true });
    for (const [source, snapshots, reason] of [
      [join(btrfs.mountPoint, "plain"), btrfs.snapshots, "is not a Btrfs subvolume"],
      [tree, temporaryDirectory("snapshots"), "is not on Btrfs"],
      [tree, btrfs.snapshots, "is not on the same file system"],
    ]) {
      describeAs("bad", "btrfs-snapshot", [
        `btrfs-source-subvolume=${source}`,
        `btrfs-snapshot-directory=${snapshots}`,
      ]);
      const { status, stderr } = await fallthru(["begin", "bad"]);
      expect({ status, stderr }).toMatchObject({ status: 7, stderr: expect.stringContaining(reason ?? "") as string });
    }
  });
});

test("a custom chroot's session begins with an empty directory", async () => {
  describeAs("own", "custom", ["my.key=value", profile]);
  expect(await fallthru(["begin", "own", "--name", "s"])).toMatchObject({ status: 0 });
  execFileSync("cp", ["-a", `${tree}/.`, "/run/fallthru/mount/s/s"]);
  expect(await sh("@s", "cat /etc/hostname")).toMatchObject({ status: 0, stdout: "mark\n" });
});

test("--dry-run says what would be made, and makes nothing", async () => {
  for (const [name, what] of [
    ["file", `unpack ${archive} as <root>`],
    ["loop", `mount ${image} on a loop device as <root>`],
    ["btrfs", `snapshot ${btrfs.subvolume} in ${btrfs.snapshots} as <root>`],
  ]) {
    const { status, stdout } = await inside(name ?? "", "--dry-run");
    expect({ status, first: stdout.split("\n")[0] }).toEqual({ status: 0, first: what ?? "" });
  }
});
