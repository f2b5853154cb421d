import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { entries, find, name, space, superuser } from "../../test/support/space.ts";
import type { Union } from "./union.ts";

const [O_RDWR, O_APPEND, O_NOATIME] = [2, 0o2000, 0o1000000];

function read(union: Union, path: string, flags = 0): string {
  const buffer = Buffer.alloc(100);
  return buffer.toString("utf8", 0, union.contents.read(find(union, path), flags, buffer, 0));
}

function openDescriptors(): number {
  return fs.readdirSync("/proc/self/fd").length;
}

describe("Contents", () => {
  test("copies a lower file up when it is first written, and not before", () => {
    using at = space();
    fs.writeFileSync(at.path("lower/file"), "from below");
    using union = at.union({ knowsOpens: false });
    const nodeid = find(union, "file");
    expect(read(union, "file")).toBe("from below");
    expect(fs.existsSync(at.path("upper/file"))).toBe(false);
    union.contents.write(nodeid, O_RDWR, Buffer.from("FROM"), 0);
    expect(read(union, "file")).toBe("FROM below");
    expect(fs.readFileSync(at.path("upper/file"), "utf8")).toBe("FROM below");
    expect(fs.readFileSync(at.path("lower/file"), "utf8")).toBe("from below");
  });

  test("reads and writes a file whose last name is gone until it is forgotten", () => {
    using at = space();
    fs.writeFileSync(at.path("lower/below"), "below");
    using union = at.union({ knowsOpens: false });
    const made = union.create(1, name("made"), 0o644, O_RDWR, superuser);
    const below = find(union, "below");
    union.unlink(1, name("made"));
    union.unlink(1, name("below"));
    expect(entries(union)).toEqual([]);
    const before = openDescriptors();
    for (const nodeid of [made.nodeid, below]) {
      union.contents.write(nodeid, O_RDWR, Buffer.from("new"), 0);
      const buffer = Buffer.alloc(10);
      expect(buffer.toString("utf8", 0, union.contents.read(nodeid, 0, buffer, 0))).toStartWith("new");
      union.forget(nodeid, 1);
      expect(() => union.contents.read(nodeid, 0, buffer, 0)).toThrow("ESTALE");
    }
    expect(openDescriptors()).toBeLessThan(before);
    expect(union.inodeCount).toBe(1);
  });

  test("keeps few descriptors of many files", () => {
    using at = space();
    for (let index = 0; index < 500; index++) fs.writeFileSync(at.path(`lower/${index}`), String(index));
    using union = at.union({ knowsOpens: false });
    const before = openDescriptors();
    for (let index = 0; index < 500; index++) {
      expect(read(union, String(index))).toBe(String(index));
      if (index % 2 === 0) union.contents.write(find(union, String(index)), O_RDWR, Buffer.from("x"), 0);
    }
    for (let index = 0; index < 500; index++)
      expect(read(union, String(index))).toBe(index % 2 === 0 ? `x${String(index).slice(1)}` : String(index));
    expect(openDescriptors()).toBeLessThan(before + 100);
  });

  test("leaves the access time of a file of the upper to who reads without O_NOATIME", () => {
    using at = space();
    fs.writeFileSync(at.path("upper/file"), "text");
    fs.utimesSync(at.path("upper/file"), 1, 2);
    using union = at.union({ knowsOpens: false });
    const atime = (): number => union.getattr(find(union, "file")).atime;
    expect(read(union, "file", O_NOATIME)).toBe("text");
    expect(atime()).toBe(1);
    expect(read(union, "file")).toBe("text");
    expect(atime()).toBeGreaterThan(1);
  });

  test("appends to a file that can only be appended to, and refuses to write elsewhere", () => {
    using at = space();
    fs.writeFileSync(at.path("upper/log"), "one\n");
    using union = at.union({ knowsOpens: false });
    const nodeid = find(union, "log");
    const appendOnly = Buffer.alloc(8);
    appendOnly.writeUInt32LE(0x20);
    const set = (flags: Buffer): number => union.control(nodeid, 0x40086602, flags, "set"); // FS_IOC_SETFLAGS
    // Opened for writing before.
    union.contents.write(nodeid, O_RDWR, Buffer.from("O"), 0);
    expect(set(appendOnly)).toBe(0);
    try {
      expect(() => union.contents.write(nodeid, O_RDWR, Buffer.from("x"), 0)).toThrow("EPERM");
      union.contents.write(nodeid, O_RDWR | O_APPEND, Buffer.from("two\n"), 4);
      expect(() => union.contents.write(nodeid, O_RDWR, Buffer.from("x"), 0)).toThrow("EPERM");
      expect(read(union, "log")).toBe("One\ntwo\n");
    } finally {
      set(Buffer.alloc(8));
    }
  });

  test("copies between files, and says where holes are", () => {
    using at = space();
    fs.writeFileSync(at.path("lower/from"), "0123456789");
    using union = at.union({ knowsOpens: false });
    const from = find(union, "from");
    const to = union.create(1, name("to"), 0o644, O_RDWR, superuser).nodeid;
    expect(union.contents.copyRange(from, 2, to, 0, 5)).toBe(5);
    expect(read(union, "to")).toBe("23456");
    union.contents.fallocate(to, 0, 0, 1 << 20);
    expect(union.getattr(to).size).toBe(1 << 20);
    expect(union.contents.lseek(from, 0, 4)).toBe(10); // SEEK_HOLE
    union.contents.fsync(to, "all");
    union.contents.fsync(from, "data");
  });
});
