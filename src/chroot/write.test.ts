import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { UserError } from "../error.ts";
import { findChroot, readChroots } from "./config.ts";
import { removeChroot, writeChroot } from "./write.ts";

let dir = "";
beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), "write-")), "schroot");
});
afterEach(() => rmSync(join(dir, ".."), { recursive: true }));

function add(name: string, description = "a description", directory = "/srv/x"): void {
  writeChroot({ name, description, directory }, dir);
}

function failure(act: () => unknown): { code: string; message: string; hint: string | undefined } {
  try {
    act();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return {
      code: error.code,
      message: error.message.replaceAll(`${dir}/`, ""),
      hint: error.hint?.replaceAll(`${dir}/`, ""),
    };
  }
  throw new Error("nothing was thrown");
}

test("writeChroot() describes a chroot for the superuser, with its profile beside it", () => {
  const written = writeChroot({ name: "sid", description: "Debian sid: é # =", directory: "/srv/sid/" }, dir);
  expect(findChroot("sid", dir)).toEqual(written);
  expect(written).toMatchObject({
    type: "directory",
    directory: "/srv/sid",
    description: "Debian sid: é # =",
    profile: "fallthru",
    users: ["root"],
    rootGroups: ["root"],
    union: { type: "overlay" },
  });
  expect(statSync(join(dir, "chroot.d/sid.conf")).mode & 0o7777).toBe(0o644);
  expect(readdirSync(join(dir, "chroot.d"))).toEqual(["sid.conf"]);
  expect(readdirSync(join(dir, "fallthru")).toSorted()).toEqual(["copyfiles", "fstab", "nssdatabases"]);
});

test("writeChroot() refuses a name, an alias or a file that is taken", () => {
  add("sid");
  writeFileSync(join(dir, "chroot.d/other.conf"), "[a]\ndirectory=/a\naliases=b\n");
  writeFileSync(join(dir, "chroot.d/broken.conf"), "[c]\nusers2=/a\n");
  expect(failure(() => add("sid"))).toEqual({
    code: "exists",
    message: "sid is a chroot already, described at chroot.d/sid.conf:1",
    hint: "take another name, or remove it: `fallthru chroot remove sid`",
  });
  expect(failure(() => add("b")).message).toStartWith("b is an alias of the chroot a already");
  expect(failure(() => add("c")).code).toBe("exists");
  expect(failure(() => add("other"))).toMatchObject({
    code: "exists",
    message: "the file chroot.d/other.conf is there already",
  });
  expect(readdirSync(join(dir, "chroot.d")).toSorted()).toEqual(["broken.conf", "other.conf", "sid.conf"]);
});

test("writeChroot() takes over what a killed writer left", () => {
  mkdirSync(join(dir, "chroot.d"), { recursive: true });
  writeFileSync(join(dir, "chroot.d/.fallthru.new"), "[ha");
  add("sid");
  expect(readdirSync(join(dir, "chroot.d"))).toEqual(["sid.conf"]);
});

describe("writeChroot() refuses", () => {
  const reserved = 'the name "host" is reserved for this machine\'s own root';
  const names: readonly [name: string, message: string][] = [
    ["host", reserved],
    ["", "\"\" can't be a chroot's name"],
    ["../x", "\"../x\" can't be a chroot's name"],
    [".x", "\".x\" can't be a chroot's name"],
    ["a\nb", "\"a\\nb\" can't be a chroot's name"],
    ["a\n", "\"a\\n\" can't be a chroot's name"],
    ["a.dpkg-new", "\"a.dpkg-new\" can't be a chroot's name"],
    ["a".repeat(300), `the name ${"a".repeat(20)}... is too long`],
  ];
  for (const [name, message] of names) {
    test(`the name ${JSON.stringify(name)}`, () =>
      expect(failure(() => add(name))).toMatchObject({ code: "usage", message }));
  }
  const descriptions = ["a\n[evil]\ndirectory=/", "a\nshell=/bin/evil", " a", "a\r", "a\u001b[2J", "a\nusers=me"];
  for (const text of descriptions) {
    test(`the description ${JSON.stringify(text)}`, () => expect(failure(() => add("x", text)).code).toBe("usage"));
  }
  for (const text of ["", "srv", "/srv\nusers=me", "/srv\n[evil]", "/srv ", "/srv # x", "/srv\u0007"]) {
    test(`the directory ${JSON.stringify(text)}`, () => expect(failure(() => add("x", "a", text)).code).toBe("usage"));
  }
  afterEach(() => expect(readChroots(dir)).toEqual({ chroots: [], problems: [], warnings: [] }));
});

test("removeChroot() removes a description, good or bad", () => {
  add("sid");
  writeFileSync(join(dir, "chroot.d/x"), "[bad]\nusers2=/a\n");
  expect(removeChroot("sid", dir)).toBe(join(dir, "chroot.d/sid.conf"));
  removeChroot("bad", dir);
  expect(readdirSync(join(dir, "chroot.d"))).toEqual([]);
  expect(failure(() => removeChroot("sid", dir)).code).toBe("not-found");
});

test("removeChroot() leaves files alone that say more", () => {
  add("sid");
  const two = "# mine\n[a]\ndirectory=/a\n\n[b]\ndirectory=/b\naliases=c\n";
  writeFileSync(join(dir, "chroot.d/two"), two);
  writeFileSync(join(dir, "schroot.conf"), "[d]\ndirectory=/d\n");
  expect(failure(() => removeChroot("b", dir))).toEqual({
    code: "unsupported",
    message: "the description of b has no file of its own",
    hint: "delete the lines 5 to 7 of chroot.d/two by hand",
  });
  expect(failure(() => removeChroot("d", dir)).hint).toBe("delete the lines 1 to 2 of schroot.conf by hand");
  expect(failure(() => removeChroot("c", dir)).code).toBe("not-found");
  expect(readFileSync(join(dir, "chroot.d/two"), "utf8")).toBe(two);
});
