import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { closeFd, mknodName, openName } from "../kernel/at.ts";
import { attributeName, setXattrOf } from "../kernel/io.ts";
import { content, entries, errnoOf, find, mark, name, space, superuser, write } from "../../test/support/space.ts";
import { mountOverlay } from "../../test/support/unions.ts";
import type { LowerOption } from "./setup.ts";
import type { KnownInodes, KnownName } from "./known.ts";
import { Union } from "./union.ts";

describe("copy-up", () => {
  test("keeps st_ino, times, owner, mode, attributes with any bytes, ACLs, capabilities and holes", () => {
    using at = space();
    const file = at.path("lower/file");
    const fd = fs.openSync(file, "w");
    fs.writeSync(fd, "end", 3_000_000);
    fs.closeSync(fd);
    const odd = "user.\xff\xfe";
    expect(setXattrOf(-1, "", attributeName(odd), Buffer.from("v"))).not.toBe(0);
    mark(file, odd, "value");
    const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
    const dir = openName(-100, at.path("lower"), 0);
    expect(setXattrOf(dir, "file", attributeName("security.capability"), capability)).toBe(0);
    const acl = Buffer.from(
      "0200000001000600ffffffff02000700050000000400040fffffffff10000700ffffffff20000400ffffffff".replace(
        "040f",
        "0400",
      ),
      "hex",
    );
    expect(setXattrOf(dir, "file", attributeName("system.posix_acl_access"), acl)).toBe(0);
    closeFd(dir);
    fs.chownSync(file, 12, 34);
    const again = openName(-100, file, 0);
    expect(setXattrOf(again, "", attributeName("security.capability"), capability)).toBe(0);
    closeFd(again);
    fs.utimesSync(file, 1000.5, 2000.25);
    using union = at.union();
    const nodeid = find(union, "file");
    const before = union.getattr(nodeid);
    write(union, nodeid, "x");
    union.setattr(nodeid, { mtime: { seconds: before.mtime, nsec: before.mtimeNsec } });
    const after = union.getattr(nodeid);
    expect({ ...after, ctime: 0, ctimeNsec: 0, blocks: 0, atimeNsec: 0 }).toEqual({
      ...before,
      ctime: 0,
      ctimeNsec: 0,
      blocks: 0,
      atimeNsec: 0,
    });
    expect(after.blocks).toBeLessThan(100);
    expect(Buffer.from(union.getxattr(nodeid, name(odd), 100) as Uint8Array).toString()).toBe("value");
    expect(union.getxattr(nodeid, name("system.posix_acl_access"), 1000)).toEqual(acl);
    const list = Buffer.from(union.listxattr(nodeid, 1000) as Uint8Array).toString("latin1");
    expect(list.split("\0").toSorted()).toEqual(["", "system.posix_acl_access", odd].toSorted());
    expect(fs.readFileSync(file, "latin1").startsWith("\0")).toBe(true);
  });

  test("of attributes alone leaves content, capabilities and st_blocks as they are", () => {
    using at = space();
    const file = at.path("lower/file");
    fs.writeFileSync(file, Buffer.alloc(1_000_000, "a"));
    using union = at.union();
    const nodeid = find(union, "file");
    const { blocks } = union.getattr(nodeid);
    union.setattr(nodeid, { mode: 0o600, uid: 7 });
    expect(fs.statSync(at.path("upper/file")).blocks).toBe(0);
    expect(union.getattr(nodeid)).toMatchObject({ mode: 0o100600, uid: 7, blocks, size: 1_000_000 });
    expect(content(union, nodeid)).toBe("a".repeat(1000));
    write(union, nodeid, "b");
    expect(fs.statSync(at.path("upper/file")).blocks).toBe(blocks);
    expect(content(union, nodeid)).toBe(`b${"a".repeat(999)}`);
  });

  test("moves descriptors that were opened before it on to the copy", () => {
    using at = space();
    fs.writeFileSync(at.path("lower/file"), "old");
    using union = at.union();
    const nodeid = find(union, "file");
    const handle = union.open(nodeid, 0);
    write(union, nodeid, "new");
    const buffer = Buffer.alloc(3);
    union.read(handle, buffer, 0);
    expect(buffer.toString()).toBe("new");
  });
});

