import * as fs from "node:fs";
import { fails, holds, same } from "../kit/assert.ts";
import {
  append,
  exists,
  EXCHANGE,
  id,
  list,
  makeNode,
  NOREPLACE,
  open,
  put,
  read,
  rename2,
  S_IFIFO,
  stat,
  text,
  tree,
  WHITEOUT,
} from "../kit/files.ts";
import { ended, start } from "../kit/program.ts";
import { area } from "../probe.ts";

const docs = "overlayfs.rst, renaming directories: EXDEV by default";

/** All paths below, with the content of files. */
function dump(top: string, below = ""): string[] {
  return list(`${top}${below}`).flatMap((name) => {
    const path = `${below}/${name}`;
    const stats = fs.lstatSync(`${top}${path}`);
    if (stats.isDirectory()) return [`${path}/`, ...dump(top, path)];
    return [stats.isFile() ? `${path}=${text(`${top}${path}`)}` : path];
  });
}

export const renaming = area("rename", [
  {
    name: "a directory from below moves with all that is in it",
    why: docs,
    prepare: (lower) => tree(lower, ["dir/sub/deep/", "dir/file", "dir/sub/deep/file", "other/"]),
    run: (mount, place) => {
      const check = (when: string): void => {
        same(
          dump(mount),
          [
            "/other/",
            "/other/moved/",
            "/other/moved/file=dir/file",
            "/other/moved/sub/",
            "/other/moved/sub/deep/",
            "/other/moved/sub/deep/file=dir/sub/deep/file",
          ],
          when,
        );
      };
      fs.renameSync(`${mount}/dir`, `${mount}/there`);
      fs.renameSync(`${mount}/there`, `${mount}/other/moved`);
      check("after two renames");
      place.remount();
      check("after remount");
    },
  },
  {
    name: "a directory that merges several layers moves with all that is in it",
    why: docs,
    prepare: (lower, { bottom }) => {
      tree(lower, ["dir/sub/", "dir/sub/top", "dir/a"]);
      tree(bottom, ["dir/sub/", "dir/sub/low", "dir/b"]);
    },
    run: (mount, place) => {
      put(`${mount}/dir/c`, "c");
      fs.unlinkSync(`${mount}/dir/sub/low`);
      fs.renameSync(`${mount}/dir/sub`, `${mount}/sub2`);
      fs.renameSync(`${mount}/dir`, `${mount}/dir2`);
      const wanted = ["/dir2/", "/dir2/a=dir/a", "/dir2/b=dir/b", "/dir2/c=c", "/sub2/", "/sub2/top=dir/sub/top"];
      same(dump(mount), wanted, "after renames");
      place.remount();
      same(dump(mount), wanted, "after remount");
    },
  },
  {
    name: "a directory's old name can be used anew, and is empty",
    why: "what lies below must not shine through",
    prepare: (lower) => tree(lower, ["dir/sub/", "dir/file"]),
    run: (mount, place) => {
      fs.renameSync(`${mount}/dir`, `${mount}/moved`);
      same(exists(`${mount}/dir`), false, "the old name is there");
      fs.mkdirSync(`${mount}/dir`);
      same(list(`${mount}/dir`), [], "entries");
      put(`${mount}/dir/new`, "new");
      place.remount();
      same(dump(mount), ["/dir/", "/dir/new=new", "/moved/", "/moved/file=dir/file", "/moved/sub/"], "after remount");
    },
  },
  {
    name: "directories that take each other's names",
    why: "mv a t; mv b a; mv t b",
    prepare: (lower) => tree(lower, ["a/", "a/one", "b/", "b/two"]),
    run: (mount, place) => {
      fs.renameSync(`${mount}/a`, `${mount}/t`);
      fs.renameSync(`${mount}/b`, `${mount}/a`);
      fs.renameSync(`${mount}/t`, `${mount}/b`);
      const wanted = ["/a/", "/a/two=b/two", "/b/", "/b/one=a/one"];
      same(dump(mount), wanted, "after renames");
      put(`${mount}/a/three`, "three");
      fs.unlinkSync(`${mount}/b/one`);
      place.remount();
      same(dump(mount), ["/a/", "/a/three=three", "/a/two=b/two", "/b/"], "after remount");
    },
  },
  {
    name: "a directory over an empty one, and not over a full one",
    why: "POSIX rename()",
    prepare: (lower) => tree(lower, ["dir/", "dir/file", "empty/", "full/", "full/file"]),
    run: (mount, place) => {
      fails("ENOTEMPTY", () => fs.renameSync(`${mount}/dir`, `${mount}/full`), "over a full one");
      fs.renameSync(`${mount}/dir`, `${mount}/empty`);
      fs.unlinkSync(`${mount}/full/file`);
      fs.renameSync(`${mount}/empty`, `${mount}/full`);
      same(dump(mount), ["/full/", "/full/file=dir/file"], "after renames");
      place.remount();
      same(dump(mount), ["/full/", "/full/file=dir/file"], "after remount");
    },
  },
  {
    name: "what may not be: into itself, over another kind, of the root, of what isn't there",
    why: "POSIX rename(), ERRORS",
    prepare: (lower) => tree(lower, ["dir/sub/", "file", "empty/"]),
    run: (mount) => {
      fails("EINVAL", () => fs.renameSync(`${mount}/dir`, `${mount}/dir/sub/x`), "into itself");
      fails("ENOTDIR", () => fs.renameSync(`${mount}/dir`, `${mount}/file`), "a directory over a file");
      fails("EISDIR", () => fs.renameSync(`${mount}/file`, `${mount}/empty`), "a file over a directory");
      fails("ENOENT", () => fs.renameSync(`${mount}/none`, `${mount}/x`), "of what isn't there");
      fails(["EBUSY", "EINVAL"], () => fs.renameSync(`${mount}/dir/.`, `${mount}/x`), "of .");
      fails(
        ["ENOTEMPTY", "EEXIST", "EINVAL"],
        () => fs.renameSync(`${mount}/dir/sub`, `${mount}/dir`),
        "over its own parent",
      );
      fails(
        "ENAMETOOLONG",
        () => fs.renameSync(`${mount}/file`, `${mount}/${"n".repeat(256)}`),
        "to a name of 256 bytes",
      );
      same(dump(mount), ["/dir/", "/dir/sub/", "/empty/", "/file=file"], "after all");
    },
  },
  {
    name: "files from below, links, fifos, to new names and over others",
    why: "POSIX rename()",
    prepare: (lower) => {
      tree(lower, ["a", "b", "dir/", "dir/c"]);
      fs.symlinkSync("target", `${lower}/link`);
      makeNode(`${lower}/fifo`, S_IFIFO | 0o640);
    },
    run: (mount, place) => {
      fs.renameSync(`${mount}/a`, `${mount}/b`);
      fs.renameSync(`${mount}/b`, `${mount}/dir/c`);
      fs.renameSync(`${mount}/link`, `${mount}/dir/link`);
      fs.renameSync(`${mount}/fifo`, `${mount}/dir/fifo`);
      const check = (): void => {
        same(dump(mount), ["/dir/", "/dir/c=a", "/dir/fifo", "/dir/link"], "tree");
        same(fs.readlinkSync(`${mount}/dir/link`), "target", "link");
        same(Number(stat(`${mount}/dir/fifo`).mode), S_IFIFO | 0o640, "fifo's mode");
      };
      check();
      place.remount();
      check();
    },
  },
  {
    name: "to its own name does nothing",
    why: "POSIX rename()",
    prepare: (lower) => tree(lower, ["file", "dir/", "dir/x"]),
    run: (mount) => {
      fs.renameSync(`${mount}/file`, `${mount}/file`);
      fs.renameSync(`${mount}/dir`, `${mount}/dir`);
      same(dump(mount), ["/dir/", "/dir/x=dir/x", "/file=file"], "tree");
    },
  },
  {
    name: "NOREPLACE refuses a name that is there, below or above, and takes one that was removed",
    why: "renameat2(2), RENAME_NOREPLACE",
    prepare: (lower) => tree(lower, ["a", "below", "gone", "dir/"]),
    run: (mount, place) => {
      put(`${mount}/above`);
      fs.unlinkSync(`${mount}/gone`);
      for (const name of ["below", "above", "dir"]) {
        fails("EEXIST", () => rename2(`${mount}/a`, `${mount}/${name}`, NOREPLACE), `over ${name}`);
      }
      rename2(`${mount}/a`, `${mount}/gone`, NOREPLACE);
      rename2(`${mount}/dir`, `${mount}/moved`, NOREPLACE);
      place.remount();
      same(list(mount), ["above", "below", "gone", "moved"], "names");
      same(text(`${mount}/gone`), "a", "content");
    },
  },
  {
    name: "EXCHANGE of files, below and above",
    why: "renameat2(2), RENAME_EXCHANGE",
    prepare: (lower) => tree(lower, ["a", "b", "dir/", "dir/c"]),
    run: (mount, place) => {
      put(`${mount}/new`, "new");
      rename2(`${mount}/a`, `${mount}/b`, EXCHANGE);
      rename2(`${mount}/dir/c`, `${mount}/new`, EXCHANGE);
      const wanted = ["/a=b", "/b=a", "/dir/", "/dir/c=new", "/new=dir/c"];
      same(dump(mount), wanted, "after exchanges");
      place.remount();
      same(dump(mount), wanted, "after remount");
    },
  },
  {
    name: "EXCHANGE of directories from below, and of one with a file",
    why: "renameat2(2), RENAME_EXCHANGE",
    prepare: (lower) => tree(lower, ["a/", "a/one", "b/", "b/two", "file", "sub/deep/", "sub/deep/x"]),
    run: (mount, place) => {
      rename2(`${mount}/a`, `${mount}/b`, EXCHANGE);
      rename2(`${mount}/sub/deep`, `${mount}/file`, EXCHANGE);
      const wanted = [
        "/a/",
        "/a/two=b/two",
        "/b/",
        "/b/one=a/one",
        "/file/",
        "/file/x=sub/deep/x",
        "/sub/",
        "/sub/deep=file",
      ];
      same(dump(mount), wanted, "after exchanges");
      place.remount();
      same(dump(mount), wanted, "after remount");
    },
  },
  {
    name: "EXCHANGE refuses what isn't there, and a directory with what is in it",
    why: "renameat2(2), ERRORS",
    prepare: (lower) => tree(lower, ["a", "dir/sub/"]),
    run: (mount) => {
      fails("ENOENT", () => rename2(`${mount}/a`, `${mount}/none`, EXCHANGE), "with what isn't there");
      fails("EINVAL", () => rename2(`${mount}/dir`, `${mount}/dir/sub`, EXCHANGE), "with what is in it");
      fails("EINVAL", () => rename2(`${mount}/a`, `${mount}/b`, EXCHANGE | NOREPLACE), "with NOREPLACE");
      fails("EINVAL", () => rename2(`${mount}/a`, `${mount}/b`, 64), "an unknown flag");
    },
  },
  {
    name: "WHITEOUT leaves a device 0:0 behind",
    why: "renameat2(2), RENAME_WHITEOUT: what a union on top of this one needs",
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["a"]),
    run: (mount, place) => {
      put(`${mount}/new`, "new");
      const check = (): void => {
        for (const name of ["a", "new"]) {
          const { mode, rdev } = stat(`${mount}/${name}`);
          same([Number(mode & 0o170000n), rdev], [0o020000, 0n], `type and device of ${name}`);
        }
        same([text(`${mount}/b`), text(`${mount}/new2`)], ["a", "new"], "contents");
        same(list(mount), ["a", "b", "new", "new2"], "names");
      };
      rename2(`${mount}/a`, `${mount}/b`, WHITEOUT);
      fails("EEXIST", () => rename2(`${mount}/new`, `${mount}/b`, WHITEOUT | NOREPLACE), "over a name that is there");
      rename2(`${mount}/new`, `${mount}/new2`, WHITEOUT | NOREPLACE);
      check();
      place.remount();
      check();
    },
  },
  {
    name: "a moved directory's parents change times, it keeps its own",
    why: "POSIX rename(): the parents' mtime and ctime",
    prepare: (lower) => {
      tree(lower, ["from/dir/", "to/"]);
      for (const name of ["from/dir", "from", "to"]) fs.utimesSync(`${lower}/${name}`, 1000, 1000);
    },
    run: (mount) => {
      const before = stat(`${mount}/from/dir`).ctimeNs;
      fs.renameSync(`${mount}/from/dir`, `${mount}/to/dir`);
      same(stat(`${mount}/to/dir`).mtimeNs, 1_000_000_000_000n, "its mtime");
      holds(stat(`${mount}/to/dir`).ctimeNs >= before, "its ctime goes back");
      for (const name of ["from", "to"])
        holds(stat(`${mount}/${name}`).mtimeNs > 1_000_000_000_000n, `mtime of ${name} stays`);
    },
  },
  {
    name: "deep trees and long chains of renames",
    why: "redirects of redirects",
    deadlineSeconds: 30,
    prepare: (lower) => tree(lower, ["d/".repeat(40), `${"d/".repeat(40)}file`]),
    run: (mount, place) => {
      let path = mount;
      for (let depth = 0; depth < 40; depth++) {
        fs.renameSync(`${path}/d`, `${path}/e${depth}`);
        path += `/e${depth}`;
      }
      const wanted = `${"d/".repeat(40)}file`;
      same(text(`${path}/file`), wanted, "content");
      place.remount();
      same(text(`${path}/file`), wanted, "content after remount");
      for (let times = 0; times < 30; times++)
        fs.renameSync(`${mount}/${times === 0 ? "e0" : `r${times - 1}`}`, `${mount}/r${times}`);
      place.remount();
      same(text(path.replace("/e0", "/r29").concat("/file")), wanted, "content after more renames");
    },
  },
  {
    name: "who opens a file that is replaced again and again always finds it",
    why: "POSIX rename(): there is no moment without the name",
    deadlineSeconds: 30,
    prepare: (lower) => put(`${lower}/file`, "0"),
    run: async (mount) => {
      const script = `i=1; while [ $i -le 150 ]; do echo $i >'${mount}/new'; mv '${mount}/new' '${mount}/file'; i=$((i+1)); done`;
      const child = start(["sh", "-euc", script]);
      const end = ended(child);
      while (child.exitCode === null) {
        for (let i = 0; i < 50; i++) holds(text(`${mount}/file`) !== "", "the file is empty");
        await new Promise((wake) => setImmediate(wake));
      }
      same(await end, 0, "mv's status");
      same(text(`${mount}/file`), "150\n", "content");
    },
  },
  {
    name: "an open file's name in /proc follows",
    why: "proc_pid_fd(5)",
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount) => {
      const fd = open(`${mount}/dir/file`);
      fs.renameSync(`${mount}/dir/file`, `${mount}/moved`);
      same(fs.readlinkSync(`/proc/self/fd/${fd}`), `${mount}/moved`, "name");
      append(`${mount}/moved`, "+");
      same(read(fd), "dir/file+", "content");
      same(id(fd), id(`${mount}/moved`), "dev:ino");
    },
  },
  {
    name: "directories whose names hold any bytes",
    why: "a redirect is a path: colons, commas, newlines, bytes that aren't UTF-8",
    prepare: (lower) => {
      for (const name of oddNames) {
        fs.mkdirSync(Buffer.concat([Buffer.from(`${lower}/`), name]));
        put(Buffer.concat([Buffer.from(`${lower}/`), name, Buffer.from("/file")]), name);
      }
    },
    run: (mount, place) => {
      for (const [index, name] of oddNames.entries())
        fs.renameSync(Buffer.concat([Buffer.from(`${mount}/`), name]), `${mount}/n${index}`);
      place.remount();
      for (const [index, name] of oddNames.entries()) {
        same(
          fs.readFileSync(`${mount}/n${index}/file`).toString("latin1"),
          name.toString("latin1"),
          `content of ${index}`,
        );
        fs.renameSync(`${mount}/n${index}`, Buffer.concat([Buffer.from(`${mount}/again`), name]));
      }
      same(list(mount).length, oddNames.length, "names");
    },
  },
]);

const oddNames = ["a:b", "a,b", "a\\b", "a\nb", "a b", "\xff\xfe", "a\x01\x7f", "-a", "~", "\u00e9".repeat(100)].map(
  (name) => Buffer.from(name, "latin1"),
);
