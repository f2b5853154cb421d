import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { statAt } from "./file.ts";
import { kernelThreads, lookAt, pathOf, processIds } from "./proc.ts";

test("processIds() are /proc's numbers, from the newest", () => {
  // Others come and go meanwhile: those that are there before and after are listed.
  const list = () => readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  const before = list();
  const found = processIds();
  const after = new Set(list());
  expect(before.filter((pid) => after.has(pid) && !found.includes(pid))).toEqual([]);
  expect(found).toContain(process.pid);
  expect(found).toEqual(found.toSorted((a, b) => b - a));
});

test("kernelThreads() have no program, and nobody else is one", () => {
  for (const pid of kernelThreads()) {
    let link = "none";
    try {
      link = readFileSync(`/proc/${pid}/cmdline`, "latin1");
    } catch {
      continue; // it ended meanwhile
    }
    expect([pid, link]).toEqual([pid, ""]);
  }
  expect(kernelThreads().has(process.pid)).toBe(false);
  expect(kernelThreads().has(1)).toBe(false);
});

test("lookAt() and pathOf() say where a directory is", () => {
  const spot = { major: 0, minor: 0, mount: 0 };
  const ids = new Map<number, bigint>(); // of mounts, as lookAt() and as statAt() have them
  for (const path of ["/", "/proc", "/proc/self", "/usr", tmpdir(), "/proc/self/cwd/"]) {
    expect(lookAt(path, spot)).toBe(true);
    const attr = statAt(null, path.endsWith("/") ? path : `${path}/.`);
    expect(spot).toMatchObject(attr.dev);
    expect(ids.get(spot.mount) ?? attr.mountId).toBe(attr.mountId);
    ids.set(spot.mount, attr.mountId);
  }
  expect(new Set(ids.values()).size).toBe(ids.size);
  expect(lookAt("/no/such", spot)).toBe(false);
  expect(lookAt(`/${"long/".repeat(20)}`, spot)).toBe(false);
  expect(() => lookAt(`/${"x".repeat(300)}`, spot)).toThrow(/ENAMETOOLONG/);
  expect(pathOf("/proc/self/cwd")).toBe(process.cwd());
  expect(pathOf(`/proc/${process.pid}/root`)).toBe("/");
  expect(() => pathOf("/no/such")).toThrow(/ENOENT/);
});
