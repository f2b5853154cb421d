import { describe, expect, test } from "bun:test";
import { check, errnoName, errnoNumber, isErrno, KernelError, unless } from "./error.ts";
import { cString, lastErrno, native, pathText } from "./libc.ts";

test("pathText() shows what a terminal or an eye would mistake", () => {
  expect(pathText("/etc/é ü")).toBe("/etc/é ü");
  expect(pathText("a\nb\x1b[1m\x7f")).toBe("a\\x0ab\\x1b[1m\\x7f");
  expect(pathText(Buffer.from("/etc/é"))).toBe("/etc/é");
  expect(pathText(Buffer.from([0x61, 0xff, 0x0a]))).toBe("a\\xff\\x0a");
});

test("cString() ends with NUL and has no other", () => {
  expect([...cString("é")]).toEqual([0xc3, 0xa9, 0]);
  expect([...cString(Buffer.from([0xff]))]).toEqual([0xff, 0]);
  expect([...cString("")]).toEqual([0]);
  for (const path of ["a\0b", "\0", Buffer.from([0]), Buffer.from([1, 0])])
    expect(() => cString(path)).toThrow(TypeError);
});

describe("errors", () => {
  test("have the names of errno(3)", () => {
    const names = {
      1: "EPERM",
      2: "ENOENT",
      4: "EINTR",
      11: "EAGAIN",
      17: "EEXIST",
      18: "EXDEV",
      22: "EINVAL",
      28: "ENOSPC",
      30: "EROFS",
      36: "ENAMETOOLONG",
      39: "ENOTEMPTY",
      40: "ELOOP",
      61: "ENODATA",
      75: "EOVERFLOW",
      95: "EOPNOTSUPP",
      107: "ENOTCONN",
      116: "ESTALE",
      122: "EDQUOT",
    };
    for (const [number, name] of Object.entries(names)) expect(errnoName(Number(number))).toBe(name);
    expect(errnoName(4000)).toBe("errno 4000");
    expect(errnoNumber("ENOENT")).toBe(2);
  });

  test("say what, where and why", () => {
    expect(new KernelError({ syscall: "mount", path: "/x", errno: "EBUSY" }).message).toBe(
      "mount /x: device or resource busy (EBUSY)",
    );
    expect(new KernelError({ syscall: "setgroups", path: "", errno: "EUSERS" }).message).toBe("setgroups: EUSERS");
    const close = native("close", "int", ["int"]);
    expect(() => check("close", "nothing", close(-1))).toThrow("close nothing: bad file descriptor (EBADF)");
    expect(lastErrno()).toBe(9);
    expect(check("x", "", 7)).toBe(7);
  });

  test("are passed over only where they are expected", () => {
    const fail = (errno: string) => () => {
      throw new KernelError({ syscall: "x", path: "", errno });
    };
    expect(unless(["ENOENT", "EIO"], fail("EIO"))).toBeUndefined();
    expect(unless(["ENOENT"], () => 5)).toBe(5);
    expect(() => unless(["ENOENT"], fail("EIO"))).toThrow(/EIO/);
    expect(isErrno(Object.assign(new Error("x"), { code: "ENOENT" }), "ENOENT")).toBe(true);
    for (const error of ["ENOENT", undefined, new Error("ENOENT"), Object.assign(new Error("x"), { code: 2 })])
      expect(isErrno(error, "ENOENT")).toBe(false);
  });
});
