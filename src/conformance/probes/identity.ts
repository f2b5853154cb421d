import * as fs from "node:fs";
import { differ, holds, same } from "../kit/assert.ts";
import { Directory, entries } from "../kit/directory.ts";
import {
  append,
  close,
  EXCHANGE,
  fstat,
  id,
  makeNode,
  open,
  O,
  put,
  rename2,
  S_IFCHR,
  S_IFIFO,
  stat,
  text,
  tree,
} from "../kit/files.ts";
import { map } from "../kit/memory.ts";
import { sh } from "../kit/program.ts";
import { setXattr } from "../kit/xattr.ts";
import { area, type Probe } from "../probe.ts";

const docs = "overlayfs.rst, Inode properties: st_ino and st_dev stay what they are";

/** Changes that copy a file up. */
const changes: readonly (readonly [string, (path: string) => void])[] = [
  ["opening for writing", (path) => close(open(path, O.RDWR))],
  ["writing", (path) => append(path, "more")],
  ["chmod", (path) => fs.chmodSync(path, 0o600)],
  ["chown", (path) => fs.chownSync(path, 7, 7)],
  ["utimes", (path) => fs.utimesSync(path, 1, 2)],
  ["truncate", (path) => fs.truncateSync(path, 1)],
  ["setxattr", (path) => setXattr(path, "user.a", "b")],
  ["link", (path) => fs.linkSync(path, `${path}.link`)],
];

function overChange([word, change]: (typeof changes)[number]): Omit<Probe, "area"> {
  return {
    name: `a file keeps its inode over ${word}`,
    why: docs,
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount) => {
      const path = `${mount}/dir/file`;
      const before = id(path);
      change(path);
      same(id(path), before, "dev:ino");
    },
  };
}

/** d_ino of an entry. */
function entryIno(dir: string, name: string): bigint {
  const found = new Directory(dir).rest().find((entry) => entry.name === name);
  holds(found !== undefined, `readdir doesn't show ${name}`);
  return found.ino;
}

