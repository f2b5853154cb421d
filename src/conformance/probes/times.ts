import * as fs from "node:fs";
import { holds, same } from "../kit/assert.ts";
import { copyRange } from "../kit/data.ts";
import {
  append,
  close,
  fstat,
  makeNode,
  open,
  O,
  put,
  read,
  setTimes,
  stat,
  S_IFIFO,
  text,
  tree,
  write,
} from "../kit/files.ts";
import { O_NOATIME } from "../kit/kernel.ts";
import { map } from "../kit/memory.ts";
import { run, sleep } from "../kit/program.ts";
import { setXattr } from "../kit/xattr.ts";
import { area } from "../probe.ts";

const second = 1_000_000_000n;

/** The kernel's clock for files is some milliseconds behind. */
function isNow(ns: bigint): boolean {
  const now = BigInt(Date.now()) * 1_000_000n;
  return ns > now - 5n * second && ns < now + second;
}

/** A file from below, read long ago, written after that: relatime then updates. */
function prepareOld(lower: string): void {
  put(`${lower}/file`, "content");
  setTimes(`${lower}/file`, 1000n * second, 2000n * second);
}

export const times = area("times", [
  {
    name: "writing sets mtime and ctime, of the descriptor's file too",
    why: "POSIX write()",
    prepare: prepareOld,
    run: (mount) => {
      const fd = open(`${mount}/file`);
      append(`${mount}/file`, "+");
      const { mtimeNs, ctimeNs } = stat(`${mount}/file`);
      holds(isNow(mtimeNs) && isNow(ctimeNs), `mtime ${mtimeNs}, ctime ${ctimeNs}`);
      same(fstat(fd).mtimeNs, mtimeNs, "mtime by a descriptor from before");
    },
  },
  {
    name: "reading, failing and writing nothing leave mtime alone",
    why: "POSIX write()",
    prepare: prepareOld,
    run: (mount) => {
      const fd = open(`${mount}/file`, O.RDWR);
      read(fd);
      fs.writeSync(fd, "");
      close(fd);
      same(stat(`${mount}/file`).mtimeNs, 2000n * second, "mtime");
    },
  },
  {
    name: "opening for writing sets nothing, and changes in a file nothing of its directories, after a remount too",
    why: "POSIX open(), write(): backups and build systems believe ctime",
    prepare: (lower) => {
      tree(lower, ["dir/sub/", "dir/sub/opened", "dir/sub/changed", "dir/linked"]);
      fs.linkSync(`${lower}/dir/linked`, `${lower}/dir/sub/other`);
    },
    run: (mount, place) => {
      const paths = ["dir", "dir/sub", "dir/sub/opened"].map((path) => `${mount}/${path}`);
      const seen = (): bigint[] => paths.flatMap((path) => [stat(path).mtimeNs, stat(path).ctimeNs]);
      const before = seen();
      sleep(10);
      close(open(`${mount}/dir/sub/opened`, O.RDWR));
      fs.chmodSync(`${mount}/dir/sub/changed`, 0o600);
      append(`${mount}/dir/linked`, "+");
      same(seen(), before, "times");
      place.evict();
      same(seen(), before, "times, asked for anew");
      place.remount();
      same(seen(), before, "times after a remount");
      append(`${mount}/dir/sub/opened`, "+");
      fs.unlinkSync(`${mount}/dir/sub/changed`);
      const after = seen();
      same(after.slice(0, 2), before.slice(0, 2), "times of a directory in which nothing changed");
      holds(after.slice(2).every(isNow), `times of what has changed: ${after.slice(2).join(" ")}`);
    },
  },
  {
    name: "chmod, chown, setxattr, link and rename set ctime alone",
    why: "POSIX chmod() and others",
    prepare: prepareOld,
    run: (mount) => {
      const changes: readonly (() => void)[] = [
        () => fs.chmodSync(`${mount}/file`, 0o600),
        () => fs.chownSync(`${mount}/file`, 1, 1),
        () => fs.chownSync(`${mount}/file`, -1, -1),
        () => setXattr(`${mount}/file`, "user.a", "b"),
        () => fs.linkSync(`${mount}/file`, `${mount}/link`),
        () => fs.renameSync(`${mount}/link`, `${mount}/link2`),
        () => fs.unlinkSync(`${mount}/link2`),
      ];
      let before = stat(`${mount}/file`).ctimeNs;
      for (const [index, change] of changes.entries()) {
        sleep(12);
        change();
        const { ctimeNs, mtimeNs } = stat(`${mount}/file`);
        holds(ctimeNs > before, `change ${index} leaves ctime alone`);
        same(mtimeNs, 2000n * second, `mtime after change ${index}`);
        before = ctimeNs;
      }
    },
  },
  {
    name: "truncating to the same size sets mtime by descriptor",
    why: "POSIX ftruncate()",
    prepare: prepareOld,
    run: (mount) => {
      fs.ftruncateSync(open(`${mount}/file`, O.RDWR), 7);
      holds(isNow(stat(`${mount}/file`).mtimeNs), "mtime stays");
    },
  },
  {
    name: "what is made, removed and moved in a directory sets its times",
    why: "POSIX open(), unlink(), rename(), link(), mkdir()",
    prepare: (lower) => tree(lower, ["dir/", "dir/a", "dir/b", "dir/c", "dir/sub/", "dir/gone/"]),
    run: (mount) => {
      const dir = `${mount}/dir`;
      const changes: readonly (readonly [string, () => void])[] = [
        ["create", () => put(`${dir}/new`)],
        ["unlink", () => fs.unlinkSync(`${dir}/a`)],
        ["rename", () => fs.renameSync(`${dir}/b`, `${dir}/b2`)],
        ["rename away", () => fs.renameSync(`${dir}/c`, `${mount}/c`)],
        ["link", () => fs.linkSync(`${mount}/c`, `${dir}/c`)],
        ["symlink", () => fs.symlinkSync("x", `${dir}/link`)],
        ["mkdir", () => fs.mkdirSync(`${dir}/made`)],
        ["rmdir", () => fs.rmdirSync(`${dir}/gone`)],
        ["mkfifo", () => makeNode(`${dir}/fifo`, S_IFIFO | 0o600)],
      ];
      for (const [what, change] of changes) {
        setTimes(dir, 1000n * second, 2000n * second);
        change();
        const { mtimeNs, ctimeNs } = stat(dir);
        holds(isNow(mtimeNs) && isNow(ctimeNs), `${what} leaves the directory's mtime at ${mtimeNs}`);
      }
    },
  },
  {
    name: "changing a file leaves its directory's times alone",
    why: "POSIX",
    prepare: (lower) => {
      tree(lower, ["dir/", "dir/a", "dir/b"]);
      setTimes(`${lower}/dir`, 1000n * second, 2000n * second);
    },
    run: (mount) => {
      append(`${mount}/dir/a`, "+");
      fs.chmodSync(`${mount}/dir/b`, 0o600);
      same(stat(`${mount}/dir`).mtimeNs, 2000n * second, "mtime");
    },
  },
  {
    name: "times that are set are kept, of any year, to the nanosecond",
    why: "utimensat(2)",
    prepare: (lower) => {
      for (const name of ["old", "far", "now", "omit"]) put(`${lower}/${name}`);
      setTimes(`${lower}/omit`, 5n, 6n);
      fs.symlinkSync("x", `${lower}/link`);
    },
    run: (mount, place) => {
      setTimes(`${mount}/old`, -1n, -1_000_000_001n);
      setTimes(`${mount}/far`, 4_102_444_800n * second + 7n, 8_000_000_000n * second + 999_999_999n);
      setTimes(`${mount}/now`, "now", 5n);
      setTimes(`${mount}/omit`, "omit", 7n);
      setTimes(`${mount}/link`, 8n, 9n);
      const check = (): void => {
        same([stat(`${mount}/old`).atimeNs, stat(`${mount}/old`).mtimeNs], [-1n, -1_000_000_001n], "before 1970");
        same(stat(`${mount}/far`).mtimeNs, 8_000_000_000n * second + 999_999_999n, "after 2038");
        same(isNow(stat(`${mount}/now`).atimeNs), true, "UTIME_NOW");
        same([stat(`${mount}/omit`).atimeNs, stat(`${mount}/omit`).mtimeNs], [5n, 7n], "UTIME_OMIT");
        same(stat(`${mount}/link`).mtimeNs, 9n, "of a link");
      };
      check();
      place.remount();
      check();
    },
  },
  {
    name: "times that are set while a file is open for writing stay when it is closed",
    why: "tar, rsync and cp -p set them before close()",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount, place) => {
      for (const name of ["file", "new"]) {
        const fd = open(`${mount}/${name}`, O.RDWR | O.CREAT | O.TRUNC);
        write(fd, "content".repeat(1000));
        const mapping = map(fd, "write");
        mapping.write(0, "CONTENT");
        mapping.unmap();
        setTimes(fd, 3n * second, 4n * second);
        close(fd);
        same(stat(`${mount}/${name}`).mtimeNs, 4n * second, `mtime of ${name}`);
      }
      place.remount();
      for (const name of ["file", "new"]) {
        same(stat(`${mount}/${name}`).mtimeNs, 4n * second, `mtime of ${name} after remount`);
        same(text(`${mount}/${name}`).startsWith("CONTENTcontent"), true, `content of ${name}`);
      }
    },
  },
  {
    name: "writing through a mapping sets mtime",
    why: "POSIX mmap(), msync()",
    prepare: prepareOld,
    run: (mount) => {
      const mapping = map(open(`${mount}/file`, O.RDWR), "write");
      same(stat(`${mount}/file`).mtimeNs, 2000n * second, "mtime before");
      mapping.write(0, "C");
      mapping.sync();
      holds(isNow(stat(`${mount}/file`).mtimeNs), "mtime stays");
      const before = stat(`${mount}/file`).mtimeNs;
      sleep(12);
      mapping.write(0, "D");
      mapping.sync();
      holds(stat(`${mount}/file`).mtimeNs > before, "mtime stays at the second time");
    },
  },
  {
    name: "statx tells when a file was made, before copy-up and after, and after a remount",
    why: "statx(2), STATX_BTIME; stat(1), and whatever asks what is new",
    prepare: (lower) => tree(lower, ["file", "dir/"]),
    run: (mount, place) => {
      const paths = [`${mount}/file`, `${mount}/dir`];
      const seen = (): string[] => paths.map((path) => run(["stat", "-c", "%w", path]).out.trim());
      const before = seen();
      holds(!before.includes("-"), `birth times: ${before.join(", ")}`);
      sleep(10);
      append(`${mount}/file`, "+");
      put(`${mount}/dir/new`);
      same(seen(), before, "birth times after a change");
      if (place.system.isPrivileged) place.remount(); // who may not open handles can't ask the original then
      same(seen(), before, "birth times after a remount");
      holds(run(["stat", "-c", "%w", `${mount}/dir/new`]).out.trim() > (before[1] ?? ""), "birth time of a new file");
    },
  },
  {
    name: "new files' times are now, and all the same",
    why: "POSIX open()",
    run: (mount) => {
      put(`${mount}/file`);
      fs.mkdirSync(`${mount}/dir`);
      for (const name of ["file", "dir"]) {
        const { atimeNs, mtimeNs, ctimeNs } = stat(`${mount}/${name}`);
        holds(isNow(atimeNs) && isNow(mtimeNs) && isNow(ctimeNs), `${name}: ${atimeNs} ${mtimeNs} ${ctimeNs}`);
      }
    },
  },
]);

