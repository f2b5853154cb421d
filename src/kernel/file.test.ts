import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { join, resolve } from "node:path";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { O, RESOLVE, S } from "./abi/file.ts";
import { KernelError } from "./error.ts";
import type { Fd } from "./fd.ts";
import {
  changeModeAt,
  changeOwnerAt,
  fileSystemOf,
  isDirectory,
  isRegularFile,
  linkAt,
  lock,
  makeDirectoryAt,
  makeNodeAt,
  openAt,
  openDirectory,
  readAll,
  readAvailable,
  readDirectory,
  readFile,
  readLinkAt,
  removeDirectoryAt,
  renameAt,
  renameNoReplaceAt,
  sameDevice,
  setTimesAt,
  statAt,
  symlinkAt,
  sync,
  syncFileSystem,
  tryLock,
  unlinkAt,
  writeAll,
} from "./file.ts";
import { getXattrAt, listXattrsAt, removeXattrAt, setXattr, setXattrAt } from "./xattr.ts";

let base = "";
let dir: Fd;
beforeEach(() => {
  base = temporaryDirectory("file");
  dir = openDirectory(base);
});
afterEach(() => {
  dir.close();
  execFileSync("rm", ["-rf", base]);
});
const sh = (script: string) => execFileSync("bash", ["-ec", script], { cwd: base, encoding: "utf8" });
const write = (name: string | Uint8Array, content: string | Uint8Array) => {
  using file = openAt(dir, name, O.WRONLY | O.CREAT | O.TRUNC, { mode: 0o600 });
  writeAll(file, Buffer.from(content));
};

test("openAt() keeps to what RESOLVE says, and names what it can't open", () => {
  sh("mkdir a; echo in >a/file; ln -s /etc/passwd abs; ln -s ../../../../../../../../etc/passwd up; ln -s a link");
  expect(() => openAt(dir, "abs", O.RDONLY, { resolve: RESOLVE.BENEATH })).toThrow(
    /^open .*\/abs: crosses file systems \(EXDEV\)$/,
  );
  expect(() => openAt(dir, "up", O.RDONLY, { resolve: RESOLVE.IN_ROOT })).toThrow(/ENOENT/);
  expect(() => openAt(dir, "link/file", O.RDONLY, { resolve: RESOLVE.NO_SYMLINKS })).toThrow(/ELOOP/);
  expect(() => openAt(null, "/proc/self/exe", O.RDONLY, { resolve: RESOLVE.NO_MAGICLINKS })).toThrow(/ELOOP/);
  expect(() => openAt(null, "/proc/self", O.RDONLY, { resolve: RESOLVE.NO_XDEV })).toThrow(/EXDEV/);
  using file = openAt(dir, "link/file", O.RDONLY, { resolve: RESOLVE.IN_ROOT });
  expect(readAll(file).toString()).toBe("in\n");
  try {
    openAt(dir, Buffer.from([0x61, 0xff]), O.RDONLY);
  } catch (error) {
    expect(error).toMatchObject({ syscall: "open", errno: "ENOENT", path: `${base}/a\\xff` });
  }
});

test("descriptors are closed by exec, and no number is used after close()", () => {
  using file = openAt(dir, "x", O.WRONLY | O.CREAT, { mode: 0o600 });
  expect(execFileSync("cat", [`/proc/${process.pid}/fdinfo/${file.number}`], { encoding: "utf8" })).toMatch(
    /^flags:\t02[0-7]*$/m,
  );
  file.close();
  file.close();
  expect(() => file.number).toThrow(`${base}/x is closed`);
});

test("statAt() tells every attribute, of links themselves, and of mounts", () => {
  sh(
    "echo 12345 >file; ln file other; chown 4294967294:12 file; chmod 4751 file; touch -d '1969-12-31T23:59:58.25Z' file; ln -s nowhere link; mknod dev c 259 1048575; mkfifo fifo",
  );
  const file = statAt(dir, "file");
  expect([file.mode, file.uid, file.gid, file.nlink, file.size]).toEqual([S.IFREG | 0o4751, 4294967294, 12, 2, 6]);
  expect(file.mtimeNs).toBe(-1_750_000_000n);
  expect(file.ino).toBe(statAt(dir, "other").ino);
  expect(isRegularFile(file) && !isDirectory(file)).toBe(true);
  expect(statAt(dir, "link").mode & S.IFMT).toBe(S.IFLNK);
  expect(statAt(dir, "dev").rdev).toEqual({ major: 259, minor: 1048575 });
  expect(statAt(dir, "fifo").mode & S.IFMT).toBe(S.IFIFO);
  expect([statAt(null, "/proc").isMountRoot, statAt(null, base).isMountRoot, statAt(dir).isMountRoot]).toEqual([
    true,
    false,
    false,
  ]);
  expect(sameDevice(statAt(dir), statAt(null, "/proc"))).toBe(false);
  expect(() => statAt(dir, "missing")).toThrow(
    new KernelError({ syscall: "stat", path: `${base}/missing`, errno: "ENOENT" }),
  );
  expect(() => statAt(dir, "file/below")).toThrow(/ENOTDIR/);
});

