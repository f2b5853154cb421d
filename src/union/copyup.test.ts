import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { closeFd, openName } from "../kernel/at.ts";
import { attributeName, getXattr, setXattrOf } from "../kernel/io.ts";
import { entries, errnoOf, find, mark, name, space, write } from "../../test/support/space.ts";
import type { UnionAttr } from "./attr.ts";
import { CHANGING, type KnownInodes, type Shown } from "./known.ts";
import type { Union } from "./union.ts";

function timesOf({ atime, atimeNsec, mtime, mtimeNsec, ctime, ctimeNsec }: UnionAttr): readonly number[] {
  return [atime, atimeNsec, mtime, mtimeNsec, ctime, ctimeNsec];
}

function isMarked(path: string, attribute: string): boolean {
  const fd = openName(-100, path, 0);
  const length = getXattr(fd, "", attributeName(attribute), Buffer.alloc(16));
  closeFd(fd);
  return length >= 0;
}

/** What is told of a directory's times before something is copied into it. */
function toldBefore(at: ReturnType<typeof space>, path: string): { readonly ino: number; readonly shown: Shown } {
  const told: { ino: number; shown: Shown }[] = [];
  const changeTime = (ino: number, shown: Shown | undefined): void => {
    if (shown?.ctimeNsec === CHANGING) told.push({ ino, shown: { ...shown } });
  };
  using union = at.union({ ledger: { origin: () => {}, accessTime: () => {}, changeTime } });
  union.setattr(find(union, path), { uid: 7 });
  const [last] = told.slice(-1);
  if (last === undefined) throw new Error("nothing was told");
  return last;
}

function made(union: Union, parent: number, entry: string): void {
  const { handle } = union.create(parent, name(entry), 0o644, 1, { uid: 0, gid: 0 });
  union.release(handle);
}

test("copyUp() of one file after the other leaves a directory the times that it has by what else is done in it", () => {
  using at = space();
  fs.mkdirSync(at.path("lower/dir"));
  for (const file of ["a", "b", "c", "d", "e", "f"]) fs.writeFileSync(at.path(`lower/dir/${file}`), file);
  fs.utimesSync(at.path("lower/dir"), 1000.5, 2000.25);
  let times: readonly number[] = [];
  {
    using union = at.union();
    const dir = find(union, "dir");
    const own = (): readonly number[] => timesOf(union.getattr(dir));
    const isKeptBy = (...files: readonly string[]): void => {
      const before = own();
      for (const file of files) union.setattr(find(union, `dir/${file}`), { uid: 7 });
      expect([files, own()]).toEqual([files, before]);
    };
    isKeptBy("a", "b");
    const first = own();
    made(union, dir, "new");
    expect(own().slice(2)).not.toEqual(first.slice(2));
    isKeptBy("c");
    union.setattr(dir, { mtime: { seconds: 3000, nsec: 5 } });
    expect(own().slice(2, 4)).toEqual([3000, 5]);
    isKeptBy("d");
    const beforeMode = own();
    union.setattr(dir, { mode: 0o700 });
    expect(own().slice(0, 4)).toEqual(beforeMode.slice(0, 4));
    expect(own().slice(4)).not.toEqual(beforeMode.slice(4));
    union.setattr(find(union, "dir/e"), { uid: 7 });
    write(union, find(union, "dir/f"), "x");
    times = own();
    expect(times.slice(2, 4)).toEqual([3000, 5]);
  }
  using union = at.union();
  expect(timesOf(union.getattr(find(union, "dir")))).toEqual(times);
});

