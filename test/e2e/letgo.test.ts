// What a session lay on is free when `end` returns. Where all of it is on the root's own file system, which nobody can unmount, the
// kernel lets go of the overlay a moment later: see src/session/letgo.ts.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lock, openDirectory } from "../../src/kernel/file.ts";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";

const base = temporaryDirectory();
const [image, disk, root] = [join(base, "image"), join(base, "disk"), tinyRoot()];

beforeAll(() => {
  for (const path of [disk, join(base, "tree")]) mkdirSync(path);
  execFileSync("cp", ["-a", root, join(base, "tree/root")]);
  mkdirSync(join(base, "tree/uppers"));
  writeFileSync(image, "");
  truncateSync(image, 64 << 20);
  execFileSync("mkfs.ext4", ["-q", "-d", join(base, "tree"), image]);
  describeChroot("here", root, ["profile=minimal"]);
  describeChroot("there", join(disk, "root"), ["profile=minimal"]);
});

afterAll(() => {
  execFileSync("rm", ["-rf", join(base, "tree"), image]);
});

test.each([
  ["the chroot", ["there"]],
  ["the changes", ["here", "--upper", join(disk, "uppers")]],
])(
  "a file system that has %s can be unmounted, and its device taken away, as soon as `end` has returned",
  async (_, args) => {
    for (let round = 0; round < 5; round++) {
      execFileSync("mount", ["-o", "loop", image, disk]);
      expect(await fallthru(["begin", ...args, "--name", "disk"])).toMatchObject({ status: 0 });
      expect(await fallthru(["run", "@disk", "--", "sh", "-c", "echo x > /x"])).toMatchObject({ status: 0 });
      expect(await fallthru(["end", "disk"])).toMatchObject({ status: 0, stderr: "" });
      execFileSync("umount", [disk]);
      // Detached by itself when the last one has let go of it.
      expect(execFileSync("losetup", ["--associated", image], { encoding: "utf8" })).toBe("");
    }
  },
);

test("so it can where a session was forked when much had just been written", async () => {
  for (let round = 0; round < 5; round++) {
    execFileSync("mount", ["-o", "loop", image, disk]);
    expect(await fallthru(["begin", "here", "--upper", join(disk, "uppers"), "--name", "disk"])).toMatchObject({
      status: 0,
    });
    execFileSync("dd", ["if=/dev/urandom", "of=/run/fallthru/mount/disk/disk/new", "bs=1M", "count=24", "status=none"]);
    const forked = await fallthru(["fork", "disk", "--name", "disk2", "--json"]);
    expect(forked).toMatchObject({ status: 0, stdout: expect.stringContaining('"shared"') as string });
    expect(await fallthru(["end", "disk", "disk2"])).toMatchObject({ status: 0, stderr: "" });
    execFileSync("umount", [disk]);
    expect(execFileSync("losetup", ["--associated", image], { encoding: "utf8" })).toBe("");
  }
});

test("whoever deletes what was frozen waits until the mount before the fork is let go of", async () => {
  const upper = temporaryDirectory("upper");
  await fallthru(["begin", "here", "--upper", upper, "--name", "early"]);
  writeFileSync("/run/fallthru/mount/early/early/new", "new\n");
  expect(await fallthru(["fork", "early", "--name", "late"])).toMatchObject({ status: 0 });
  const [name = ""] = readdirSync(upper).filter((each) => each.startsWith("fallthru-frozen-"));
  const frozen = join(upper, name);
  let ended: ReturnType<typeof fallthru>;
  {
    using ours = openDirectory(frozen);
    lock(ours, "shared");
    ended = fallthru(["end", "early", "late"]);
    while (existsSync(join(frozen, "0"))) await sleep(10);
    await sleep(300);
    expect(existsSync(frozen)).toBe(true);
  }
  expect(await ended).toMatchObject({ status: 0, stderr: "" });
  expect(readdirSync(upper)).toEqual([]);
});

test("where nobody could tell, it is left to the kernel to let go", async () => {
  for (const command of [
    ["end", "early"],
    ["run", "here", "--", "true"],
    ["fork", "early", "--name", "forked"],
  ]) {
    await fallthru(["begin", "here", "--name", "early"]);
    writeFileSync("/run/fallthru/mount/early/early/new", "new\n");
    const traced = await run(["strace", "-f", "-e", "trace=sendmsg", executable, ...command]);
    const sent = traced.stderr.split("\n").filter((line) => line.includes("SCM_RIGHTS"));
    expect([traced.status, sent.length]).toEqual([0, statSync("/").dev === statSync(root).dev ? 2 : 0]);
    await fallthru(["end", "--all"]);
  }
});
