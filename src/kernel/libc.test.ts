import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { callNumber } from "./abi/calls.ts";
import { check, errnoName, errnoNumber, isErrno, KernelError, unless } from "./error.ts";
import { cString, lastErrno, hot, native, pathText, quick, withoutErrno } from "./libc.ts";

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

describe("quick calls", () => {
  const open = quick("openat", "int", ["int", "void *", "int", "unsigned int"]);
  const close = quick("close", "int", ["int"]);
  const errnoOf = (call: () => number): string => (call() === -1 ? errnoName(lastErrno()) : "none");
  const errnoOfOpen = (path: string): string => errnoOf(() => open(-100, cString(path), 0, 0));

  test("leave errno as koffi does, whatever failed before", () => {
    const slowClose = native("close", "int", ["int"]);
    for (let time = 0; time < 300; time++) {
      expect(errnoOfOpen("/no/such/file")).toBe("ENOENT");
      expect(errnoOfOpen("/dev/null/x")).toBe("ENOTDIR");
      expect(errnoOf(() => slowClose(-1))).toBe("EBADF");
      expect(errnoOfOpen("/no/such/file")).toBe("ENOENT");
      expect(errnoOf(() => slowClose(-1))).toBe("EBADF");
      expect(errnoOf(() => close(-1))).toBe("EBADF");
    }
  });

  test("pass numbers of every size on, and pointers", () => {
    const opened = open(-100, cString("/dev/null"), 0, 0);
    expect(opened).toBeGreaterThan(2);
    // An unsigned int above 2^31, and a size_t: close_range(opened, ~0, 0), write of 3 bytes.
    const write = quick("write", "long", ["int", "void *", "size_t"]);
    const buffer = new Uint8Array(3);
    expect(errnoOf(() => write(opened, buffer, 3))).toBe("EBADF");
    const pread = quick("lseek", "long", ["int", "long", "int"]);
    expect(pread(opened, 2 ** 40 + 1, 0)).toBe(0);
    const limits = new BigUint64Array(2);
    const prlimit = quick("prlimit", "int", ["int", "int", "void *", "void *"]);
    expect(prlimit(0, 7, null, new Uint8Array(limits.buffer))).toBe(0);
    expect(limits[1]).toBeGreaterThan(0n);
    const closeRange = quick("close_range", "int", ["unsigned int", "unsigned int", "int"]);
    expect(closeRange(0xfffffff0, 0xffffffff, 0)).toBe(0);
    expect(errnoOf(() => closeRange(0xffffffff, 0xfffffff0, 0))).toBe("EINVAL");
    expect(close(opened)).toBe(0);
  });

  test("of a hot path leave errno likewise, whatever failed before and however many parameters they have", () => {
    const paths = ["/no/such/file", "/dev/null/x", "/"].map((path) => cString(path));
    const [none, below, there] = paths as [Uint8Array, Uint8Array, Uint8Array];
    const hotClose = hot("close", "int", ["int"], "told once");
    const access = hot("access", "int", ["void *", "int"]);
    const hotOpen = hot("openat", "int", ["int", "void *", "int"]);
    const chmod = hot("fchmodat", "int", ["int", "void *", "unsigned int", "int"]);
    const chown = hot("fchownat", "int", ["int", "void *", "unsigned int", "unsigned int", "int"]);
    const copy = hot("copy_file_range", "long", ["int", "void *", "int", "void *", "size_t", "unsigned int"]);
    for (let time = 0; time < 300; time++) {
      expect(errnoOf(() => access(none, 0))).toBe("ENOENT");
      expect(errnoOf(() => hotClose(-1))).toBe("EBADF");
      expect(errnoOf(() => hotOpen(-100, below, 0))).toBe("ENOTDIR");
      expect(errnoOf(() => chmod(-100, none, 0, 0))).toBe("ENOENT");
      expect(errnoOf(() => chown(-100, below, -1, -1, 0))).toBe("ENOTDIR");
      expect(errnoOf(() => copy(-1, null, -1, null, 1, 0))).toBe("EBADF");
      expect([access(there, 0), chown(-100, there, -1, -1, 0)]).toEqual([0, 0]);
    }
  });

  test("without errno are for those who don't ask", () => {
    const access = withoutErrno("faccessat", "int", ["int", "void *", "int", "int"]);
    expect([access(-100, cString("/"), 0, 0), access(-100, cString("/no/such/file"), 0, 0)]).toEqual([0, -1]);
  });
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

describe("system calls by their number", () => {
  const names = new Set(
    Array.from(
      readFileSync(join(import.meta.dirname, "abi/calls.ts"), "utf8").matchAll(/ (\w+)=\d+/g),
      ([, name = ""]) => name,
    ),
  );
  const kernels: Readonly<Record<string, string>> = { _exit: "exit_group", prlimit: "prlimit64" };
  const headers = {
    ...(process.arch === "x64" ? { x64: "/usr/include/x86_64-linux-gnu/asm/unistd_64.h" } : {}),
    arm64: "/usr/include/asm-generic/unistd.h",
  };

  test.each(Object.entries(headers))("have the numbers that Linux's headers give them on %s", (arch, header) => {
    const lines = readFileSync(header, "utf8").matchAll(/^#define __NR(?:3264)?_(\w+)\s+(\d+)$/gm);
    const numbers = new Map(Array.from(lines, ([, name = "", number]) => [name, Number(number)]));
    expect(names.size).toBeGreaterThan(40);
    for (const name of names) {
      expect([name, callNumber(name, arch)]).toEqual([name, numbers.get(kernels[name] ?? name)]);
    }
  });

  test("are none where the C library does more, or the architecture isn't known", () => {
    for (const name of ["send", "posix_spawn", "stat"]) expect(callNumber(name)).toBeUndefined();
    expect(callNumber("read", "mips")).toBeUndefined();
  });
});