export const identity = area("identity", [
  ...changes.map(overChange),
  {
    name: "a directory keeps its inode when something is made in it",
    why: docs,
    prepare: (lower) => tree(lower, ["dir/sub/"]),
    run: (mount) => {
      const before = [id(`${mount}/dir`), id(`${mount}/dir/sub`)];
      put(`${mount}/dir/sub/new`);
      same([id(`${mount}/dir`), id(`${mount}/dir/sub`)], before, "dev:ino");
    },
  },
  {
    name: "links, fifos and devices keep their inodes over chown",
    why: docs,
    needs: ["privilege"],
    prepare: (lower) => {
      fs.symlinkSync("target", `${lower}/link`);
      makeNode(`${lower}/fifo`, S_IFIFO | 0o644);
      makeNode(`${lower}/device`, S_IFCHR | 0o644, 1, 3);
    },
    run: (mount) => {
      for (const name of ["link", "fifo", "device"]) {
        const before = id(`${mount}/${name}`);
        fs.lchownSync(`${mount}/${name}`, 5, 6);
        same(id(`${mount}/${name}`), before, name);
      }
    },
  },
  {
    name: "a file keeps its inode over rename",
    why: "rename(2): the file is the same one",
    prepare: (lower) => tree(lower, ["a", "dir/"]),
    run: (mount) => {
      const before = id(`${mount}/a`);
      fs.renameSync(`${mount}/a`, `${mount}/b`);
      same(id(`${mount}/b`), before, "in the same directory");
      fs.renameSync(`${mount}/b`, `${mount}/dir/c`);
      same(id(`${mount}/dir/c`), before, "in another one");
    },
  },
  {
    name: "a directory keeps its inode over rename",
    why: "rename(2): the directory is the same one",
    prepare: (lower) => tree(lower, ["dir/", "dir/file", "other/"]),
    run: (mount) => {
      const before = [id(`${mount}/dir`), id(`${mount}/dir/file`)];
      fs.renameSync(`${mount}/dir`, `${mount}/other/moved`);
      same([id(`${mount}/other/moved`), id(`${mount}/other/moved/file`)], before, "dev:ino");
    },
  },
  {
    name: "exchanged files have exchanged their inodes",
    why: "renameat2(2), RENAME_EXCHANGE",
    prepare: (lower) => tree(lower, ["a", "b"]),
    run: (mount) => {
      const [a, b] = [id(`${mount}/a`), id(`${mount}/b`)];
      rename2(`${mount}/a`, `${mount}/b`, EXCHANGE);
      same([id(`${mount}/a`), id(`${mount}/b`)], [b, a], "dev:ino");
    },
  },
  {
    name: "inode numbers survive a remount",
    why: "overlayfs.rst: persistent st_ino; backup programs and git's index compare it",
    prepare: (lower) => tree(lower, ["dir/", "dir/untouched", "dir/changed", "dir/moved", "old/", "old/file"]),
    run: (mount, place) => {
      append(`${mount}/dir/changed`, "more");
      fs.renameSync(`${mount}/dir/moved`, `${mount}/there`);
      fs.renameSync(`${mount}/old`, `${mount}/dir/new`);
      put(`${mount}/made`);
      const names = ["dir", "dir/untouched", "dir/changed", "there", "dir/new", "dir/new/file", "made"];
      const inos = (): bigint[] => names.map((name) => stat(`${mount}/${name}`).ino);
      const before = inos();
      place.remount();
      for (const [index, ino] of inos().entries()) same(ino, before[index], names[index] ?? "");
    },
  },
  {
    name: "fstat of a descriptor from before copy-up is the file's",
    why: "POSIX fstat: of the file, not of what it was",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      const before = id(fd);
      append(`${mount}/file`, " and new");
      fs.chmodSync(`${mount}/file`, 0o640);
      same(id(fd), before, "dev:ino");
      const [inside, outside] = [fstat(fd), stat(`${mount}/file`)];
      same(
        [inside.size, inside.mode, inside.mtimeNs],
        [outside.size, outside.mode, outside.mtimeNs],
        "size, mode, mtime",
      );
    },
  },
  {
    name: "d_ino is st_ino of files and directories from below",
    why: "overlayfs.rst: st_ino == d_ino; find and nftw compare them",
    prepare: (lower) => {
      tree(lower, ["dir/", "dir/file", "dir/sub/"]);
      fs.symlinkSync("x", `${lower}/dir/link`);
    },
    run: (mount) => {
      for (const { name, ino } of entries(`${mount}/dir`)) same(ino, stat(`${mount}/dir/${name}`).ino, name);
    },
  },
  {
    name: "d_ino is st_ino after copy-up, rename and in merged directories",
    why: "overlayfs.rst: st_ino == d_ino",
    prepare: (lower, { bottom }) => {
      tree(lower, ["dir/", "dir/copied", "dir/moved", "dir/sub/"]);
      tree(bottom, ["dir/", "dir/below", "dir/sub/", "dir/sub/x"]);
    },
    run: (mount) => {
      append(`${mount}/dir/copied`, "x");
      put(`${mount}/dir/new`);
      fs.renameSync(`${mount}/dir/moved`, `${mount}/dir/there`);
      fs.renameSync(`${mount}/dir/sub`, `${mount}/dir/sub2`);
      for (const { name, ino } of entries(`${mount}/dir`)) same(ino, stat(`${mount}/dir/${name}`).ino, name);
    },
  },
  {
    name: "d_ino of . and .. are the directories' own",
    why: "getcwd by hand, find -xdev and fts(3) climb by them",
    prepare: (lower, { bottom }) => {
      tree(lower, ["dir/sub/"]);
      tree(bottom, ["dir/sub/", "dir/sub/x"]);
    },
    run: (mount) => {
      const check = (when: string): void => {
        same(entryIno(`${mount}/dir/sub`, "."), stat(`${mount}/dir/sub`).ino, `. ${when}`);
        same(entryIno(`${mount}/dir/sub`, ".."), stat(`${mount}/dir`).ino, `.. ${when}`);
      };
      check("from below");
      put(`${mount}/dir/sub/new`);
      check("after copy-up");
    },
  },
  {
    name: "d_ino of .. follows a directory that is moved",
    why: "rename(2) of a directory changes its parent",
    prepare: (lower) => tree(lower, ["dir/", "dir/file", "other/"]),
    run: (mount) => {
      entryIno(`${mount}/dir`, "..");
      fs.renameSync(`${mount}/dir`, `${mount}/other/dir`);
      same(entryIno(`${mount}/other/dir`, ".."), stat(`${mount}/other`).ino, "..");
      same(stat(`${mount}/other/dir/..`).ino, stat(`${mount}/other`).ino, "stat of ..");
    },
  },
  {
    name: "everything has one st_dev",
    why: "overlayfs.rst: uniform st_dev; find -xdev, tar --one-file-system, rm --one-file-system",
    needs: ["privilege"],
    prepare: (lower) => {
      tree(lower, ["dir/", "dir/file", "copied"]);
      fs.symlinkSync("x", `${lower}/link`);
      makeNode(`${lower}/fifo`, S_IFIFO | 0o644);
    },
    run: (mount) => {
      append(`${mount}/copied`, "x");
      put(`${mount}/new`);
      const { dev } = stat(mount);
      for (const name of ["dir", "dir/file", "copied", "link", "fifo", "new"])
        same(stat(`${mount}/${name}`).dev, dev, name);
    },
  },
  {
    name: "everything has one st_dev, whatever the layers lie on",
    why: "overlayfs.rst, xino",
    arrangement: "apart",
    prepare: (lower, { bottom }) => {
      tree(lower, ["dir/", "dir/file"]);
      tree(bottom, ["below/", "below/file"]);
    },
    run: (mount) => {
      put(`${mount}/new`);
      const { dev } = stat(mount);
      for (const name of ["dir", "dir/file", "below", "below/file", "new"])
        same(stat(`${mount}/${name}`).dev, dev, name);
    },
  },
  {
    name: "two files never have one inode number, whatever the layers lie on",
    why: "overlayfs.rst, xino: numbers of several file systems meet; tar and du would take them for hard links",
    arrangement: "apart",
    prepare: (lower, { bottom }) => {
      tree(lower, ["a1", "a2", "a3", "da/", "da/x"]);
      tree(bottom, ["b1", "b2", "b3", "db/", "db/x"]);
    },
    run: (mount) => {
      tree(mount, ["c1", "c2", "c3", "dc/", "dc/x"]);
      const names = [
        "a1",
        "a2",
        "a3",
        "da",
        "da/x",
        "b1",
        "b2",
        "b3",
        "db",
        "db/x",
        "c1",
        "c2",
        "c3",
        "dc",
        "dc/x",
        ".",
      ];
      const ids = names.map((name) => id(`${mount}/${name}`));
      same(new Set(ids).size, names.length, "different inodes");
    },
  },
  {
    name: "inodes stay over copy-up and remount with layers on different file systems",
    why: "overlayfs.rst, xino: persistent where the layers have file handles",
    arrangement: "apart",
    prepare: (lower) => tree(lower, ["file", "dir/", "dir/x"]),
    run: (mount, place) => {
      const names = ["file", "dir", "dir/x"];
      const inos = (): bigint[] => names.map((name) => stat(`${mount}/${name}`).ino);
      const before = inos();
      append(`${mount}/file`, "x");
      append(`${mount}/dir/x`, "x");
      same(inos(), before, "after copy-up");
      place.remount();
      same(inos(), before, "after remount");
    },
  },
  {
    name: "st_dev is what mountinfo says",
    why: "proc_pid_mountinfo(5): tools find a file's mount by it",
    prepare: (lower) => tree(lower, ["file"]),
    run: (mount) => {
      const { dev } = stat(`${mount}/file`);
      const words = sh(`findmnt --noheadings --output MAJ:MIN --target '${mount}'`).trim();
      const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
      const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
      same(`${major}:${minor}`, words, "major:minor");
    },
  },
  {
    name: "/proc/PID/maps names device and inode as stat does",
    why: "proc_pid_maps(5); perf, gdb and lsof look files up by it",
    prepare: (lower) => put(`${lower}/file`, "x".repeat(5000)),
    run: (mount) => {
      const mapping = map(open(`${mount}/file`), "read");
      const line = text("/proc/self/maps")
        .split("\n")
        .find((line) => line.startsWith(mapping.address.toString(16)));
      const [, , , device = "", ino = ""] = line?.split(/\s+/) ?? [];
      const { dev, ino: wanted } = stat(`${mount}/file`);
      const [major = "", minor = ""] = device.split(":");
      const packed =
        (BigInt(`0x${major}`) << 8n) | (BigInt(`0x${minor}`) & 0xffn) | ((BigInt(`0x${minor}`) & ~0xffn) << 12n);
      same([ino, packed], [String(wanted), dev], "inode, device");
      same(line?.trimEnd().endsWith(`${mount}/file`), true, "its path");
    },
  },
  {
    name: "inotify's fdinfo names the inode as stat does",
    why: "overlayfs.rst: d_ino == i_ino; CRIU and inotify-info look it up",
    prepare: (lower) => put(`${lower}/file`),
    run: async (mount) => {
      const { Watcher } = await import("../kit/notify.ts");
      const watcher = new Watcher().watch(`${mount}/file`);
      const ino = / ino:([0-9a-f]+)/.exec(text(`/proc/self/fdinfo/${watcher.fd}`))?.[1] ?? "";
      same(BigInt(`0x${ino}`), stat(`${mount}/file`).ino, "ino");
    },
  },
  {
    name: "a name that is used anew while the old file is open gets another inode",
    why: "POSIX: an open file lives on; its number isn't free",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      const before = id(fd);
      fs.unlinkSync(`${mount}/file`);
      put(`${mount}/file`, "new");
      differ(id(`${mount}/file`), before, "the new file's dev:ino and the old one's");
      same(id(fd), before, "the open file's dev:ino");
    },
  },
  {
    name: "the numbers of links of a directory are 1, or right",
    why: "find and fts(3) take 1 for unknown, and anything else for 2 + subdirectories",
    prepare: (lower, { bottom }) => {
      tree(lower, ["dir/a/", "dir/b/", "plain/a/", "plain/b/"]);
      tree(bottom, ["dir/c/"]);
    },
    run: (mount) => {
      const check = (name: string, subdirectories: bigint): void => {
        const { nlink } = stat(`${mount}/${name}`);
        holds(
          nlink === 1n || nlink === 2n + subdirectories,
          `${name} has ${nlink} links and ${subdirectories} subdirectories`,
        );
      };
      check("dir", 3n);
      check("plain", 2n);
      fs.mkdirSync(`${mount}/plain/new`);
      fs.rmdirSync(`${mount}/dir/a`);
      fs.mkdirSync(`${mount}/made`);
      fs.mkdirSync(`${mount}/made/sub`);
      for (const [name, count] of [
        ["plain", 3n],
        ["dir", 2n],
        ["made", 1n],
      ] as const)
        check(name, count);
    },
  },
  {
    name: "du counts the same before and after chmod",
    why: "st_blocks is of the file's content, wherever it lies",
    prepare: (lower) => put(`${lower}/file`, "x".repeat(200_000)),
    run: (mount) => {
      const before = stat(`${mount}/file`).blocks;
      fs.chmodSync(`${mount}/file`, 0o600);
      same(stat(`${mount}/file`).blocks, before, "st_blocks");
      same(stat(`${mount}/file`).size, 200_000n, "st_size");
    },
  },
  {
    name: "a descriptor from before copy-up and one from after are the same file",
    why: "cp, mv and diff compare dev:ino of open files",
    prepare: (lower) => put(`${lower}/file`, "x"),
    run: (mount) => {
      const [before, after] = [open(`${mount}/file`), open(`${mount}/file`, O.RDWR)];
      same(id(after), id(before), "dev:ino");
      same(id(`${mount}/file`), id(before), "dev:ino of the name");
    },
  },
]);
