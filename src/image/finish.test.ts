import { expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { describeTree } from "../../test/support/tree.ts";
import { openDirectory } from "../kernel/file.ts";
import { finishRoot } from "./finish.ts";

function makeRoot(files: Readonly<Record<string, string>>): string {
  const path = temporaryDirectory("root");
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(path, name, ".."), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}

function finish(path: string): void {
  using root = openDirectory(path);
  finishRoot(root);
}

test("finishRoot() takes the host's and the origin's identity away", () => {
  const hostFile = (name: string) => readFileSync(`/etc/${name}`, "utf8");
  const path = makeRoot({
    "etc/resolv.conf": hostFile("resolv.conf"),
    "etc/hosts": hostFile("hosts"),
    "etc/hostname": hostFile("hostname"),
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "var/lib/dbus/machine-id": "0123456789abcdef0123456789abcdef\n",
    "usr/sbin/x": "",
  });
  finish(path);
  expect(readdirSync(`${path}/etc`).toSorted()).toEqual(["hostname", "machine-id"]);
  expect(readFileSync(`${path}/etc/hostname`, "utf8")).toBe("localhost\n");
  expect(lstatSync(`${path}/etc/machine-id`)).toMatchObject({ size: 0, mode: 0o100444 });
  expect(readdirSync(`${path}/var/lib/dbus`)).toEqual([]);
});

test("finishRoot() leaves what is the root's own", () => {
  const own = { "etc/resolv.conf": "nameserver 192.0.2.1\n", "etc/hosts": "192.0.2.1 own\n", "etc/hostname": "own\n" };
  const path = makeRoot({ ...own, "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 0\n", "dev/own": "" });
  finish(path);
  for (const [name, content] of Object.entries(own)) expect(readFileSync(join(path, name), "utf8")).toBe(content);
  expect(readFileSync(`${path}/usr/sbin/policy-rc.d`, "utf8")).toContain("exit 0");
  expect(readdirSync(`${path}/dev`)).toEqual(["own"]);
  expect(existsSync(`${path}/etc/machine-id`)).toBe(false);
});

test("finishRoot() makes a policy that forbids daemons, devices and mount points, whatever the umask", () => {
  const path = makeRoot({ "usr/sbin/x": "" });
  const old = process.umask(0o077);
  finish(path);
  process.umask(old);
  expect(() => execFileSync(`${path}/usr/sbin/policy-rc.d`)).toThrow();
  expect(lstatSync(`${path}/usr/sbin/policy-rc.d`).mode).toBe(0o100755);
  const list = execFileSync("stat", ["-c", "%n %F %a %t,%T", "null", "tty", "console", "pts", "shm"], {
    cwd: `${path}/dev`,
    encoding: "utf8",
  });
  expect(list.trim().split("\n")).toEqual([
    "null character special file 666 1,3",
    "tty character special file 666 5,0",
    "console character special file 600 5,1",
    "pts directory 755 0,0",
    "shm directory 1777 0,0",
  ]);
  expect(readlinkSync(`${path}/dev/stdin`)).toBe("/proc/self/fd/0");
  expect(["proc", "sys", "run", "tmp"].map((name) => lstatSync(join(path, name)).mode & 0o7777)).toEqual([
    0o555, 0o555, 0o755, 0o1777,
  ]);
  const once = describeTree(path);
  finish(path);
  expect(describeTree(path)).toEqual(once);
});

test("finishRoot() reaches nothing outside, whatever links the root has", () => {
  const outside = makeRoot({
    "machine-id": "outside\n",
    hostname: "outside\n",
    "policy/x": "",
    "dbus/machine-id": "outside\n",
  });
  mkdirSync(`${outside}/dev`);
  const before = describeTree(outside);
  const path = makeRoot({ "etc/x": "", "usr/x": "", "var/lib/x": "" });
  symlinkSync(`${outside}/machine-id`, `${path}/etc/machine-id`);
  symlinkSync("../../../../../../../../etc/hostname", `${path}/etc/hostname`);
  symlinkSync("/etc/shadow", `${path}/etc/resolv.conf`);
  symlinkSync(`${outside}/policy`, `${path}/usr/sbin`);
  symlinkSync(`${outside}/dbus`, `${path}/var/lib/dbus`);
  symlinkSync(`${outside}/dev`, `${path}/dev`);
  symlinkSync(`${outside}/run`, `${path}/run`);
  finish(path);
  expect(describeTree(outside)).toEqual(before);
  expect(lstatSync(`${path}/etc/machine-id`).isFile()).toBe(true);

  const linked = temporaryDirectory("linked");
  symlinkSync(outside, `${linked}/etc`);
  symlinkSync("/", `${linked}/usr`);
  finish(linked);
  expect(describeTree(outside)).toEqual(before);
});

test("finishRoot() follows a root's own links for directories", () => {
  const path = makeRoot({ "usr/bin/x": "" });
  symlinkSync("/usr/bin", `${path}/usr/sbin`);
  finish(path);
  expect(readdirSync(`${path}/usr/bin`)).toContain("policy-rc.d");
});
