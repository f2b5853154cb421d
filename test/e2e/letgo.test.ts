// What a session lay on is free when `end` returns. Where all of it is on the root's own file system, which nobody can unmount, the
// kernel lets go of the overlay a moment later: see src/session/letgo.ts.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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

test("where nobody could tell, `end` leaves it to the kernel to let go", async () => {
  for (const command of [
    ["end", "early"],
    ["run", "here", "--", "true"],
  ]) {
    await fallthru(["begin", "here", "--name", "early"]);
    const traced = await run(["strace", "-f", "-e", "trace=sendmsg", executable, ...command]);
    const sent = traced.stderr.split("\n").filter((line) => line.includes("SCM_RIGHTS"));
    expect([traced.status, sent.length]).toEqual([0, statSync("/").dev === statSync(root).dev ? 2 : 0]);
    await fallthru(["end", "early"]);
  }
});