const posixAtime = "overlayfs.rst, Non-standard behavior a): st_atime of files from below isn't updated";

export const accessTimes = area("access times", [
  {
    name: "reading a file from below that was written since sets its atime",
    why: posixAtime,
    prepare: prepareOld,
    run: (mount) => {
      text(`${mount}/file`);
      holds(isNow(stat(`${mount}/file`).atimeNs), `atime stays ${stat(`${mount}/file`).atimeNs}`);
      same(stat(`${mount}/file`).mtimeNs, 2000n * second, "mtime");
    },
  },
  {
    name: "reading a file that was copied up sets its atime",
    why: "POSIX read(), relatime",
    prepare: prepareOld,
    run: (mount) => {
      fs.chmodSync(`${mount}/file`, 0o600);
      append(`${mount}/file`, "+");
      setTimes(`${mount}/file`, 1000n * second, 2000n * second);
      text(`${mount}/file`);
      holds(isNow(stat(`${mount}/file`).atimeNs), `atime stays ${stat(`${mount}/file`).atimeNs}`);
    },
  },
  {
    name: "copying a part of a file from below sets its atime",
    why: "copy_file_range(2) reads it",
    prepare: prepareOld,
    run: (mount) => {
      copyRange(open(`${mount}/file`), 0, open(`${mount}/copy`, O.RDWR | O.CREAT), 0, 4);
      same(text(`${mount}/copy`), "cont", "the copy");
      holds(isNow(stat(`${mount}/file`).atimeNs), `atime stays ${stat(`${mount}/file`).atimeNs}`);
    },
  },
  {
    name: "a descriptor's read sets it, as stat by name sees",
    why: "POSIX read()",
    prepare: prepareOld,
    run: (mount) => {
      const fd = open(`${mount}/file`);
      same(stat(`${mount}/file`).atimeNs, 1000n * second, "atime after open");
      read(fd);
      holds(isNow(fstat(fd).atimeNs), `atime by descriptor stays ${fstat(fd).atimeNs}`);
      holds(isNow(stat(`${mount}/file`).atimeNs), `atime by name stays ${stat(`${mount}/file`).atimeNs}`);
    },
  },
  {
    name: "listing a directory and reading a link from below set theirs",
    why: "POSIX readdir(), readlink()",
    prepare: (lower) => {
      tree(lower, ["dir/", "dir/x"]);
      fs.symlinkSync("target", `${lower}/link`);
      for (const name of ["dir", "link"]) setTimes(`${lower}/${name}`, 1000n * second, 2000n * second);
    },
    run: (mount) => {
      fs.readdirSync(`${mount}/dir`);
      holds(isNow(stat(`${mount}/dir`).atimeNs), `the directory's stays ${stat(`${mount}/dir`).atimeNs}`);
      fs.readlinkSync(`${mount}/link`);
      holds(isNow(stat(`${mount}/link`).atimeNs), `the link's stays ${stat(`${mount}/link`).atimeNs}`);
    },
  },
  {
    name: "noatime leaves it alone",
    why: "mount(8)",
    options: ["noatime"],
    prepare: prepareOld,
    run: (mount) => {
      text(`${mount}/file`);
      same(stat(`${mount}/file`).atimeNs, 1000n * second, "atime");
      append(`${mount}/file`, "+");
      setTimes(`${mount}/file`, 1000n * second, 2000n * second);
      text(`${mount}/file`);
      same(stat(`${mount}/file`).atimeNs, 1000n * second, "atime after copy-up");
    },
  },
  {
    name: "strictatime sets it with each read",
    why: "mount(8)",
    options: ["strictatime"],
    prepare: (lower) => put(`${lower}/file`, "content"),
    run: (mount) => {
      text(`${mount}/file`);
      const first = stat(`${mount}/file`).atimeNs;
      sleep(20);
      text(`${mount}/file`);
      holds(stat(`${mount}/file`).atimeNs > first, "the second read leaves it alone");
    },
  },
  {
    name: "relatime leaves a recent one alone",
    why: "mount(8): only what is older than mtime, or a day old",
    prepare: (lower) => {
      put(`${lower}/file`, "content");
      const now = BigInt(Date.now()) * 1_000_000n;
      setTimes(`${lower}/file`, now + 60n * second, now - 120n * second);
    },
    run: (mount) => {
      const before = stat(`${mount}/file`).atimeNs;
      text(`${mount}/file`);
      same(stat(`${mount}/file`).atimeNs, before, "atime");
    },
  },
  {
    name: "O_NOATIME leaves it alone",
    why: "open(2): backup programs",
    prepare: prepareOld,
    run: (mount) => {
      same(read(open(`${mount}/file`, O.RDONLY | O_NOATIME)), "content", "content");
      same(stat(`${mount}/file`).atimeNs, 1000n * second, "atime");
    },
  },
  {
    name: "it survives a remount and copy-up",
    why: "POSIX read()",
    prepare: prepareOld,
    run: (mount, place) => {
      text(`${mount}/file`);
      const first = stat(`${mount}/file`).atimeNs;
      fs.chmodSync(`${mount}/file`, 0o600);
      same(stat(`${mount}/file`).atimeNs, first, "atime after copy-up");
      place.remount();
      same(stat(`${mount}/file`).atimeNs, first, "atime after remount");
    },
  },
]);
