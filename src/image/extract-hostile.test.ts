import { describe, expect, test } from "bun:test";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Readable } from "node:stream";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { craftArchive, type CraftedEntry, craftEntry, craftPax } from "../../test/support/tarball.ts";
import { describeTree } from "../../test/support/tree.ts";
import { UserError } from "../error.ts";
import { openDirectory, statAt } from "../kernel/file.ts";
import { listXattrsAt } from "../kernel/xattr.ts";
import { extractTar } from "./extract.ts";
import { readTar } from "./tar/read.ts";

/** What an archive becomes below a new directory. */
async function extract(archive: Buffer, warnings: string[] = []): Promise<string> {
  const target = temporaryDirectory("ours");
  using root = openDirectory(target);
  const onWarning = (text: string) => void warnings.push(text);
  await extractTar(readTar(Readable.from([archive]), "a.tar"), root, { archive: "a.tar", onWarning });
  return target;
}

describe("extractTar() stops, naming the entry, at", () => {
  const x = (name: string): CraftedEntry => ({ name, body: "x" });
  const link = (name: string, linkName: string): CraftedEntry => ({ name, type: "2", linkName });
  const hard = (name: string, linkName: string): CraftedEntry => ({ name, type: "1", linkName });
  const cases: readonly (readonly [string, readonly (Buffer | CraftedEntry)[], string])[] = [
    ["a name that climbs", [x("../evil")], "the entry ../evil would land outside the chroot: its name climbs with .."],
    ["a name that climbs inside", [{ name: "a/", type: "5" }, x("a/../../evil")], "a/../../evil would land outside"],
    ["a name that climbs and comes back", [{ name: "a/", type: "5" }, x("a/../b")], "a/../b would land outside"],
    ["..", [{ name: "..", type: "5" }], ".. would land outside"],
    ["an absolute name", [x("/evil")], "/evil would land outside the chroot: its name is absolute"],
    ["an absolute name in pax", [craftPax({ path: "/evil" }), {}], "/evil would land outside"],
    [
      "an absolute name in GNU's long name",
      [craftEntry({ type: "L", body: "/evil\0", format: "gnu" }), { format: "gnu" }],
      "/evil would land outside",
    ],
    [
      "a sparse name that climbs",
      [craftPax({ "GNU.sparse.name": "../evil", "GNU.sparse.size": "0", "GNU.sparse.map": "" }), {}],
      "../evil would land outside",
    ],
    [
      "a way through an absolute link",
      [link("l", "/"), x("l/evil")],
      "l/evil would land outside the chroot: a link on its way leads there",
    ],
    ["a way through a climbing link", [link("l", ".."), x("l/evil")], "l/evil would land outside"],
    ["a way through a link to a link", [link("l", "m"), link("m", "../.."), x("l/evil")], "l/evil would land outside"],
    [
      "a way through a link that first goes down",
      [{ name: "d/", type: "5" }, link("l", "d/../../x"), x("l/evil")],
      "l/evil would land outside",
    ],
    [
      "a directory below an absolute link",
      [link("l", "/tmp"), { name: "l/evil/", type: "5" }],
      "l/evil/ would land outside",
    ],
    ["a link below an absolute link", [link("l", "/tmp"), link("l/evil", "x")], "l/evil would land outside"],
    [
      "a device below an absolute link",
      [link("l", "/dev"), { name: "l/evil", type: "3" }],
      "l/evil would land outside",
    ],
    [
      "a hard link to an absolute name",
      [hard("h", "/etc/shadow")],
      "the entry h is a link to /etc/shadow, which would land outside",
    ],
    [
      "a hard link that climbs",
      [hard("h", "../../etc/shadow")],
      "h is a link to ../../etc/shadow, which would land outside",
    ],
    [
      "a hard link through a link",
      [link("l", "/etc"), hard("h", "l/shadow")],
      "h is a link to l/shadow, which would land outside",
    ],
    ["a hard link to nothing", [hard("h", "missing")], "h is a link to missing, which isn't there"],
    [
      "a hard link to a directory",
      [{ name: "d/", type: "5" }, hard("h", "d")],
      "h is a link to d, which is a directory",
    ],
    [
      "links in a circle",
      [link("l", "m"), link("m", "l"), x("l/evil")],
      "l/evil lies below a link that leads in a circle",
    ],
    ["a way through a file", [x("f"), x("f/evil")], "f/evil lies below what is no directory"],
    [
      "a way through a dangling link",
      [link("l", "missing"), x("l/evil")],
      "l/evil lies below a link that leads nowhere",
    ],
    ["a root that is no directory", [link("./", "/etc")], "./ stands for the root itself"],
    ["a name that is too long", [craftPax({ path: "n".repeat(300) }), {}], "file name too long"],
    [
      "an ACL with a name that the root doesn't know",
      [craftPax({ "SCHILY.acl.access": "user::rw-,user:nobody-here:r--,group::r--,mask::r--,other::---" }), {}],
      "user:nobody-here:r--",
    ],
    [
      "an attribute that the kernel refuses",
      [craftPax({ "SCHILY.xattr.system.posix_acl_access": Buffer.from("02000000ffff0700ffffffff", "hex") }), {}],
      "the kernel refuses",
    ],
  ];
  for (const [what, entries, message] of cases) {
    test(what, async () => {
      const world = temporaryDirectory("world");
      for (const dir of ["root", "tmp"]) mkdirSync(`${world}/${dir}`);
      const outside = () => describeTree(world).filter((line) => !line.startsWith("./root"));
      const before = outside();
      using root = openDirectory(`${world}/root`);
      const extraction = extractTar(readTar(Readable.from([craftArchive(...entries)]), "a.tar"), root, {
        archive: "a.tar",
        onWarning: () => {},
      });
      const error: unknown = await extraction.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(UserError);
      expect(error).toMatchObject({ code: "data", message: expect.stringContaining(message) as string });
      expect(outside()).toEqual(before);
    });
  }
});

