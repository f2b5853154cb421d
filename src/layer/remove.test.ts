import { afterEach, beforeEach, expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { UserError } from "../error.ts";
import { openDirectory } from "../kernel/file.ts";
import { removeTree } from "./remove.ts";

let base = "";
beforeEach(() => {
  base = temporaryDirectory("remove");
});
afterEach(() => execFileSync("rm", ["-rf", base]));
const sh = (script: string) => execFileSync("bash", ["-ec", script], { cwd: base, encoding: "utf8" });

function remove(name: string | Buffer): void {
  using dir = openDirectory(base);
  removeTree(dir, name);
}

test("removeTree() deletes files, links, devices, sockets, pipes and directories, and nothing else", () => {
  sh(`
    mkdir -p tree/{a/b/c,empty} outside; touch tree/file tree/a/b/c/file outside/file
    ln -s ../outside tree/link; ln -s "$PWD/outside" tree/a/absolute; ln -s nowhere tree/dangling; ln -s . tree/loop
    mkfifo tree/fifo; mknod tree/null c 1 3; mknod tree/whiteout c 0 0; mknod tree/disk b 7 0; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("tree/socket")'
    ln outside/file tree/hard; chmod 0 tree/a tree/empty; chmod 000 tree/file
  `);
  remove("tree");
  expect(sh("find . | sort")).toBe(".\n./outside\n./outside/file\n");
});

test("removeTree() of what isn't there, of a file, and of a link", () => {
  sh("touch file; mkdir dir; touch dir/file; ln -s dir link; ln -s nowhere dangling");
  for (const name of ["missing", "file", "link", "dangling"]) remove(name);
  expect(readdirSync(base)).toEqual(["dir"]);
  expect(readdirSync(join(base, "dir"))).toEqual(["file"]);
});

test("removeTree() takes names that aren't UTF-8, and every other byte", () => {
  sh(
    "mkdir -p $'tree/\\xff\\xfe/\\x01\\n' $'\\xff'; touch $'tree/\\xff\\xfe/\\x01\\n/\\xc3\\x28' 'tree/ ' 'tree/-rf' $'tree/\\\\' tree/...",
  );
  remove("tree");
  remove(Buffer.from([0xff]));
  expect(readdirSync(base)).toEqual([]);
});

test("removeTree() takes off immutable and append-only marks", () => {
  sh(`
    mkdir -p tree/a/b tree/c tree/d; touch tree/a/b/file tree/c/file tree/marked tree/d/log
    chattr +i tree/a/b/file; chattr +i tree/a/b; chattr +i tree/a; chattr +a tree/c tree/c/file; chattr +i tree/marked; chattr +a tree/d/log; chattr +i tree/d; chattr +i tree
  `);
  remove("tree");
  expect(readdirSync(base)).toEqual([]);
  sh("touch file; chattr +i file");
  remove("file");
  expect(readdirSync(base)).toEqual([]);
});

for (const depth of [300, 5000]) {
  test(`removeTree() deletes ${depth} directories in one another, with few descriptors`, () => {
    sh(`python3 - <<'P'
import os
os.mkdir("tree"); os.chdir("tree")
for i in range(${depth}):
    open("file", "w").close(); os.mkdir("x" * 30); os.mkdir("beside"); os.chdir("x" * 30)
P`);
    const script = `
      import { openDirectory } from "${resolve("src/kernel/file.ts")}";
      import { removeTree } from "${resolve("src/layer/remove.ts")}";
      removeTree(openDirectory(${JSON.stringify(base)}), "tree");
    `;
    writeFileSync(join(base, "remove.ts"), script);
    execFileSync("bash", ["-c", 'ulimit -n 300; exec "$0" remove.ts', process.execPath], { cwd: base });
    expect(readdirSync(base)).toEqual(["remove.ts"]);
  });
}

test("removeTree() isn't led astray by names like those that it gives", () => {
  sh(`python3 - <<'P'
import os
os.mkdir("tree"); top = os.getcwd() + "/tree"; os.chdir("tree")
for i in range(420):
    os.mkdir("d"); ino = os.stat("d").st_ino
    for n, make in ((0, lambda p: (os.mkdir(p), open(p + "/kept", "w").close())), (1, lambda p: open(p, "w").close()), (2, lambda p: os.symlink("/etc", p))):
        make(f"{top}/.risen-{ino}-{n}")
    os.chdir("d")
P`);
  remove("tree");
  expect(readdirSync(base)).toEqual([]);
  expect(existsSync("/etc/passwd")).toBe(true);
});

test("removeTree() stops at a mount before anything in it is touched, and can go on after it is gone", () => {
  sh(
    "mkdir -p tree/a/point tree/z host/dir; touch host/file host/dir/file; mount --bind host tree/a/point; touch tree/on; mount --bind host/file tree/on",
  );
  try {
    expect(() => remove("tree")).toThrow(UserError);
    expect(() => remove("tree/a/point")).toThrow(
      /^something is mounted on .*\/tree\/a\/point, which is to be deleted$/,
    );
    expect(sh("find host tree/a | sort")).toBe(
      "host\nhost/dir\nhost/dir/file\nhost/file\ntree/a\ntree/a/point\ntree/a/point/dir\ntree/a/point/dir/file\ntree/a/point/file\n",
    );
    sh("umount tree/a/point");
    expect(() => remove("tree")).toThrow(/^something is mounted on .*\/tree\/on, which/);
  } finally {
    sh("umount tree/a/point 2>/dev/null || true; umount tree/on");
  }
  remove("tree");
  expect(sh("find host | sort")).toBe("host\nhost/dir\nhost/dir/file\nhost/file\n");
});

test("removeTree() never leaves the tree while others swap directories and links, and finishes when they stop", async () => {
  mkdirSync(join(base, "outside"));
  writeFileSync(join(base, "outside/precious"), "");
  const script = `
import os, sys, time
os.makedirs("tree/a/b", exist_ok=True)
print("up", flush=True)
end = time.time() + 1.5
while time.time() < end:
    for path in ("tree/a", "tree/a/b", "tree/c"):
        for change in (lambda: os.makedirs(path + "/deep/er", exist_ok=True), lambda: open(path + "/file", "w").close(), lambda: os.rename(path, path + "-away"), lambda: os.symlink("../outside", path), lambda: os.unlink(path), lambda: os.rename(path + "-away", path)):
            try: change()
            except OSError: pass
`;
  const other = spawn("python3", ["-c", script], { cwd: base, stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((up) => other.stdout.once("data", up));
  const ended = new Promise((done) => other.once("exit", done));
  let rounds = 0;
  while (other.exitCode === null) {
    try {
      remove("tree");
    } catch (error) {
      // Somebody who adds faster than we delete is no friend; nothing else is expected.
      expect(String(error)).toMatch(/ENOTEMPTY|EEXIST/);
    }
    rounds++;
    await new Promise((done) => setTimeout(done, 0));
  }
  await ended;
  expect(rounds).toBeGreaterThan(10);
  remove("tree");
  expect(readdirSync(base)).toEqual(["outside"]);
  expect(readdirSync(join(base, "outside"))).toEqual(["precious"]);
});

test("removeTree() by two at once is no error", async () => {
  sh("for i in $(seq 40); do mkdir -p tree/$i/{a,b,c}/d; touch tree/$i/{a,b,c}/d/{1,2,3}; done");
  writeFileSync(
    join(base, "remove.ts"),
    `import { openDirectory } from "${resolve("src/kernel/file.ts")}"; import { removeTree } from "${resolve("src/layer/remove.ts")}"; removeTree(openDirectory("."), "tree");`,
  );
  const runs = [1, 2].map(() =>
    spawn(process.execPath, ["remove.ts"], { cwd: base, stdio: ["ignore", "ignore", "inherit"] }),
  );
  expect(await Promise.all(runs.map((child) => new Promise((done) => child.once("exit", done))))).toEqual([0, 0]);
  expect(readdirSync(base)).toEqual(["remove.ts"]);
});

test("removeTree() tells an error that it doesn't expect", () => {
  symlinkSync(dirname(base), join(base, "link"));
  chmodSync(base, 0o755);
  sh("mount -t tmpfs tmpfs .");
  try {
    sh("mkdir tree; touch tree/file; mount -o remount,ro .");
    expect(() => remove("tree")).toThrow(/read-only file system/);
    expect(lstatSync(join(base, "tree/file")).isFile()).toBe(true);
  } finally {
    execFileSync("umount", [base]);
  }
});