test("names are made, linked, renamed and removed", () => {
  makeDirectoryAt(dir, "d", 0o700);
  makeNodeAt(dir, "d/null", S.IFCHR | 0o666, { major: 1, minor: 3 });
  makeNodeAt(dir, "d/big", S.IFBLK | 0o600, { major: 4095, minor: 1048575 });
  symlinkAt("target", dir, "d/link");
  linkAt(dir, "d/link", dir, "d/link2");
  expect(sh("stat -c '%n %F %t,%T %h' d/*; readlink d/link2")).toBe(
    "d/big block special file fff,fffff 1\nd/link symbolic link 0,0 2\nd/link2 symbolic link 0,0 2\nd/null character special file 1,3 1\ntarget\n",
  );
  write("a", "a");
  write("b", "b");
  expect(() => renameNoReplaceAt(dir, "a", dir, "b")).toThrow(/EEXIST/);
  renameAt(dir, "a", dir, "b");
  renameNoReplaceAt(dir, "b", dir, "d/c");
  expect(sh("cat d/c; ls")).toBe("ad\n");
  expect(() => removeDirectoryAt(dir, "d")).toThrow(/directory not empty \(ENOTEMPTY\)/);
  for (const name of ["null", "big", "link", "link2", "c"]) unlinkAt(dir, `d/${name}`);
  removeDirectoryAt(dir, "d");
  expect(() => unlinkAt(dir, "d")).toThrow(/ENOENT/);
});

test("readLinkAt() gives a link's bytes", () => {
  sh("ln -s $'\\xff\\n' odd; ln -s $(printf 'x%.0s' {1..4095}) long");
  expect([...readLinkAt(dir, "odd")]).toEqual([0xff, 0x0a]);
  expect(readLinkAt(dir, "long").length).toBe(4095);
  expect(() => readLinkAt(dir, ".")).toThrow(/EINVAL/);
});

test("owners, modes and times are set, of links too", () => {
  sh("touch file; ln -s file link");
  changeOwnerAt(dir, "link", 5, 6);
  changeOwnerAt(dir, "file", 7, 8);
  changeModeAt(dir, "file", 0o107765);
  setTimesAt(dir, "file", -1n, 1_700_000_000_000_000_001n);
  setTimesAt(dir, "link", 0n, 1_000_000_000n);
  expect([statAt(dir, "link").uid, statAt(dir, "file").uid]).toEqual([5, 7]);
  const { mode, atimeNs, mtimeNs } = statAt(dir, "file");
  expect([mode & 0o7777, atimeNs, mtimeNs, statAt(dir, "link").mtimeNs]).toEqual([
    0o7765,
    -1n,
    1_700_000_000_000_000_001n,
    1_000_000_000n,
  ]);
  changeOwnerAt(dir, "", 0, 0);
});

test("readDirectory() gives every name once, as bytes, with its type", () => {
  sh(
    "mkdir many odd; cd many; seq 3000 | sed 's/$/-a-name-that-is-rather-long-so-that-few-fit-into-a-buffer/' | xargs touch; cd ../odd; mkdir dir; ln -s x link; mkfifo fifo; touch $'\\xff' ..x .y",
  );
  using many = openDirectory("many", dir);
  expect(new Set([...readDirectory(many)].map(({ name }) => name.toString())).size).toBe(3000);
  using odd = openDirectory("odd", dir);
  const found = [...readDirectory(odd)].map(({ name, type }) => `${name.toString("latin1")} ${type}`).toSorted();
  expect(found).toEqual(["..x 8", ".y 8", "dir 4", "fifo 1", "link 10", "ÿ 8"]);
  expect([...readDirectory(odd)]).toEqual([]);
});

