// lvm-snapshot and zfs-snapshot where the kernel has neither: the programs are stand-ins that make snapshots of files.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { execFileSync, spawn } from "node:child_process";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru } from "../support/fallthru.ts";
import { leftovers, type Traces, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import { describeAs, ext4Image } from "../support/rootstores.ts";

const programs = temporaryDirectory("bin");
const group = join(temporaryDirectory("dev"), "vg");
const pool = temporaryDirectory("pool");
const log = join(programs, "log");
const env = { PATH: `${programs}${delimiter}${process.env["PATH"]}` };
let before: Traces;
let tree: string;

function standIn(name: string, script: string): void {
  const text = `#!/bin/bash\nset -e\necho "${name} $*" >> ${log}\n${script}\n`;
  writeFileSync(join(programs, name), text, { mode: 0o755 });
}

/** What the programs were called with since this was asked last. */
function calls(): string[] {
  const found = existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
  writeFileSync(log, "");
  return found;
}

beforeAll(async () => {
  tree = tinyRoot();
  writeFileSync(join(tree, "etc/hostname"), "mark\n");
  mkdirSync(group);
  // A volume is a link to a loop device, which goes when it is neither mounted nor named.
  const image = ext4Image(tree);
  const loop = (file: string) => execFileSync("losetup", ["--find", "--show", file], { encoding: "utf8" }).trim();
  execFileSync("ln", ["-s", loop(image), join(group, "base")]);
  standIn(
    "lvcreate",
    `while [ $# -gt 1 ]; do [ "$1" != --name ] || name=$2; shift; done
while [ -e ${group}/slow ]; do sleep 0.05; done
cp --sparse=always "$(losetup --noheadings --output BACK-FILE "$(readlink "$1")")" ${group}/$name.image
ln -s "$(losetup --find --show ${group}/$name.image)" ${group}/$name`,
  );
  standIn(
    "lvremove",
    `name=\${@: -1}; name=\${name#vg/}
[ -e ${group}/$name ] || { echo "Failed to find logical volume" >&2; exit 5; }
losetup --detach "$(readlink ${group}/$name)"; rm ${group}/$name ${group}/$name.image`,
  );
  standIn("lvs", `name=\${@: -1}; [ -e ${group}/\${name#vg/} ] || exit 5`);
  standIn(
    "lvchange",
    `name=\${@: -1}; name=\${name#vg/}; ln -s "$(losetup --find --show ${group}/$name.image)" ${group}/$name`,
  );
  const keys = [`device=${group}/base`, "lvm-snapshot-options=--size 1g", "mount-options=-o noatime"];
  describeAs("lvm", "lvm-snapshot", [...keys, "profile=minimal"]);
  execFileSync("cp", ["-a", tree, join(pool, "root")]);
  standIn(
    "zfs",
    `last=\${@: -1}; at=${pool}/\${last#tank/}
case $1 in
snapshot) cp -a "\${at%@*}" "$at" ;;
clone) from=\${@: -2:1}; mkdir -p "$(dirname "$at").clones"; cp -a "${pool}/\${from#tank/}" "\${at%/*}.clones/\${at##*/}" ;;
list) case $last in *@*) [ -e "$at" ] ;; *) [ -e "\${at%/*}.clones/\${at##*/}" ] ;; esac ;;
destroy) case $last in *@*) rm -r "$at" ;; *) rm -r "\${at%/*}.clones/\${at##*/}" ;; esac ;;
get) case $last in tank/root) echo "${pool}/root" ;; *) echo legacy ;; esac ;;
mount) echo "already mounted" >&2; exit 1 ;;
esac`,
  );
  standIn("mount", `dataset=\${@: -2:1}; exec /bin/mount --bind "${pool}/root.clones/\${dataset##*/}" "\${@: -1}"`);
  describeAs("zfs", "zfs-snapshot", ["zfs-dataset=tank/root", "zfs-snapshot-options=-o a=b", "profile=minimal"]);
  await fallthru(["recover"]);
  before = traces();
});

afterEach(async () => {
  await fallthru(["end", "--all"], { env });
  expect(leftovers(before)).toEqual([]);
  expect(readdirSync(group)).toEqual(["base"]);
  expect(readdirSync(pool).filter((name) => name.includes("@"))).toEqual([]);
});

afterAll(() => {
  execFileSync("losetup", ["--detach", readlinkSync(join(group, "base"))]);
});

const ours = (...args: readonly string[]) => fallthru(args, { env });
const sh = (session: string, script: string) => ours("run", session, "--", "sh", "-c", script);

describe("type lvm-snapshot", () => {
  test("has a snapshot for each session, which goes with it", async () => {
    calls();
    expect(await ours("begin", "lvm", "--name", "s")).toMatchObject({ status: 0, stderr: "" });
    const [made = ""] = calls();
    expect(made).toMatch(
      new RegExp(`^lvcreate --snapshot --name fallthru-s-[0-9a-f]+ --setactivationskip n --size 1g ${group}/base$`),
    );
    const { stdout } = await sh("@s", "cat /etc/hostname; rm /etc/hostname; grep ' / ' /proc/mounts");
    expect(stdout).toMatch(/^mark\n\S+\/vg\/fallthru-s-\w+ \/ ext4 rw,noatime/);
    expect(await sh("lvm", "cat /etc/hostname")).toMatchObject({ stdout: "mark\n", status: 0, stderr: "" });
    expect(await ours("end", "s")).toMatchObject({ status: 0, stderr: "" });
  });

  test("is mounted again after a restart, its volume made active", async () => {
    await ours("begin", "lvm", "--name", "s");
    await sh("@s", "echo kept > /new");
    execFileSync("umount", ["--recursive", "--lazy", "/run/fallthru"]);
    const [snapshot = ""] = readdirSync(group).filter((name) => /^fallthru-s-[0-9a-f]+$/.test(name));
    execFileSync("losetup", ["--detach", readlinkSync(join(group, snapshot))]);
    execFileSync("rm", [join(group, snapshot)]);
    expect(await ours("recover")).toMatchObject({ status: 0, stdout: "recovered s\n" });
    expect(await sh("@s", "cat /new")).toMatchObject({ stdout: "kept\n" });
  });

  test("a source session is on the volume itself", async () => {
    calls();
    expect(await sh("source:lvm", "echo x > /changed")).toMatchObject({ status: 0, stderr: "" });
    expect(calls()).toEqual([""]);
    expect(await sh("lvm", "cat /changed")).toMatchObject({ stdout: "x\n" });
  });

  test("a begin that is killed while lvcreate runs leaves nothing: the session stays held until that has ended", async () => {
    writeFileSync(join(group, "slow"), "");
    const begin = spawn(executable, ["begin", "lvm", "--name", "s"], {
      env: { ...process.env, ...env },
      stdio: "ignore",
    });
    calls();
    while (!calls().some((call) => call.startsWith("lvcreate"))) await new Promise((done) => setTimeout(done, 10));
    const closed = new Promise((done) => begin.once("close", done));
    begin.kill("SIGKILL");
    await closed;
    // Not a leftover yet: whoever cleared it now, would do so before the snapshot is made.
    const { stdout } = await ours("list", "--json");
    expect(stdout).toMatch(/"state": *"held"/);
    execFileSync("rm", [join(group, "slow")]);
    expect(await ours("recover")).toMatchObject({ status: 0, stdout: "removed s\n" });
  });

  test("what lvcreate says is told, and nothing is left", async () => {
    const broken = temporaryDirectory("bin");
    writeFileSync(join(broken, "lvcreate"), "#!/bin/sh\necho insufficient free space >&2; exit 5\n", { mode: 0o755 });
    const run = await fallthru(["begin", "lvm"], { env: { PATH: `${broken}${delimiter}${env.PATH}` } });
    expect(run).toMatchObject({ status: 1, stderr: expect.stringContaining("insufficient free space") as string });
  });

  test("without lvm2 it says which package has it", async () => {
    const { status, stderr } = await fallthru(["begin", "lvm"], { env: { PATH: "/nowhere" } });
    expect({ status, stderr }).toMatchObject({
      status: 7,
      stderr: expect.stringContaining("apt install lvm2") as string,
    });
    // Nothing was made, and that can't be seen without the program either.
    expect(await ours("recover")).toMatchObject({ status: 0 });
  });
});

describe("type zfs-snapshot", () => {
  test("has a clone of a snapshot for each session, and both go with it", async () => {
    calls();
    expect(await ours("begin", "zfs", "--name", "s")).toMatchObject({ status: 0, stderr: "" });
    const name = /@(fallthru-s-[0-9a-f]+)/.exec(calls().slice(0, 2).join("\n"))?.[1] ?? "";
    expect(await sh("@s", "cat /etc/hostname; echo > /new")).toMatchObject({ status: 0, stdout: "mark\n" });
    expect(existsSync(join(pool, "root/new"))).toBe(false);
    calls();
    expect(await ours("end", "s")).toMatchObject({ status: 0, stderr: "" });
    expect(calls().filter((call) => call.startsWith("zfs destroy"))).toEqual([
      `zfs destroy tank/root/${name}`,
      `zfs destroy tank/root@${name}`,
    ]);
  });

  test("a source session is on the dataset itself", async () => {
    expect(await sh("source:zfs", "echo x > /changed")).toMatchObject({ status: 0, stderr: "" });
    expect(existsSync(join(pool, "root/changed"))).toBe(true);
    expect(calls().some((call) => call.startsWith("zfs snapshot"))).toBe(false);
  });
});
