// Where a tree can't be built detached (before Linux 6.15), mounts are made one by one: the same comes of it.
import { afterEach, expect, test } from "bun:test";
import { readMountInfo } from "../../src/mount/mountinfo.ts";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { leftovers, leftoversAfter, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";

describeChroot("tiny", tinyRoot(), ["profile=fallthru"]);
const before = traces();
afterEach(async () => {
  await fallthru(["end", "--all"]);
  expect(await leftoversAfter(before)).toEqual([]);
});

/** setarch(8) makes the kernel call itself 2.6. */
const older = (words: readonly string[]) => run(["setarch", "--uname-2.6", executable, ...words]);

/** What a session sees of its mounts, without what is another's each time. */
const view =
  "cut -d' ' -f5- /proc/self/mountinfo | sed -E 's/[a-z]+-[0-9a-f]{8}/ID/g; s/(inode64|nr_inodes=[0-9]+),?//g'; ls -R /dev/shm /run | head -n 20; cat /etc/resolv.conf";

for (const source of ["tiny", "host"]) {
  test(`sessions on ${source} are the same`, async () => {
    const shared = temporaryDirectory("shared");
    const words = [source, "--bind", `${shared}:/mnt/new:ro`, "--", "/bin/busybox", "sh", "-c", view];
    const newer = await fallthru(["run", ...words]);
    expect(newer.stdout).toContain("/mnt/new");
    expect(await older(["run", ...words])).toEqual(newer);
  });

  test(`a named session on ${source} can be begun, run in, recovered and ended`, async () => {
    expect(await older(["begin", source, "--name", "s"])).toMatchObject({ status: 0, stderr: "" });
    expect(readMountInfo().filter(({ mountPoint }) => mountPoint.endsWith("/.root")).length).toBe(0);
    expect((await older(["run", "@s", "--", "sh", "-c", "echo x >/etc/new; rm -rf /home"])).stderr).toBe("");
    expect((await fallthru(["run", "@s", "--", "sh", "-c", "cat /etc/new; ls -d /home"])).stdout).toBe("x\n");
    await run(["umount", "-l", "/run/fallthru/mount/s/s"]);
    expect((await older(["recover"])).stdout).toBe("recovered s\n");
    expect((await older(["run", "@s", "--pid-namespace", "--", "cat", "/etc/new"])).stdout).toBe("x\n");
    expect((await older(["end", "s"])).stdout).toBe("ended s\n");
  });
}

test("an error at any step leaves nothing", async () => {
  const dir = temporaryDirectory("dir");
  for (const options of [
    ["--bind", `${dir}:/etc/passwd`],
    ["--bind", `${dir}:/new`, "--bind", `${dir}:/etc/passwd`],
    ["--bind", `${dir}:/proc/self/nowhere`],
    ["--upper", "tmpfs:8K"],
  ]) {
    // A view of the host has no files of a profile's to write.
    for (const source of options.includes("tmpfs:8K") ? ["tiny"] : ["tiny", "host"]) {
      const { status, stderr } = await older(["begin", source, "--name", "s", ...options]);
      expect([source, options, status === 0, stderr]).toEqual([
        source,
        options,
        false,
        expect.stringMatching(/^fallthru: /),
      ]);
      expect(leftovers(before)).toEqual([]);
    }
  }
});