test("readAll() reads what is there, whatever the hint, also where sizes lie", () => {
  const data = Buffer.alloc(200_000, "0123456789");
  write("file", data);
  for (const hint of [0, 1, 4095, 199_999, 200_000, 500_000]) {
    using file = openAt(dir, "file", O.RDONLY);
    expect(readAll(file, hint).equals(data)).toBe(true);
  }
  write("empty", "");
  expect(readFile(join(base, "empty")).length).toBe(0);
  expect(readFile("/proc/self/status").toString()).toContain("Name:");
  using file = openAt(dir, "file", O.RDONLY);
  expect(readAvailable(file).length).toBe(4096);
});

test("writeAll() writes all, or throws", () => {
  const data = Buffer.alloc(3 << 20, "x");
  write("large", data);
  expect(statAt(dir, "large").size).toBe(3 << 20);
  using full = openAt(null, "/dev/full", O.WRONLY);
  expect(() => writeAll(full, Buffer.from("x"))).toThrow(/^write \/dev\/full: no space left on device \(ENOSPC\)$/);
});

test("fileSystemOf() knows what is under a file", async () => {
  const { type, freeBytes, freeInodes, totalInodes } = fileSystemOf(dir);
  expect(type).toBe(sh("stat -f -c %T .").trim().replace("ext2/ext3", "ext4"));
  expect(Math.abs(freeBytes - Number(sh("df --output=avail -B1 . | tail -n 1")))).toBeLessThan(1 << 30);
  expect(freeInodes).toBeLessThanOrEqual(totalInodes);
  using proc = openDirectory("/proc");
  expect(fileSystemOf(proc).type).toBe("proc");
  write("x", "x");
  using file = openAt(dir, "x", O.RDONLY);
  sync(file);
  sync(dir);
  await syncFileSystem(dir);
});

describe("locks", () => {
  test("exclude others, and end with their holder", () => {
    write("lock", "");
    using first = openAt(dir, "lock", O.RDWR);
    using second = openAt(dir, "lock", O.RDWR);
    lock(first, "shared");
    expect([tryLock(second, "shared"), tryLock(second, "exclusive")]).toEqual([true, false]);
    second.close();
    lock(first, "exclusive");
    expect(sh("flock -n lock true || echo held")).toBe("held\n");
    first.close();
    expect(sh("flock -n lock echo free")).toBe("free\n");
  });

  test("are waited for", () => {
    const script = `
      import { O } from "${resolve("src/kernel/abi/file.ts")}"; import { lock, openAt } from "${resolve("src/kernel/file.ts")}";
      const file = openAt(null, "lock", O.RDWR | O.CREAT, { mode: 0o600 }); console.log("waiting"); lock(file, "exclusive"); console.log("got it");`;
    const out = sh(
      `touch lock; exec 9<>lock; flock 9; ${process.execPath} -e '${script}' 9>&- >out & sleep 0.5; cat out; echo --; flock -u 9; wait; cat out`,
    );
    expect(out).toBe("waiting\n--\nwaiting\ngot it\n");
  });
});

test("extended attributes are set, listed and removed, of odd names and links too", () => {
  sh("touch $'f\\xff'; ln -s nowhere link; mkdir d");
  const name = Buffer.from([0x66, 0xff]);
  const value = Buffer.from([0, 1, 255]);
  setXattrAt(dir, name, "user.a", value);
  setXattrAt(dir, name, "trusted.overlay.opaque", Buffer.from("y"));
  setXattrAt(dir, "link", "trusted.b", value);
  {
    using open = openDirectory("d", dir);
    setXattr(open, "user.empty", Buffer.alloc(0));
  }
  expect(listXattrsAt(dir, name).map(String).toSorted()).toEqual(["trusted.overlay.opaque", "user.a"]);
  expect(listXattrsAt(dir, "link").map(String)).toEqual(["trusted.b"]);
  expect(getXattrAt(dir, name, "user.a").equals(value)).toBe(true);
  expect(getXattrAt(dir, "d", "user.empty").length).toBe(0);
  removeXattrAt(dir, name, "user.a");
  expect(() => getXattrAt(dir, name, "user.a")).toThrow(/^getxattr .*: no such attribute \(ENODATA\)$/);
  expect(() => setXattrAt(dir, "link", "user.b", value)).toThrow(/EPERM/);
});