describe("hard links", () => {
  test("of a lower file stay one file over copy-up and remount", () => {
    using at = space();
    fs.mkdirSync(at.path("lower/dir"));
    fs.writeFileSync(at.path("lower/a"), "old");
    fs.linkSync(at.path("lower/a"), at.path("lower/b"));
    fs.linkSync(at.path("lower/a"), at.path("lower/dir/c"));
    let ino = 0;
    {
      using union = at.union();
      const a = find(union, "a");
      expect(find(union, "b")).toBe(a);
      ({ ino } = union.getattr(a));
      write(union, a, "new");
      expect(content(union, find(union, "dir/c"))).toBe("new");
      union.unlink(1, name("b"));
      expect(union.getattr(a)).toMatchObject({ nlink: 2, ino });
    }
    using union = at.union();
    expect(find(union, "dir/c")).toBe(find(union, "a"));
    expect(union.getattr(find(union, "a"))).toMatchObject({ nlink: 2, ino });
    expect(content(union, find(union, "dir/c"))).toBe("new");
    union.link(find(union, "a"), 1, name("d"));
    expect(union.getattr(find(union, "d"))).toMatchObject({ nlink: 3, ino });
    for (const gone of ["a", "d"]) union.unlink(1, name(gone));
    union.unlink(find(union, "dir"), name("c"));
    expect(fs.readdirSync(at.path("work/index"))).toEqual([]);
  });
});

describe("unlinked files and directories", () => {
  test("of a lower and of the upper can be used until they are forgotten", () => {
    using at = space();
    for (const layer of ["lower", "upper"]) fs.writeFileSync(at.path(`${layer}/${layer}`), "content");
    using union = at.union();
    for (const layer of ["lower", "upper"]) {
      const nodeid = find(union, layer);
      const handle = union.open(nodeid, 0);
      union.unlink(1, name(layer));
      expect(union.getattr(nodeid).nlink).toBe(0);
      expect(union.setattr(nodeid, { mode: 0o600, mtime: { seconds: 5, nsec: 6 } })).toMatchObject({
        mode: 0o100600,
        mtime: 5,
        mtimeNsec: 6,
        nlink: 0,
      });
      union.setxattr(nodeid, name("user.a"), Buffer.from("b"), 0);
      write(union, nodeid, "C");
      expect(content(union, nodeid)).toBe("Content");
      union.release(handle);
      union.forget(nodeid, 1);
    }
    expect(union.inodeCount).toBe(1);
    expect(entries(union)).toEqual([]);
  });

  test("may be made again under the same name", () => {
    using at = space();
    fs.mkdirSync(at.path("lower/dir"));
    fs.writeFileSync(at.path("lower/dir/file"), "");
    using union = at.union();
    const dir = find(union, "dir");
    union.unlink(dir, name("file"));
    union.rmdir(1, name("dir"));
    expect(union.getattr(dir).nlink).toBe(0);
    expect(entries(union, dir)).toEqual([]);
    expect(union.lookup(1, name("dir"))).toBeUndefined();
    const made = union.mkdir(1, name("dir"), 0o750, superuser);
    expect(entries(union, made.nodeid)).toEqual([]);
    using mount = mountOverlay([at.path("lower")], at.path("upper"), at.path("work"));
    expect(fs.readdirSync(`${mount.root}/dir`)).toEqual([]);
  });
});

describe("created entries", () => {
  test("belong to their creator, or inherit the directory's group and default ACL, over whiteouts too", () => {
    using at = space();
    fs.mkdirSync(at.path("lower/dir"));
    fs.chownSync(at.path("lower/dir"), 0, 77);
    fs.chmodSync(at.path("lower/dir"), 0o2777);
    for (const gone of ["file", "sub"]) fs.writeFileSync(at.path(`lower/dir/${gone}`), "");
    const acl = Buffer.from(
      "0200000001000700ffffffff02000700050000000400050fffffffff10000700ffffffff20000000ffffffff".replace(
        "050f",
        "0500",
      ),
      "hex",
    );
    const fd = openName(-100, at.path("lower/dir"), 0);
    expect(setXattrOf(fd, "", attributeName("system.posix_acl_default"), acl)).toBe(0);
    closeFd(fd);
    using union = at.union();
    const creator = { uid: 5, gid: 6, umask: 0o077 };
    const plain = union.create(1, name("plain"), 0o4755, 1, creator);
    expect(plain.attr).toMatchObject({ uid: 5, gid: 6, mode: 0o104700 });
    const dir = find(union, "dir");
    for (const gone of ["file", "sub"]) union.unlink(dir, name(gone));
    for (const [file, sub] of [
      ["file", "sub"],
      ["file2", "sub2"],
    ] as const) {
      const made = union.create(dir, name(file), 0o666, 1, creator);
      expect(made.attr).toMatchObject({ uid: 5, gid: 77, mode: 0o100660 });
      expect(union.mkdir(dir, name(sub), 0o777, creator).attr).toMatchObject({ uid: 5, gid: 77, mode: 0o042770 });
      expect(union.getxattr(find(union, `dir/${sub}`), name("system.posix_acl_default"), 100)).toEqual(acl);
    }

    expect(union.mknod(1, name("null"), 0o020666, { major: 1, minor: 3 }, creator).attr).toMatchObject({
      rdevMajor: 1,
      rdevMinor: 3,
      uid: 5,
    });
  });

  test("may have names of 255 bytes and of any bytes", () => {
    using at = space();
    using union = at.union();
    const long = "n".repeat(255);
    for (const text of [long, "\xff\x01\n", "…"]) union.create(1, Buffer.from(text, "latin1"), 0o644, 1, superuser);
    expect(entries(union)).toHaveLength(3);
    expect(errnoOf(() => union.lookup(1, name(`${long}n`)))).toBe("ENAMETOOLONG");
    expect(union.lookup(1, name("\xff\x01\n"))).toBeDefined();
  });

  test("without a name can be given one", () => {
    using at = space();
    using union = at.union();
    const made = union.tmpfile(1, 0o644, 2, superuser);
    union.write(made.handle, Buffer.from("text"), 0);
    expect(union.getattr(made.nodeid).nlink).toBe(0);
    union.link(made.nodeid, 1, name("file"));
    expect(content(union, find(union, "file"))).toBe("text");
    expect(union.getattr(find(union, "file"))).toMatchObject({ nlink: 1, ino: made.attr.ino });
  });
});

