// deadline: 120
// Chroots whose root is kept as an archive, an image or a subvolume.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fallthru } from "../support/fallthru.ts";
import { leftovers, type Traces, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import { archiveOf, btrfsSubvolume } from "../support/rootstores.ts";

const chroots = "/var/lib/fallthru/chroots";
let archive: string;
let btrfs: ReturnType<typeof btrfsSubvolume>;
let before: Traces;

beforeAll(async () => {
  const tree = tinyRoot();
  execFileSync("setfattr", ["-n", "user.mark", "-v", "kept", join(tree, "etc/passwd")]);
  archive = join(archiveOf(tree), "..", "with-attributes.tar");
  execFileSync("tar", ["--create", "--xattrs", `--file=${archive}`, `--directory=${tree}`, "."]);
  btrfs = btrfsSubvolume(tree);
  mkdirSync(chroots, { recursive: true });
  await fallthru(["recover"]);
  before = traces();
});

afterAll(() => {
  execFileSync("umount", [btrfs.mountPoint]);
});

const cli = (...words: readonly string[]) => fallthru(words);

for (const [type, path, contents] of [
  ["file", "root.tar.zst", ["root.tar.zst"]],
  ["loopback", "root.ext4", ["root.ext4"]],
  ["btrfs-snapshot", "root", ["root", "snapshots"]],
] as const) {
  describe(`chroot import --type ${type}`, () => {
    test("makes a chroot that is used, updated and removed", async () => {
      if (type === "btrfs-snapshot") execFileSync("mount", ["--bind", btrfs.mountPoint, chroots]);
      try {
        const root = `${chroots}/new/${path}`;
        const made = await cli("chroot", "import", "new", archive, "--type", type, "--json");
        expect(JSON.parse(made.stdout)).toMatchObject({ name: "new", type, root });
        expect(readdirSync(`${chroots}/new`).toSorted()).toEqual([...contents]);
        expect(statSync(`${chroots}/new`).mode & 0o777).toBe(0o755);
        expect(
          await cli("run", "new", "--", "sh", "-c", "grep -c user: /etc/passwd; test -d /home/user"),
        ).toMatchObject({
          status: 0,
          stdout: "1\n",
          stderr: "",
        });
        expect(await cli("chroot", "update", "new", "--", "sh", "-c", "echo x > /added")).toMatchObject({
          status: 0,
          stderr: "",
        });
        expect(await cli("begin", "new", "--name", "s")).toMatchObject({ status: 0, stderr: "" });
        expect(await cli("run", "@s", "--", "cat", "/added")).toMatchObject({ status: 0, stdout: "x\n" });
        await cli("end", "s");
        expect(readFileSync("/etc/schroot/chroot.d/new.conf", "utf8")).toContain(`type=${type}\n`);
        expect(await cli("chroot", "remove", "new")).toMatchObject({ status: 0, stderr: "" });
        expect(readdirSync(chroots).filter((name) => name.includes("new"))).toEqual([]);
        expect(leftovers(before).filter((trace) => !trace.includes(chroots))).toEqual([]);
      } finally {
        if (type === "btrfs-snapshot") execFileSync("umount", [chroots]);
      }
    });
  });
}

test("a type that can't be kept here leaves nothing", async () => {
  for (const [type, status, reason] of [
    ["btrfs-snapshot", 7, "is not on Btrfs"],
    ["nonsense", 2, "is one of directory, file, loopback, btrfs-snapshot"],
  ] as const) {
    const { stderr, ...result } = await cli("chroot", "import", "new", archive, "--type", type);
    expect({ status: result.status, stderr }).toMatchObject({
      status,
      stderr: expect.stringContaining(reason) as string,
    });
    expect(readdirSync(chroots)).toEqual([]);
  }
});
