import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { STATX_SIZE } from "./abi/file.ts";
import { exists, namesIn, readText, statInto, writeText } from "./trusted.ts";

test("files and directories are what node:fs says of them", () => {
  const base = mkdtempSync(join(tmpdir(), "trusted-"));
  const path = (name: string) => join(base, name);
  const names = ["é", "a".repeat(255), ".dot", ...Array.from({ length: 300 }, (_, index) => `file${index}`)];
  for (const name of names) writeFileSync(path(name), name);
  mkdirSync(path("directory"));
  symlinkSync("nowhere", path("dangling"));
  symlinkSync("é", path("link"));
  expect(namesIn(base).toSorted()).toEqual([...names, "directory", "dangling", "link"].toSorted());
  for (const name of [...names, "directory", "dangling", "link", "none"]) {
    const stat = statSync(path(name), { throwIfNoEntry: false });
    const fields = new Uint32Array(STATX_SIZE / 4);
    expect(exists(path(name))).toBe(stat !== undefined);
    expect(statInto(null, path(name), new Uint8Array(fields.buffer))).toBe(stat !== undefined);
    if (stat?.isFile() !== true) continue;
    expect([fields[8], fields[10], fields[24]]).toEqual([stat.ino, stat.size, Math.floor(stat.ctimeMs / 1000)]);
    expect(readText(path(name))).toBe(readFileSync(path(name), "utf8"));
  }
  for (const text of ["long\n".repeat(20_000), "é", ""]) {
    writeText(path("written"), text, 0o640);
    expect(readText(path("written"))).toBe(text);
    expect(statSync(path("written")).mode & 0o777).toBe(0o640);
  }
  expect(readText("/proc/self/mountinfo")).toBe(readFileSync("/proc/self/mountinfo", "utf8"));
  expect([exists(path("é/x")), statInto(null, path("é/x"), new Uint8Array(STATX_SIZE))]).toEqual([false, false]);
  expect(() => readText(path("none"))).toThrow(/ENOENT/);
  rmSync(base, { recursive: true });
});
