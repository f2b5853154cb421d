import * as fs from "node:fs";
import { differ, fails, holds, same } from "../kit/assert.ts";
import {
  append,
  close,
  exists,
  fstat,
  id,
  list,
  makeNode,
  open,
  O,
  put,
  read,
  S_IFIFO,
  stat,
  text,
  tree,
} from "../kit/files.ts";
import { sh } from "../kit/program.ts";
import { getXattr, setXattr } from "../kit/xattr.ts";
import { area } from "../probe.ts";

const docs = "overlayfs.rst, index: copy-up of one name breaks hard links";

/** a, b and dir/c: one file. */
function prepareLinks(lower: string): void {
  put(`${lower}/a`, "old");
  fs.mkdirSync(`${lower}/dir`);
  fs.linkSync(`${lower}/a`, `${lower}/b`);
  fs.linkSync(`${lower}/a`, `${lower}/dir/c`);
}

const names = ["a", "b", "dir/c"];

/** All names of one file, and so many. */
function checkOne(mount: string, names: readonly string[], nlink: number, content: string): void {
  const first = names[0] ?? "";
  for (const name of names) {
    same(id(`${mount}/${name}`), id(`${mount}/${first}`), `dev:ino of ${name} and ${first}`);
    same(stat(`${mount}/${name}`).nlink, nlink, `links of ${name}`);
    same(text(`${mount}/${name}`), content, `content of ${name}`);
  }
}