describe("readdir()", () => {
  test("of 100,000 entries names each once, and none that is deleted", () => {
    using at = space();
    for (let index = 0; index < 100_000; index++) mknodName(-100, at.path(`upper/${index}`), 0o100644, 0n);
    using union = at.union();
    const seen = new Set(entries(union));
    expect(seen.size).toBe(100_000);
    for (const entry of seen) union.unlink(1, name(entry));
    expect(entries(union)).toEqual([]);
    expect(union.inodeCount).toBe(1);
  });
});

describe("marks", () => {
  test("of a union above this one are stored and shown, its own are neither", () => {
    using at = space();
    using union = at.union();
    const made = union.mkdir(1, name("dir"), 0o755, superuser);
    union.setxattr(made.nodeid, name("trusted.overlay.opaque"), Buffer.from("y"), 0);
    expect(Buffer.from(union.listxattr(made.nodeid, 100) as Uint8Array).toString()).toBe("trusted.overlay.opaque\0");
    expect(union.getxattr(made.nodeid, name("trusted.overlay.opaque"), 0)).toBe(1);
    using mount = mountOverlay([at.path("lower")], at.path("upper"), at.path("work"));
    expect(fs.existsSync(`${mount.root}/dir`)).toBe(true);
  });
});

describe("devices 0:0", () => {
  test("which a union above this one makes, are no whiteouts here", () => {
    using at = space();
    for (const file of ["a", "below"]) fs.writeFileSync(at.path(`lower/${file}`), "");
    const zero = { major: 0, minor: 0 };
    const isThere = (union: Union, path: string): void => {
      expect(union.getattr(find(union, path))).toMatchObject({ mode: 0o020000, rdevMajor: 0, rdevMinor: 0 });
    };
    {
      using union = at.union();
      union.mkdir(1, name("dir"), 0o755, superuser);
      union.unlink(1, name("below"));
      for (const file of ["device", "below"]) union.mknod(1, name(file), 0o020000, zero, superuser);
      union.rename(1, name("device"), find(union, "dir"), name("moved"));
      union.link(find(union, "dir/moved"), 1, name("linked"));
      union.rename(1, name("a"), 1, name("b"), "whiteout");
      for (const file of ["dir/moved", "below", "linked", "a"]) isThere(union, file);
    }
    using union = at.union();
    for (const file of ["dir/moved", "below", "linked", "a"]) isThere(union, file);
    expect(entries(union)).toEqual(["a", "b", "below", "dir", "linked"]);
    union.unlink(1, name("a"));
    expect(union.lookup(1, name("a"))).toBeUndefined();
  });
});