describe("extractTar()", () => {
  const file = (name: string, body: string): CraftedEntry => ({ name, body });
  const link = (name: string, linkName: string): CraftedEntry => ({ name, type: "2", linkName });

  test("goes through the archive's own links where they stay inside", async () => {
    const target = await extract(
      craftArchive(
        link("bin", "usr/bin"),
        { name: "usr/bin/", type: "5" },
        link("usr/up", "../bin"),
        file("bin/a", "a"),
        file("usr/up/b", "b"),
      ),
    );
    expect(readFileSync(`${target}/usr/bin/a`, "utf8") + readFileSync(`${target}/usr/bin/b`, "utf8")).toBe("ab");
  });

  test("lets the later of two entries with one name stay, whatever they are", async () => {
    const outside = `${temporaryDirectory("outside")}/file`;
    writeFileSync(outside, "untouched");
    const target = await extract(
      craftArchive(
        link("a", outside),
        file("a", "not through the link"),
        file("b", "first"),
        { name: "b2", type: "1", linkName: "b" },
        file("b", "second"),
        { name: "c/", type: "5" },
        file("c/in", "in"),
        file("c", "no directory any more"),
        link("d", outside),
        { name: "d/", type: "5", mode: 0o711 },
        file("d/in", "in"),
        { name: "e/", type: "5", mode: 0o700 },
        file("e/in", "in"),
        { name: "e/", type: "5", mode: 0o755 },
        file("f", "f"),
        { name: "f", type: "1", linkName: "./f" },
        { name: "g/x/", type: "5" },
        link("g", "e"),
        file("g/late", "late"),
      ),
    );
    const read = (name: string) => readFileSync(`${target}/${name}`, "utf8");
    expect(["a", "b", "b2", "c", "d/in", "e/in", "f", "e/late"].map(read)).toEqual([
      "not through the link",
      "second",
      "first",
      "no directory any more",
      "in",
      "in",
      "f",
      "late",
    ]);
    expect(readFileSync(outside, "utf8")).toBe("untouched");
    expect([statAt(null, `${target}/d`).mode & 0o7777, statAt(null, `${target}/e`).mode & 0o7777]).toEqual([
      0o711, 0o755,
    ]);
  });

  test("makes directories that the archive doesn't mention, whatever the umask", async () => {
    const old = process.umask(0o077);
    const target = await extract(craftArchive(file("a/b/c", ""))).finally(() => process.umask(old));
    expect([statAt(null, `${target}/a`).mode, statAt(null, `${target}/a/b`).mode]).toEqual([0o40755, 0o40755]);
  });

  test("leaves overlayfs's own attributes out, and says so", async () => {
    const warnings: string[] = [];
    const records = { "SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.user.mine": "1" };
    const target = await extract(craftArchive(craftPax(records), { name: "d/", type: "5" }), warnings);
    using root = openDirectory(target);
    expect(listXattrsAt(root, "d").map(String)).toEqual(["user.mine"]);
    expect(warnings).toEqual(["left out overlayfs's own attributes (trusted.overlay.*) of 1 entries"]);
  });

  test("takes the names in ACLs from the root's own passwd, and star's numbers as they are", async () => {
    const passwd = "root:x:0:0::/:/bin/sh\nmine:x:4711:0::/:/bin/sh\n";
    const acl = "user::rw-\nuser:mine:r--\nuser:starry:-w-:99\ngroup::r--\nmask::rw-\nother::---\n";
    const target = await extract(
      craftArchive(craftPax({ "SCHILY.acl.access": acl }), file("f", ""), file("etc/passwd", passwd)),
    );
    const { stdout } = spawnSync("getfacl", ["-npc", `${target}/f`], { encoding: "utf8" });
    expect(stdout.trim().split("\n")).toEqual([
      "user::rw-",
      "user:99:-w-",
      "user:4711:r--",
      "group::r--",
      "mask::rw-",
      "other::---",
    ]);
  });

  const onFileSystem = async (type: string, options: string, archive: Buffer) => {
    const target = temporaryDirectory(type);
    execFileSync("mount", ["-t", type, "-o", options, "none", target]);
    try {
      using root = openDirectory(target);
      return await extractTar(readTar(Readable.from([archive]), "a.tar"), root, {
        archive: "a.tar",
        onWarning: () => {},
      }).catch((reason: unknown) => ({ reason, target }));
    } finally {
      execFileSync("umount", ["-l", target]);
      rmSync(target, { recursive: true });
    }
  };

  test("says which file system is full, and of what", async () => {
    const full = await onFileSystem("tmpfs", "size=1m", craftArchive(file("big", "x".repeat(2_000_000))));
    const place = `: the file system at ${full?.target} (tmpfs)`;
    expect(full?.reason).toMatchObject({ code: "no-space", message: `unpack big from a.tar${place} is full` });
    const many = await onFileSystem(
      "tmpfs",
      "nr_inodes=10",
      craftArchive(...Array.from({ length: 20 }, (_, index) => file(`f${index}`, ""))),
    );
    expect(many?.reason).toMatchObject({
      code: "no-space",
      message: expect.stringContaining("has no inodes left") as string,
    });
  });

  test("says what the file system can't keep", async () => {
    const failed = await onFileSystem(
      "ramfs",
      "mode=755",
      craftArchive(craftPax({ "SCHILY.xattr.user.a": "1" }), file("f", "")),
    );
    expect(failed?.reason).toMatchObject({
      code: "unsupported",
      message: "unpack f from a.tar: the file system (ramfs) can't keep the extended attribute user.a",
    });
  });
});
