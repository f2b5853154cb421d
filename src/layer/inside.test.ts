import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { openDirectory } from "../kernel/file.ts";
import { copyInto, openParent, readInside } from "./inside.ts";

let base = "";
beforeEach(() => {
  base = temporaryDirectory("inside");
  mkdirSync(join(base, "root/etc"), { recursive: true });
  mkdirSync(join(base, "outside"));
  writeFileSync(join(base, "outside/secret"), "secret\n");
});
afterEach(() => execFileSync("rm", ["-rf", base]));
const sh = (script: string) => execFileSync("bash", ["-ec", script], { cwd: join(base, "root"), encoding: "utf8" });
const at = (path: string) => join(base, "root", path);

const attr = { mode: 0o100640, uid: 12, gid: 34, mtimeNs: 981_173_106_123_456_789n };
function copy(path: string, content = "content\n"): void {
  using root = openDirectory(join(base, "root"));
  copyInto(root, path, Buffer.from(content), attr);
}
function read(path: string): string | undefined {
  using root = openDirectory(join(base, "root"));
  return readInside(root, path)?.toString();
}

describe("readInside()", () => {
  test("follows links inside the root, never out of it", () => {
    sh("echo in >etc/in; ln -s in etc/near; ln -s /etc/in far; ln -s ../../../../etc/in up; ln -s etc dir");
    for (const path of ["etc/in", "/etc/in", "etc/near", "far", "up", "dir/in", "../../etc/in", "/../../../etc/in"]) {
      expect([path, read(path)]).toEqual([path, "in\n"]);
    }
    sh(`ln -s ${base}/outside/secret out; ln -s ../outside/secret out2; ln -s /proc/self/root/etc/passwd magic`);
    for (const path of ["out", "out2", "../outside/secret", "magic"])
      expect([path, read(path)]).toEqual([path, undefined]);
  });

  test("is undefined where there is no regular file, and opens no device", () => {
    sh(
      "mkfifo fifo; mknod tty c 5 0; mknod null c 1 3; mkdir dir; ln -s loop loop; ln -s nowhere dangling; touch file; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'",
    );
    // Opening a loop device that has no file would make the kernel look for its driver.
    sh("mknod disk b 7 255");
    for (const path of [
      "fifo",
      "tty",
      "null",
      "dir",
      "loop",
      "dangling",
      "file/below",
      "missing",
      "socket",
      "disk",
      "none/at/all",
    ]) {
      expect([path, read(path)]).toEqual([path, undefined]);
    }
    expect(read("file")).toBe("");
  });
});

describe("copyInto()", () => {
  test("gives content, mode, owner and time, and leaves nothing beside it", () => {
    copy("/etc/new");
    const found = statSync(at("etc/new"), { bigint: true });
    expect([found.mode, found.uid, found.gid, found.mtimeNs]).toEqual([0o100640n, 12n, 34n, attr.mtimeNs]);
    expect(readFileSync(at("etc/new"), "utf8")).toBe("content\n");
    expect(readdirSync(at("etc"))).toEqual(["new"]);
  });

  test("makes the directories on the way, whatever the umask", () => {
    const umask = process.umask(0o77);
    copy("/a/b/c/file");
    process.umask(umask);
    expect(sh("stat -c '%a %u' a a/b a/b/c; cat a/b/c/file")).toBe("755 0\n755 0\n755 0\ncontent\n");
  });

  test("leaves a file alone that is equal but for its time", () => {
    copy("/etc/same");
    const { ino } = statSync(at("etc/same"));
    sh("touch -d 2020-01-01 etc/same");
    copy("/etc/same");
    expect([statSync(at("etc/same")).ino, statSync(at("etc/same")).mtime.getFullYear()]).toEqual([ino, 2020]);
    for (const change of ["chmod 644", "chown 1:1", "truncate -s 0"]) {
      sh(`${change} etc/same`);
      copy("/etc/same");
      expect(sh("stat -c '%a %u %g %s' etc/same")).toBe("640 12 34 8\n");
    }
  });

  test("replaces whatever has the name, and follows no link at the end", () => {
    const before = readFileSync("/etc/passwd", "utf8");
    for (const make of [
      "ln -s ../../outside/secret",
      `ln -s ${base}/outside/secret`,
      "ln -s /etc/passwd",
      "ln -s ../../../../../../../../etc/passwd",
      "ln -s nowhere/at/all",
      "ln -s .",
      "mkfifo",
      "touch",
    ]) {
      sh(`rm -f etc/file; ${make} etc/file`);
      copy("/etc/file");
      expect([make, lstatSync(at("etc/file")).isFile(), readFileSync(at("etc/file"), "utf8")]).toEqual([
        make,
        true,
        "content\n",
      ]);
    }
    for (const device of ["c 1 3", "b 7 255"]) {
      sh(`rm -f etc/file; mknod etc/file ${device}`);
      copy("/etc/file");
      expect(lstatSync(at("etc/file")).isFile()).toBe(true);
    }
    expect(readFileSync(join(base, "outside/secret"), "utf8")).toBe("secret\n");
    expect(readFileSync("/etc/passwd", "utf8")).toBe(before);
  });

  test("breaks no hard link", () => {
    sh("echo own >etc/file; ln etc/file other");
    copy("/etc/file");
    expect(readFileSync(at("other"), "utf8")).toBe("own\n");
  });

  test("is an error where a directory has the name, and leaves it", () => {
    sh("mkdir etc/dir; touch etc/dir/file");
    expect(() => copy("/etc/dir")).toThrow(/is a directory/);
    expect(sh("find etc | sort")).toBe("etc\netc/dir\netc/dir/file\n");
  });

  test("goes where a link to a directory leads inside the root", () => {
    sh("rmdir etc; mkdir -p real/etc; ln -s real/etc etc; ln -s /real/etc abs; ln -s ../../../real up");
    for (const path of ["/etc/one", "/abs/two", "/up/etc/three", "/../../up/etc/four"]) copy(path);
    expect(readdirSync(at("real/etc")).toSorted()).toEqual(["four", "one", "three", "two"]);
    expect(readlinkSync(at("etc"))).toBe("real/etc");
  });

  test("makes the directory that a dangling link leads to, inside the root", () => {
    sh(`rmdir etc; ln -s not/yet etc; ln -s ${base}/outside/new abs; ln -s ../../outside/new up`);
    for (const path of ["/etc/file", "/abs/file", "/up/file"]) copy(path);
    expect(sh("cat not/yet/file outside/new/file")).toBe("content\ncontent\n");
    expect(readdirSync(join(base, "outside"))).toEqual(["secret"]);
  });

  test("through a loop of links, or a file, is an error", () => {
    sh("ln -s loop loop; touch file");
    expect(() => copy("/loop/file")).toThrow(/too many symbolic links/);
    expect(() => copy("/file/below")).toThrow(/not a directory/);
  });

  test("takes over what a killed process has left under its temporary name", () => {
    for (const make of ["echo half >", "ln -s /etc/passwd ", "mkfifo "]) {
      sh(`${make}etc/.file.fallthru-new`);
      copy("/etc/file", make);
      expect(readdirSync(at("etc"))).toEqual(["file"]);
    }
  });
});

test("openParent() fails where something is missing and isn't to be made", () => {
  using root = openDirectory(join(base, "root"));
  expect(() => openParent(root, "/none/file")).toThrow(/no such file/);
  expect(openParent(root, "/etc/file").path).toEndWith("/root/etc");
  expect(openParent(root, "file").path).toEndWith("/root/");
});
