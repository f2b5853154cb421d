import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { UserError } from "../error.ts";
import { installProfile, profileText } from "./builtin.ts";
import { findChroot } from "./config.ts";
import { parseFstab } from "./fstab.ts";
import { parseCopyFiles, parseNssDatabases } from "./lists.ts";
import { type Profile, readProfile } from "./profile.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "profile-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

function write(name: string, text: string): string {
  const file = join(dir, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

/** The profile of a chroot that is described with these lines. */
function profileOf(lines: string, type = "directory"): Profile {
  write("chroot.d/x", `[x]\ntype=${type}\ndirectory=/srv/x\n${lines}`);
  return readProfile(findChroot("x", dir), dir);
}

function failure(act: () => unknown): { code: string; message: string; hint: string | undefined } {
  try {
    act();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { code: error.code, message: error.message.replaceAll(`${dir}/`, ""), hint: error.hint };
  }
  throw new Error("nothing was thrown");
}

/** Each line as `source target type options`. */
function mounts(profile: Profile): string[] {
  return profile.fstab.map(({ source, target, type, options }) => `${source} ${target} ${type} ${options.join(",")}`);
}

const builtinMounts = [
  "proc /proc proc nosuid,nodev,noexec",
  "sysfs /sys sysfs ro,nosuid,nodev,noexec",
  "/dev/pts /dev/pts none rw,bind",
  "tmpfs /dev/shm tmpfs nosuid,nodev,mode=1777",
];

test("readProfile() falls back to the built-in profile where schroot isn't installed", () => {
  for (const lines of ["", "profile=default\n", "profile=fallthru\n"]) {
    const profile = profileOf(lines);
    expect(mounts(profile)).toEqual(builtinMounts);
    expect(profile.copyFiles.map(({ from, to }) => `${from} ${to}`)).toEqual([
      "/etc/resolv.conf /etc/resolv.conf",
      "/etc/hosts /etc/hosts",
    ]);
    expect(profile.nssDatabases).toEqual(
      ["passwd", "shadow", "group", "gshadow"].map((name) => ({ name, mode: "merge" as const })),
    );
  }
});

test("readProfile() gives a plain chroot mounts and nothing of the host's", () => {
  const profile = profileOf("profile=nowhere\n", "plain");
  expect(mounts(profile)).toEqual(builtinMounts);
  expect(profile).toMatchObject({ name: "plain", copyFiles: [], nssDatabases: [] });
});

describe("readProfile() reads Debian's profile", () => {
  const cases: readonly [name: string, mounts: number, copies: number, databases: number][] = [
    ["minimal", 2, 1, 4],
    ["default", 6, 1, 8],
    ["desktop", 7, 1, 8],
    ["sbuild", 5, 1, 4],
    ["buildd", 5, 3, 4],
  ];
  for (const [name, ...counts] of cases) {
    test(name, () => {
      cpSync(`/etc/schroot/${name}`, join(dir, name), { recursive: true });
      const { fstab, copyFiles, nssDatabases } = profileOf(`profile=${name}\n`);
      expect([fstab.length, copyFiles.length, nssDatabases.length]).toEqual(counts);
      expect(fstab[0]).toMatchObject({ source: "/proc", target: "/proc", type: "none", options: ["rw", "bind"] });
    });
  }
});

test("readProfile() names a missing file, and the profiles that there are", () => {
  write("sbuild/fstab", "");
  write("default/copyfiles", "");
  expect(failure(() => profileOf("profile=sbiuld\n"))).toEqual({
    code: "config",
    message: "chroot.d/x:1: [x] needs sbiuld/fstab, which does not exist",
    hint: "profiles that there are: fallthru, sbuild",
  });
  expect(failure(() => profileOf("profile=sbuild\n")).message).toContain("needs sbuild/copyfiles");
  expect(failure(() => profileOf("")).message).toContain("needs default/fstab");
  expect(failure(() => profileOf("profile=fallthru\nsetup.fstab=mine/fstab\n")).message).toContain("needs mine/fstab");
});

test("readProfile() refuses a file that others may write to", () => {
  chmodSync(write("fallthru/fstab", "/etc /etc none bind\n"), 0o666);
  expect(failure(() => profileOf("profile=fallthru\n"))).toMatchObject({
    code: "config",
    message: "fallthru/fstab: not read, as everybody may write to it",
  });
});

test("readProfile() takes the files that the setup keys name, below the configuration's directory", () => {
  write("mine/fstab", "/a /a none bind\n");
  write("copies", "/etc/motd\n");
  const profile = profileOf("profile=fallthru\nsetup.fstab=mine/fstab\nsetup.copyfiles=/copies\nsetup.nssdatabases=\n");
  expect(mounts(profile)).toEqual(["/a /a none bind"]);
  expect(profile.copyFiles).toEqual([{ from: "/etc/motd", to: "/etc/motd" }]);
  expect(profile.nssDatabases).toEqual([]);
});

test("readProfile() takes assignments in a profile's shell file", () => {
  const fstab = write("elsewhere/fstab", "/a /a none bind\n");
  write("databases", "passwd replace\n");
  write("old/copyfiles", "");
  write(
    "old/config",
    `# Filesystems\nFSTAB="${fstab}"\nif true; then\n  x=1\nfi\nSETUP_NSSDATABASES=databases # mine\n`,
  );
  for (const line of ["profile=old\n", "script-config=old/config\n", "script-config=old/config\nprofile=x\n"]) {
    const profile = profileOf(line);
    expect(mounts(profile)).toEqual(["/a /a none bind"]);
    expect(profile.nssDatabases).toEqual([{ name: "passwd", mode: "replace" }]);
  }
});

test("readProfile() says which assignments it can't follow", () => {
  for (const line of ['FSTAB="$DIR/fstab"', "FSTAB=`x`", "  FSTAB=/a", "FSTAB=/a; x", "FSTAB=a\\ b"]) {
    write("old/config", `\n${line}\n`);
    expect(failure(() => profileOf("profile=old\n"))).toEqual({
      code: "config",
      message: "old/config:2: what FSTAB becomes here can't be told",
      hint: "shell files aren't run: name the file with setup.fstab=FILE in the chroot's description",
    });
  }
});

test("parseFstab() splits options, decodes octal digits and fills in what is missing", () => {
  const text = "# c\n\n  # d\n/a\\040b\t/c\\303\\251\\134 none rw,rbind 0 0\r\ntmpfs /tmp tmpfs\n";
  expect(parseFstab(text, "f")).toEqual([
    { source: "/a b", target: "/cé\\", type: "none", options: ["rw", "rbind"], file: "f", line: 4 },
    { source: "tmpfs", target: "/tmp", type: "tmpfs", options: ["defaults"], file: "f", line: 5 },
  ]);
});

describe("parseFstab() names file and line of", () => {
  const cases: readonly [line: string, message: string][] = [
    ["/a /b", "a line is SOURCE TARGET TYPE OPTIONS"],
    ["/a b none bind", '"b" isn\'t an absolute path in UTF-8'],
    ["/a /b\\000 none bind", '"/b\\u0000" isn\'t an absolute path in UTF-8'],
    ["/a\\351 /b none bind", '"/b" isn\'t an absolute path in UTF-8'],
    ["/a /b none bind 0 0 0", "only two numbers may follow the options"],
    ["/a /b none bind # why", "only two numbers may follow the options"],
    ["/a\uFFFD /b none bind", "is not UTF-8 text"],
  ];
  for (const [line, message] of cases) {
    test(line, () =>
      expect(failure(() => parseFstab(`\n${line}\n`, "f"))).toMatchObject({
        code: "config",
        message: `f:2: ${message}`,
      }),
    );
  }
});

test("parseCopyFiles() takes a destination, and the last copy to a place", () => {
  const text = "# c\n/etc/hosts\n/etc/a /etc/b\n/etc/c /etc/hosts\n";
  expect(parseCopyFiles(text, "c")).toEqual([
    { from: "/etc/a", to: "/etc/b" },
    { from: "/etc/c", to: "/etc/hosts" },
  ]);
  expect(failure(() => parseCopyFiles("etc/hosts\n", "c")).message).toBe('c:1: "etc/hosts" isn\'t an absolute path');
  expect(failure(() => parseCopyFiles("/a /b /c\n", "c")).message).toBe("c:1: a line is SOURCE [DESTINATION]");
});

test("parseNssDatabases() takes a mode, and no name that leads elsewhere", () => {
  expect(parseNssDatabases("passwd\ngroup replace\npasswd merge\n", "n")).toEqual([
    { name: "passwd", mode: "merge" },
    { name: "group", mode: "replace" },
  ]);
  expect(failure(() => parseNssDatabases("../passwd\n", "n")).message).toBe('n:1: "../passwd" isn\'t a database');
  expect(failure(() => parseNssDatabases("passwd keep\n", "n")).message).toBe(
    "n:1: a line is DATABASE [merge|replace]",
  );
});

test("installProfile() writes what is missing, and changes nothing that is there", () => {
  const kept = write("fallthru/fstab", "# mine\n");
  installProfile(dir);
  expect(mounts(profileOf("profile=fallthru\n"))).toEqual([]);
  rmSync(kept);
  installProfile(dir);
  const { copyFiles, nssDatabases, ...profile } = profileOf("profile=fallthru\n");
  expect(mounts({ ...profile, copyFiles, nssDatabases })).toEqual(builtinMounts);
  expect([copyFiles.length, nssDatabases.length]).toEqual([2, 4]);
});

test("profileText() is text that schroot reads as we do: one word on each line of nssdatabases", () => {
  const words = profileText()
    .nssdatabases.split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  expect(words).toEqual(["passwd", "shadow", "group", "gshadow"]);
});
