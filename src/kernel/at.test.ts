import { afterEach, beforeEach, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { E } from "./abi/errno.ts";
import { O, RESOLVE } from "./abi/file.ts";
import { closeFd, openPath, stat, statName, takeAttr } from "./at.ts";
import { ATTR, differingAttr } from "./attr.ts";
import type { Fd } from "./fd.ts";
import { type Attr, openDirectory, statAt } from "./file.ts";

let base = "";
let dir: Fd;
beforeEach(() => {
  base = temporaryDirectory("at");
  dir = openDirectory(base);
});
afterEach(() => {
  dir.close();
  execFileSync("rm", ["-rf", base]);
});
const sh = (script: string) => execFileSync("bash", ["-ec", script], { cwd: base });

function taken(name: string): Attr {
  expect(statName(dir.number, name)).toBe(0);
  return takeAttr();
}

test("takeAttr() keeps what was filled in, however much is filled in afterwards", () => {
  sh('for i in {1..300}; do printf "%*s" $i "" >$i; done; chmod 640 17');
  const all = Array.from({ length: 300 }, (_, index) => taken(String(index + 1)));
  for (let round = 0; round < 40; round++) for (let at = 1; at <= 300; at++) taken(String(at));
  expect(all.map(({ size }) => size)).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
  const { mode, ino, mtimeNs, ctimeNs, nlink, uid, dev } = statAt(dir, "17");
  expect(all[16]).toMatchObject({ mode, ino, mtimeNs, ctimeNs, nlink, uid, dev, size: 17 });
});

test("stat shows what was last there, and what is taken from it is no copy of a later one", () => {
  sh("printf 1 >one; printf 22 >two");
  const one = taken("one");
  expect(stat.size).toBe(1);
  expect(statName(dir.number, "none")).toBe(-E.NOENT);
  expect([stat.size, takeAttr().size]).toEqual([1, 1]);
  expect(statName(dir.number, "two")).toBe(0);
  expect(stat.size).toBe(2);
  expect(statName(dir.number, "none")).toBe(-E.NOENT);
  expect([stat.size, takeAttr().size, one.size]).toEqual([2, 2, 1]);
});

test("differingAttr() says the same of attributes however they were read", () => {
  sh(`printf a >same; cp -p same twin; cp -p same mode; chmod 711 mode; cp -p same owner; chown 5:6 owner
    cp -p same group; chgrp 6 group; cp -p same time; touch -d @1.5 time; cp -p same old; touch -d @-1 old
    printf bb >size; touch -r same size; mknod -m 644 node c 1 3; touch -r same node`);
  const wanted: readonly (readonly [string, number])[] = [
    ["twin", 0],
    ["mode", ATTR.MODE],
    ["owner", ATTR.OWNER],
    ["group", ATTR.OWNER],
    ["time", ATTR.MTIME],
    ["old", ATTR.MTIME],
    ["size", ATTR.SIZE],
    ["node", ATTR.MODE | ATTR.SIZE | ATTR.RDEV],
  ];
  for (const [name, bits] of wanted) {
    const [one, other] = [taken("same"), taken(name)];
    const [plainOne, plainOther] = [statAt(dir, "same"), statAt(dir, name)];
    expect([name, differingAttr(one, other), differingAttr(other, one)]).toEqual([name, bits, bits]);
    expect([name, differingAttr(plainOne, plainOther), differingAttr(one, plainOther)]).toEqual([name, bits, bits]);
  }
});

test("openPath() keeps to what RESOLVE says", () => {
  sh("mkdir -p a/b; ln -s a link; ln -s /etc away");
  const strict = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS;
  const open = (path: string): number => openPath(dir.number, path, O.RDONLY | O.DIRECTORY, strict);
  const fd = open("a/b");
  expect(fd).toBeGreaterThan(0);
  closeFd(fd);
  expect(["link/b", "away", "none", "../etc"].map(open)).toEqual([-E.LOOP, -E.LOOP, -E.NOENT, -E.XDEV]);
});