export const links = area("hard links", [
  {
    name: "names of one file from below are one file",
    why: "POSIX link(); tar, rsync -H and dpkg tell links by dev:ino and st_nlink",
    prepare: prepareLinks,
    run: (mount) => checkOne(mount, names, 3, "old"),
  },
  {
    name: "what is written under one name shows under all",
    why: docs,
    prepare: prepareLinks,
    run: (mount) => {
      checkOne(mount, names, 3, "old");
      append(`${mount}/b`, " new");
      checkOne(mount, names, 3, "old new");
      append(`${mount}/dir/c`, " newer");
      checkOne(mount, names, 3, "old new newer");
    },
  },
  {
    name: "what is written under one name shows under names that nobody has looked at",
    why: docs,
    prepare: prepareLinks,
    run: (mount) => {
      append(`${mount}/b`, " new");
      checkOne(mount, ["dir/c", "a", "b"], 3, "old new");
    },
  },
  {
    name: "links are one file after a remount too",
    why: docs,
    prepare: prepareLinks,
    run: (mount, place) => {
      const ino = stat(`${mount}/a`).ino;
      append(`${mount}/dir/c`, " new");
      place.remount();
      checkOne(mount, names, 3, "old new");
      same(stat(`${mount}/b`).ino, ino, "st_ino");
      append(`${mount}/a`, "er");
      place.remount();
      checkOne(mount, ["b", "dir/c", "a"], 3, "old newer");
    },
  },
  {
    name: "mode, owner, times and attributes are changed under all names",
    why: docs,
    prepare: prepareLinks,
    run: (mount) => {
      fs.chmodSync(`${mount}/a`, 0o640);
      fs.chownSync(`${mount}/b`, 3, 4);
      fs.utimesSync(`${mount}/dir/c`, 5, 6);
      setXattr(`${mount}/a`, "user.x", "y");
      for (const name of names) {
        const { mode, uid, gid, mtimeNs } = stat(`${mount}/${name}`);
        same([mode & 0o7777n, uid, gid, mtimeNs], [0o640n, 3n, 4n, 6_000_000_000n], name);
        same(getXattr(`${mount}/${name}`, "user.x").toString(), "y", `user.x of ${name}`);
      }
      checkOne(mount, names, 3, "old");
    },
  },
  {
    name: "a descriptor of one name reads what is written under another",
    why: docs,
    prepare: prepareLinks,
    run: (mount) => {
      const fd = open(`${mount}/a`);
      same(read(fd), "old", "before");
      append(`${mount}/b`, " new");
      same(read(fd), "old new", "after");
      same(fstat(fd).nlink, 3n, "links");
    },
  },
  {
    name: "removing names counts links down",
    why: "POSIX unlink()",
    prepare: prepareLinks,
    run: (mount, place) => {
      fs.unlinkSync(`${mount}/a`);
      checkOne(mount, ["b", "dir/c"], 2, "old");
      place.remount();
      checkOne(mount, ["dir/c", "b"], 2, "old");
      fs.unlinkSync(`${mount}/dir/c`);
      checkOne(mount, ["b"], 1, "old");
      place.remount();
      checkOne(mount, ["b"], 1, "old");
      fs.unlinkSync(`${mount}/b`);
      same(list(mount), ["dir"], "what is left");
    },
  },
  {
    name: "removing names counts links down after a write",
    why: "POSIX unlink()",
    prepare: prepareLinks,
    run: (mount, place) => {
      append(`${mount}/b`, " new");
      fs.unlinkSync(`${mount}/b`);
      checkOne(mount, ["a", "dir/c"], 2, "old new");
      place.remount();
      checkOne(mount, ["a", "dir/c"], 2, "old new");
    },
  },
  {
    name: "an open file whose names are all removed has no links",
    why: "POSIX unlink()",
    prepare: prepareLinks,
    run: (mount) => {
      const fd = open(`${mount}/a`, O.RDWR);
      for (const [index, name] of names.entries()) {
        fs.unlinkSync(`${mount}/${name}`);
        same(fstat(fd).nlink, 2 - index, `links after ${index + 1}`);
      }
      same(read(fd), "old", "content");
    },
  },
  {
    name: "link() adds a name to a file from below",
    why: "POSIX link()",
    prepare: (lower) => tree(lower, ["file", "dir/"]),
    run: (mount, place) => {
      const before = id(`${mount}/file`);
      fs.linkSync(`${mount}/file`, `${mount}/dir/link`);
      checkOne(mount, ["file", "dir/link"], 2, "file");
      same(id(`${mount}/dir/link`), before, "dev:ino");
      append(`${mount}/dir/link`, "+");
      checkOne(mount, ["file", "dir/link"], 2, "file+");
      place.remount();
      checkOne(mount, ["file", "dir/link"], 2, "file+");
    },
  },
  {
    name: "link() adds a name to a file that has several",
    why: "POSIX link()",
    prepare: prepareLinks,
    run: (mount, place) => {
      fs.linkSync(`${mount}/dir/c`, `${mount}/d`);
      checkOne(mount, [...names, "d"], 4, "old");
      append(`${mount}/d`, "+");
      place.remount();
      checkOne(mount, [...names, "d"], 4, "old+");
    },
  },
  {
    name: "link() of an open file that was copied up adds a name to the same file",
    why: "POSIX link()",
    prepare: (lower) => tree(lower, ["file"]),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      fs.linkSync(`${mount}/file`, `${mount}/link`);
      same(fstat(fd).nlink, 2n, "links of the descriptor's");
      append(`${mount}/link`, "+");
      same(read(fd), "file+", "content");
    },
  },
  {
    name: "link() in a directory that was moved, by a name that was never used, of a file whose attributes changed",
    why: "POSIX link(): the new name is that file, content and all",
    prepare: prepareLinks,
    run: (mount, place) => {
      fs.renameSync(`${mount}/dir`, `${mount}/moved`);
      fs.unlinkSync(`${mount}/a`);
      fs.linkSync(`${mount}/b`, `${mount}/moved/new`);
      checkOne(mount, ["b", "moved/c", "moved/new"], 3, "old");
      place.evict();
      checkOne(mount, ["moved/new", "b", "moved/c"], 3, "old");
      place.remount();
      checkOne(mount, ["moved/new", "b", "moved/c"], 3, "old");
    },
  },
  {
    name: "link() of a symbolic link, a fifo, and over what is there",
    why: "POSIX link(): a name that exists is EEXIST; Linux links a symbolic link itself",
    prepare: (lower) => {
      tree(lower, ["file", "other", "dir/"]);
      fs.symlinkSync("file", `${lower}/soft`);
      makeNode(`${lower}/fifo`, S_IFIFO | 0o644);
    },
    run: (mount) => {
      for (const name of ["soft", "fifo"]) {
        fs.linkSync(`${mount}/${name}`, `${mount}/dir/${name}`);
        same(id(`${mount}/dir/${name}`), id(`${mount}/${name}`), name);
        same(stat(`${mount}/${name}`).nlink, 2n, `links of ${name}`);
      }
      same(fs.readlinkSync(`${mount}/dir/soft`), "file", "target");
      fails("EEXIST", () => fs.linkSync(`${mount}/file`, `${mount}/other`), "link over a file");
      fails("EEXIST", () => fs.linkSync(`${mount}/file`, `${mount}/dir`), "link over a directory");
      fails("EPERM", () => fs.linkSync(`${mount}/dir`, `${mount}/dir2`), "link of a directory");
    },
  },
  {
    name: "link() over a name that was removed",
    why: "whiteouts aren't seen",
    prepare: (lower) => tree(lower, ["file", "gone"]),
    run: (mount, place) => {
      fs.unlinkSync(`${mount}/gone`);
      fs.linkSync(`${mount}/file`, `${mount}/gone`);
      checkOne(mount, ["file", "gone"], 2, "file");
      place.remount();
      checkOne(mount, ["file", "gone"], 2, "file");
    },
  },
  {
    name: "rename() of one name over another of the same file does nothing",
    why: "POSIX rename(): both name the same file, so nothing is done",
    prepare: prepareLinks,
    run: (mount) => {
      fs.renameSync(`${mount}/a`, `${mount}/b`);
      checkOne(mount, names, 3, "old");
      append(`${mount}/a`, "+");
      fs.renameSync(`${mount}/dir/c`, `${mount}/b`);
      checkOne(mount, names, 3, "old+");
    },
  },
  {
    name: "rename() of a linked file, and of another over it",
    why: "POSIX rename()",
    prepare: (lower) => {
      prepareLinks(lower);
      put(`${lower}/other`, "other");
    },
    run: (mount, place) => {
      fs.renameSync(`${mount}/a`, `${mount}/dir/moved`);
      checkOne(mount, ["b", "dir/c", "dir/moved"], 3, "old");
      fs.renameSync(`${mount}/other`, `${mount}/b`);
      checkOne(mount, ["dir/c", "dir/moved"], 2, "old");
      same(text(`${mount}/b`), "other", "b");
      append(`${mount}/dir/moved`, "+");
      place.remount();
      checkOne(mount, ["dir/c", "dir/moved"], 2, "old+");
      same(exists(`${mount}/a`), false, "the old name is there");
    },
  },
  {
    name: "links in a directory that is renamed stay links",
    why: "rename(2)",
    prepare: prepareLinks,
    run: (mount, place) => {
      fs.renameSync(`${mount}/dir`, `${mount}/there`);
      append(`${mount}/there/c`, "+");
      checkOne(mount, ["a", "b", "there/c"], 3, "old+");
      place.remount();
      checkOne(mount, ["there/c", "b", "a"], 3, "old+");
    },
  },
  {
    name: "a name that is made anew is another file",
    why: "POSIX",
    prepare: prepareLinks,
    run: (mount, place) => {
      fs.unlinkSync(`${mount}/a`);
      put(`${mount}/a`, "new");
      checkOne(mount, ["b", "dir/c"], 2, "old");
      differ(id(`${mount}/a`), id(`${mount}/b`), "dev:ino");
      same(stat(`${mount}/a`).nlink, 1n, "links");
      place.remount();
      checkOne(mount, ["b", "dir/c"], 2, "old");
      same(text(`${mount}/a`), "new", "content");
    },
  },
  {
    name: "truncating under one name shows under all",
    why: docs,
    prepare: prepareLinks,
    run: (mount) => {
      close(open(`${mount}/b`, O.WRONLY | O.TRUNC));
      checkOne(mount, names, 3, "");
    },
  },
  {
    name: "links in several lower layers",
    why: docs,
    prepare: (lower, { bottom }) => {
      prepareLinks(bottom);
      tree(lower, ["dir/", "x"]);
    },
    run: (mount, place) => {
      checkOne(mount, names, 3, "old");
      append(`${mount}/dir/c`, "+");
      checkOne(mount, names, 3, "old+");
      place.remount();
      checkOne(mount, names, 3, "old+");
    },
  },
  {
    name: "the link count survives when the kernel forgets",
    why: "memory pressure changes nothing that is seen",
    prepare: prepareLinks,
    run: (mount, place) => {
      append(`${mount}/a`, "+");
      fs.linkSync(`${mount}/a`, `${mount}/d`);
      fs.unlinkSync(`${mount}/b`);
      place.evict();
      checkOne(mount, ["d", "dir/c", "a"], 3, "old+");
    },
  },
  {
    name: "tar stores the names of one file once",
    why: "who copies trees depends on it",
    prepare: prepareLinks,
    run: (mount) => {
      append(`${mount}/b`, "+");
      const listed = sh("tar cf - a b dir/c | tar tvf - ", mount).split("\n");
      same(listed.filter((line) => line.includes(" link to ")).length, 2, "links in the archive");
    },
  },
  {
    name: "a hundred links come and go",
    why: "ccache and backup programs have many",
    prepare: (lower) => {
      put(`${lower}/0`, "x");
      for (let i = 1; i < 100; i++) fs.linkSync(`${lower}/0`, `${lower}/${i}`);
    },
    run: (mount, place) => {
      append(`${mount}/50`, "y");
      for (let i = 0; i < 98; i++) fs.unlinkSync(`${mount}/${i}`);
      checkOne(mount, ["98", "99"], 2, "xy");
      place.remount();
      checkOne(mount, ["99", "98"], 2, "xy");
      holds(list(mount).length === 2, "more than two names left");
    },
  },
]);
