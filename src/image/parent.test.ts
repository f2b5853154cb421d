import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, renameSync, symlinkSync } from "node:fs";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { openDirectory, statAt } from "../kernel/file.ts";
import { openInside, parseInnerPath, Parents } from "./parent.ts";

test("parseInnerPath() cleans names, byte by byte", () => {
  const parse = (name: string) => parseInnerPath(Buffer.from(name, "latin1"));
  expect(["a", "./a", "a/", "./a//b/./c/", ".", "./", "", "..a/b..", "\xff/\x80"].map(parse)).toEqual([
    "a",
    "a",
    "a",
    "a/b/c",
    "",
    "",
    "",
    "..a/b..",
    "\xff/\x80",
  ]);
  for (const name of ["/", "/a", "..", "a/..", "../a", "a/../b", "./.."])
    expect(() => parse(name)).toThrow("would land outside");
});

test("Parents keeps one directory open, and looks again when told to", () => {
  const path = temporaryDirectory("root");
  using root = openDirectory(path);
  using parents = new Parents(root);
  const first = parents.open("a/b");
  expect(parents.open("a/b")).toBe(first);
  mkdirSync(`${path}/other`);
  renameSync(`${path}/a`, `${path}/moved`);
  symlinkSync("other", `${path}/a`);
  parents.invalidate();
  const again = parents.open("a/b");
  expect(statAt(again).ino).toBe(statAt(null, `${path}/other/b`).ino);
  expect(() => first.number).toThrow("is closed");
});

test("openInside() isn't disturbed by what is renamed elsewhere on the machine", async () => {
  const path = temporaryDirectory("root");
  mkdirSync(`${path}/a/b`, { recursive: true });
  symlinkSync("../a/../a/b/../b", `${path}/a/link`);
  const elsewhere = temporaryDirectory("elsewhere");
  mkdirSync(`${elsewhere}/x`);
  const script = `chdir $ARGV[0]; while (1) { rename "x", "y"; rename "y", "x" }`;
  const renaming = spawn("perl", ["-e", script, elsewhere]);
  using root = openDirectory(path);
  const end = performance.now() + 1000;
  while (performance.now() < end) openInside(root, "a/link").close();
  renaming.kill("SIGKILL");
  await once(renaming, "exit");
});