test.each(["dir", ""])("a directory that a killed server was copying into has its times again: '%s'", (path) => {
  using at = space();
  fs.mkdirSync(at.path("lower/dir"));
  for (const file of ["a", "b", "dir/a", "dir/b"]) fs.writeFileSync(at.path(`lower/${file}`), "low");
  for (const directory of ["lower/dir", "lower", "upper"]) fs.utimesSync(at.path(directory), 1000.5, 2000.25);
  toldBefore(at, `${path}/a`.replace(/^\//, ""));
  const { ino, shown } = toldBefore(at, `${path}/b`.replace(/^\//, ""));
  const directory = { parent: 1, name: "dir", ino, isDirectory: true };
  // As it is between the two calls that put a file there and the mtime back.
  fs.utimesSync(at.path(`upper/${path}`), 1000.5, 3000);
  const inodes: KnownInodes = {
    highest: ino,
    get: (nodeid) => (nodeid === ino ? directory : undefined),
    has: (nodeid) => nodeid === ino,
    at: () => undefined,
    nodeidOf: () => undefined,
    nameless: () => [],
  };
  using union = at.union({ known: { inodes, files: new Map(), changeTimes: new Map([[ino, shown]]) } });
  const { mtime, mtimeNsec, ctime, ctimeNsec } = union.getattr(path === "" ? 1 : find(union, path));
  expect([mtime, mtimeNsec, ctime, ctimeNsec]).toEqual([2000, 250_000_000, shown.seconds, shown.nsec]);
});

test("copyUp() for a change that is refused copies nothing", () => {
  using at = space();
  fs.symlinkSync("target", at.path("lower/link"));
  using union = at.union();
  expect(errnoOf(() => union.setattr(find(union, "link"), { mode: 0o600 }))).toBe("EOPNOTSUPP");
  expect([fs.readdirSync(at.path("upper")), fs.readdirSync(at.path("work/work"))]).toEqual([[], []]);
});

test("copyUp() for new times keeps neither what they were nor when the file was read below", () => {
  using at = space();
  fs.writeFileSync(at.path("lower/file"), "content");
  using union = at.union();
  const nodeid = find(union, "file");
  const handle = union.open(nodeid, 0);
  union.read(handle, Buffer.alloc(7), 0);
  union.release(handle);
  union.setattr(nodeid, { atime: { seconds: 5, nsec: 6 }, mtime: { seconds: -7, nsec: 8 } });
  expect(union.getattr(nodeid)).toMatchObject({ atime: 5, atimeNsec: 6, mtime: -7, mtimeNsec: 8 });
});

test("copyUp() takes set-user-ID away with the owner, as chown(2) does", () => {
  using at = space();
  fs.writeFileSync(at.path("lower/file"), "content");
  fs.chmodSync(at.path("lower/file"), 0o6755);
  using union = at.union();
  const nodeid = find(union, "file");
  union.setattr(nodeid, { uid: 7, gid: 8 });
  expect(union.getattr(nodeid)).toMatchObject({ mode: 0o100755, uid: 7, gid: 8 });
});

test("copyUp() brings attributes along, also where the kernel has asked for a capability before", () => {
  using at = space();
  for (const file of ["with", "without"]) fs.writeFileSync(at.path(`lower/${file}`), "content");
  mark(at.path("lower/with"), "user.a", "value");
  using union = at.union();
  for (const file of ["with", "without"]) {
    const nodeid = find(union, file);
    expect(union.getxattr(nodeid, name("security.capability"), 100)).toBe(-61);
    union.setattr(nodeid, { uid: 7 });
    const list = Buffer.from(union.listxattr(nodeid, 100) as Uint8Array).toString("latin1");
    expect([file, list]).toEqual([file, file === "with" ? "user.a\0" : ""]);
    const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
    union.setxattr(nodeid, name("security.capability"), capability, 0);
    expect(union.getxattr(nodeid, name("security.capability"), 100)).toEqual(capability);
  }
});

test("copyUp() of a directory leaves its link count, which goes on to count what comes and goes", () => {
  using at = space();
  for (const directory of ["a", "b", "c"]) fs.mkdirSync(at.path(`lower/dir/${directory}`), { recursive: true });
  fs.writeFileSync(at.path("lower/dir/file"), "content");
  const creator = { uid: 0, gid: 0 };
  {
    using union = at.union();
    const dir = find(union, "dir");
    expect(union.getattr(dir).nlink).toBe(5);
    union.setattr(find(union, "dir/file"), { uid: 7 });
    expect(union.getattr(dir).nlink).toBe(5);
    union.mkdir(dir, name("d"), 0o755, creator);
    union.mkdir(dir, name("e"), 0o755, creator);
    union.rmdir(dir, name("a"));
    expect(union.getattr(dir).nlink).toBe(6);
  }
  using union = at.union();
  expect(union.getattr(find(union, "dir")).nlink).toBe(6);
});

test("copyUp() into a directory marks it from the start, and what is only removed from it doesn't", () => {
  using at = space();
  for (const directory of ["into", "from"]) {
    fs.mkdirSync(at.path(`lower/${directory}`));
    fs.writeFileSync(at.path(`lower/${directory}/file`), "content");
    fs.utimesSync(at.path(`lower/${directory}`), 1000.5, 2000.25);
  }
  using union = at.union();
  const before = timesOf(union.getattr(find(union, "into")));
  union.setattr(find(union, "into/file"), { uid: 7 });
  expect(timesOf(union.getattr(find(union, "into")))).toEqual(before);
  union.unlink(find(union, "from"), name("file"));
  const impure = ["into", "from"].map((each) => isMarked(at.path(`upper/${each}`), "trusted.overlay.impure"));
  expect(impure).toEqual([true, false]);
});

test("copyUp() of a directory keeps its default ACL, which what is made in it has in the place of the umask", () => {
  using at = space();
  const acl = "0200000001000700ffffffff04000700ffffffff20000500ffffffff";
  for (const directory of ["with", "without"]) fs.mkdirSync(at.path(`lower/${directory}`));
  const fd = openName(-100, at.path("lower/with"), 0);
  expect(setXattrOf(fd, "", attributeName("system.posix_acl_default"), Buffer.from(acl, "hex"))).toBe(0);
  closeFd(fd);
  using union = at.union();
  const modes = ["with", "without"].map((directory) => {
    const creator = { uid: 0, gid: 0, umask: 0o077 };
    const { handle, attr } = union.create(find(union, directory), name("new"), 0o666, 1, creator);
    union.release(handle);
    return (attr.mode & 0o777).toString(8);
  });
  expect(modes).toEqual(["664", "600"]);
});

test("what was removed is made anew in the place of its whiteout, be that there still or not", () => {
  using at = space();
  const creator = { uid: 0, gid: 0 };
  for (const file of ["file", "gone", "dir"]) fs.writeFileSync(at.path(`lower/${file}`), "content");
  using union = at.union();
  for (const file of ["file", "dir"]) union.unlink(1, name(file));
  expect(union.lookup(1, name("file"))).toBeUndefined();
  made(union, 1, "file");
  union.unlink(1, name("gone"));
  fs.unlinkSync(at.path("upper/gone"));
  made(union, 1, "gone");
  expect(union.lookup(1, name("dir"))).toBeUndefined();
  union.mkdir(1, name("dir"), 0o755, creator);
  expect(entries(union)).toEqual(["dir", "file", "gone"]);
  expect([fs.readdirSync(at.path("work/work")), fs.statSync(at.path("upper/gone")).size]).toEqual([["#whiteout"], 0]);
});