describe("other kinds of layers", () => {
  test("aufs's whiteouts and opaque directories delete", () => {
    using at = space();
    fs.mkdirSync(at.path("aufs"));
    for (const layer of ["lower", "aufs"]) {
      fs.mkdirSync(at.path(`${layer}/dir`));
      fs.writeFileSync(at.path(`${layer}/dir/of-${layer}`), "");
    }
    fs.writeFileSync(at.path("lower/gone"), "");
    for (const own of [".wh.gone", ".wh..wh.plnk", "dir/.wh..wh..opq"]) fs.writeFileSync(at.path(`aufs/${own}`), "");
    const lowers: LowerOption[] = [{ path: at.path("aufs"), dialect: "aufs" }, at.path("lower")];
    using union = at.union({ lowers });
    expect(entries(union)).toEqual(["dir"]);
    expect(union.lookup(1, name("gone"))).toBeUndefined();
    expect(union.lookup(1, name(".wh.gone"))).toBeUndefined();
    expect(entries(union, find(union, "dir"))).toEqual(["of-aufs"]);
  });

  test("attributes can be whiteouts in a directory that says so", () => {
    using at = space();
    fs.mkdirSync(at.path("marked"));
    for (const layer of ["lower", "marked"])
      for (const file of ["gone", "kept"]) fs.writeFileSync(at.path(`${layer}/${file}`), "");
    mark(at.path("marked"), "trusted.overlay.opaque", "x");
    mark(at.path("marked/gone"), "trusted.overlay.whiteout", "y");
    using union = at.union({ lowers: [at.path("marked"), at.path("lower")] });
    expect(entries(union)).toEqual(["kept"]);
    expect(union.lookup(1, name("gone"))).toBeUndefined();
  });

  test("fifty lowers show what each of them has, and one hides", () => {
    using at = space();
    const lowers = Array.from({ length: 50 }, (_, index) => at.path(`layer${index}`));
    for (const [index, lower] of lowers.entries()) {
      fs.mkdirSync(`${lower}/dir`, { recursive: true });
      fs.writeFileSync(`${lower}/dir/in-${index}`, "");
      fs.writeFileSync(`${lower}/dir/in-all`, String(index));
    }
    mknodName(-100, `${lowers[10]}/dir/in-20`, 0o020000, 0n);
    using union = at.union({ lowers });
    const expected = Array.from({ length: 50 }, (_, index) => `in-${index}`).filter((name) => name !== "in-20");
    for (let round = 0; round < 2; round++) {
      const dir = find(union, "dir");
      for (const entry of expected) expect(union.lookup(dir, entry)).toBeDefined();
      for (const entry of ["in-20", "in-50"]) expect(union.lookup(dir, entry)).toBeUndefined();
      expect(content(union, find(union, "dir/in-all"))).toBe("0");
      expect(entries(union, dir)).toEqual([...expected, "in-all"].toSorted());
    }
    union.unlink(find(union, "dir"), name("in-7"));
    expect(union.lookup(find(union, "dir"), "in-7")).toBeUndefined();
  });

  test("of many files that the kernel was told of few are remembered, and all are what they were", () => {
    using at = space();
    for (let index = 0; index < 100; index++) fs.writeFileSync(at.path(`lower/f${index}`), String(index));
    const names = new Map<number, KnownName>();
    const told: KnownInodes = {
      highest: 0,
      get: (nodeid) => names.get(nodeid),
      has: (nodeid) => names.has(nodeid),
      at: () => undefined,
      nodeidOf: () => undefined,
      nameless: () => [],
    };
    using union = at.union({ told, rememberedFiles: 8 });
    const look = (index: number): number => {
      const { nodeid, attr } = union.lookup(1, `f${index}`) ?? { nodeid: 0, attr: { ino: 0 } };
      names.set(nodeid, { parent: 1, name: `f${index}`, ino: attr.ino, isDirectory: false });
      return nodeid;
    };
    const nodeids = Array.from({ length: 100 }, (_, index) => look(index));
    expect(union.inodeCount).toBeLessThan(12);
    expect(nodeids.map((_, index) => look(index))).toEqual(nodeids);
    expect(nodeids.map((nodeid) => content(union, nodeid))).toEqual(nodeids.map((_, index) => String(index)));
    expect(union.inodeCount).toBeLessThan(12);
    // Each was looked up twice.
    expect(nodeids.map((nodeid) => union.forget(nodeid, 1)).every(Boolean)).toBe(false);
    expect(nodeids.map((nodeid) => union.getattr(nodeid).ino)).toEqual(nodeids);
    expect(nodeids.map((nodeid) => union.forget(nodeid, 1))).toEqual(nodeids.map(() => true));
    for (const nodeid of nodeids) names.delete(nodeid);
    expect(union.inodeCount).toBe(1);
    expect(errnoOf(() => union.getattr(nodeids[0] ?? 0))).toBe("ESTALE");
  });

  test("a union without an upper is read-only", () => {
    using at = space();
    fs.writeFileSync(at.path("lower/file"), "text");
    using union = new Union({ lowers: [at.path("lower"), at.path("work")] });
    expect(content(union, find(union, "file"))).toBe("text");
    expect(errnoOf(() => union.unlink(1, name("file")))).toBe("EROFS");
    expect(errnoOf(() => union.setattr(find(union, "file"), { mode: 0 }))).toBe("EROFS");
  });
});
