import * as fs from "node:fs";
import { fails, holds, same } from "../kit/assert.ts";
import {
  append,
  close,
  exists,
  fstat,
  list,
  makeNode,
  open,
  O,
  put,
  read,
  setTimes,
  stat,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFSOCK,
  text,
  tree,
} from "../kit/files.ts";
import { fallocate } from "../kit/data.ts";
import { ended, sh, start } from "../kit/program.ts";
import { alice, as } from "../kit/user.ts";
import {
  ACCESS_ACL,
  acl,
  capabilities,
  DEFAULT_ACL,
  getXattr,
  listXattrs,
  removeXattr,
  setXattr,
} from "../kit/xattr.ts";
import { area } from "../probe.ts";

const docs = "overlayfs.rst: the object is created with the same metadata";
const T = 1_234_567_890_123_456_789n;

/** What a file says of itself, but for what changes with a change. */
function described(path: string): unknown {
  const { mode, uid, gid, nlink, ino, rdev, size } = stat(path);
  const xattrs = listXattrs(path).map(
    (name) => `${name}=${getXattr(path, Buffer.from(name, "latin1")).toString("latin1")}`,
  );
  const isDirectory = (mode & 0o170000n) === 0o040000n;
  return [mode, uid, gid, isDirectory ? 0n : nlink, ino, rdev, size, xattrs];
}

const userAcl = acl([
  ["owner", 6],
  ["user", 4, 1001],
  ["group", 4],
  ["mask", 4],
  ["other", 0],
]);

export const copyUp = area("copy-up", [
  {
    name: "keeps times to the nanosecond",
    why: docs,
    prepare: (lower) => {
      put(`${lower}/file`, "x");
      fs.symlinkSync("target", `${lower}/link`);
      makeNode(`${lower}/fifo`, S_IFIFO | 0o600);
      tree(lower, ["dir/"]);
      for (const [index, name] of ["file", "link", "fifo", "dir"].entries())
        setTimes(`${lower}/${name}`, T + 1n, T + BigInt(index) * 1001n);
    },
    run: (mount, place) => {
      for (const name of ["file", "link", "fifo", "dir"]) fs.lchownSync(`${mount}/${name}`, 1, 1);
      const check = (): void => {
        for (const [index, name] of ["file", "link", "fifo", "dir"].entries()) {
          same(stat(`${mount}/${name}`).mtimeNs, T + BigInt(index) * 1001n, `mtime of ${name}`);
        }
        same(stat(`${mount}/file`).atimeNs, T + 1n, "atime of file");
      };
      check();
      place.remount();
      check();
    },
  },
  {
    name: "keeps mtime of a file that is opened for writing and not written",
    why: "POSIX open(): only a write changes it",
    prepare: (lower) => {
      put(`${lower}/file`, "x".repeat(10_000));
      setTimes(`${lower}/file`, T, T);
    },
    run: (mount) => {
      close(open(`${mount}/file`, O.RDWR));
      same(stat(`${mount}/file`).mtimeNs, T, "mtime");
      fs.chmodSync(`${mount}/file`, 0o600);
      same(stat(`${mount}/file`).mtimeNs, T, "mtime after chmod");
    },
  },
  {
    name: "keeps owner, mode with all bits, and attributes",
    why: docs,
    needs: ["privilege"],
    prepare: (lower) => {
      put(`${lower}/file`, "content");
      fs.chownSync(`${lower}/file`, 12, 34);
      fs.chmodSync(`${lower}/file`, 0o7751);
      setXattr(`${lower}/file`, "user.a", "b");
      setXattr(`${lower}/file`, "user.empty", "");
      setXattr(`${lower}/file`, "trusted.t", Buffer.from([0, 255, 10]));
      setXattr(`${lower}/file`, "user.large", "v".repeat(1000));
      setXattr(`${lower}/file`, Buffer.from("user.\xff\xfe\x01", "latin1"), "odd");
      setXattr(`${lower}/file`, "security.capability", capabilities(10));
    },
    run: (mount, place) => {
      const before = described(`${mount}/file`);
      fs.utimesSync(`${mount}/file`, 1, 1);
      same(described(`${mount}/file`), before, "after utimes");
      close(open(`${mount}/file`, O.RDWR));
      same(described(`${mount}/file`), before, "after opening for writing");
      place.remount();
      same(described(`${mount}/file`), before, "after remount");
      same(text(`${mount}/file`), "content", "content");
    },
  },
  {
    name: "keeps ACLs of files and directories",
    why: docs,
    prepare: (lower) => {
      tree(lower, ["file", "dir/", "dir/sub/"]);
      setXattr(`${lower}/file`, ACCESS_ACL, userAcl);
      setXattr(`${lower}/dir`, ACCESS_ACL, userAcl);
      setXattr(`${lower}/dir`, DEFAULT_ACL, userAcl);
    },
    run: (mount, place) => {
      append(`${mount}/file`, "+");
      put(`${mount}/dir/sub/new`);
      const check = (): void => {
        for (const name of ["file", "dir"]) same(getXattr(`${mount}/${name}`, ACCESS_ACL), userAcl, `ACL of ${name}`);
        same(getXattr(`${mount}/dir`, DEFAULT_ACL), userAcl, "default ACL of dir");
        same(listXattrs(`${mount}/dir/sub`), [], "attributes of sub, which had none");
      };
      check();
      place.remount();
      check();
    },
  },
  {
    name: "keeps attributes of all directories on the way",
    why: docs,
    needs: ["privilege"],
    prepare: (lower) => {
      tree(lower, ["a/b/c/", "a/b/c/file"]);
      for (const [index, name] of ["a/b/c", "a/b", "a"].entries()) {
        fs.chownSync(`${lower}/${name}`, index + 1, index + 2);
        fs.chmodSync(`${lower}/${name}`, 0o3700 + index);
        setXattr(`${lower}/${name}`, "user.n", String(index));
        setXattr(`${lower}/${name}`, "trusted.n", String(index));
        setTimes(`${lower}/${name}`, T, T + BigInt(index));
      }
    },
    run: (mount, place) => {
      const names = ["a", "a/b", "a/b/c"];
      const shown = (): unknown[] =>
        names.flatMap((name) => [described(`${mount}/${name}`), stat(`${mount}/${name}`).mtimeNs]);
      const before = shown();
      append(`${mount}/a/b/c/file`, "+");
      same(shown(), before, "after copy-up of a file in them");
      place.remount();
      same(shown(), before, "after remount");
    },
  },
  {
    name: "leaves the times of the directory alone",
    why: "POSIX: writing to a file doesn't change its directory",
    prepare: (lower) => {
      tree(lower, ["dir/", "dir/a", "dir/b"]);
      setTimes(`${lower}/dir`, T, T);
    },
    run: (mount) => {
      append(`${mount}/dir/a`, "+");
      same(stat(`${mount}/dir`).mtimeNs, T, "mtime after the first");
      const { ctimeNs } = stat(`${mount}/dir`);
      append(`${mount}/dir/b`, "+");
      same(
        [stat(`${mount}/dir`).mtimeNs, stat(`${mount}/dir`).ctimeNs],
        [T, ctimeNs],
        "mtime and ctime after the second",
      );
    },
  },
  {
    name: "keeps devices, sockets and long links what they are",
    why: docs,
    needs: ["privilege"],
    prepare: (lower) => {
      makeNode(`${lower}/c`, S_IFCHR | 0o640, 4000, 1_000_000);
      makeNode(`${lower}/b`, S_IFBLK | 0o604, 8, 17);
      makeNode(`${lower}/s`, S_IFSOCK | 0o600);
      fs.symlinkSync("t".repeat(4000), `${lower}/l`);
    },
    run: (mount, place) => {
      const before = ["c", "b", "s", "l"].map((name) => described(`${mount}/${name}`)).flat();
      for (const name of ["c", "b", "s", "l"]) setTimes(`${mount}/${name}`, 1n, 1n);
      same(["c", "b", "s", "l"].map((name) => described(`${mount}/${name}`)).flat(), before, "after copy-up");
      place.remount();
      same(["c", "b", "s", "l"].map((name) => described(`${mount}/${name}`)).flat(), before, "after remount");
      same(fs.readlinkSync(`${mount}/l`).length, 4000, "length of the link's target");
    },
  },
  {
    name: "is done by everything that changes a file, and each change is there",
    why: "overlayfs.rst: a way that requires write access",
    prepare: (lower) => {
      for (const name of [
        "chmod",
        "chown",
        "utimes",
        "set",
        "remove",
        "truncate",
        "allocate",
        "write",
        "create",
        "acl",
      ]) {
        put(`${lower}/${name}`, "content");
        setXattr(`${lower}/${name}`, "user.there", "x");
      }
    },
    run: (mount, place) => {
      fs.chmodSync(`${mount}/chmod`, 0o600);
      fs.chownSync(`${mount}/chown`, 5, 6);
      fs.utimesSync(`${mount}/utimes`, 7, 8);
      setXattr(`${mount}/set`, "user.new", "y");
      removeXattr(`${mount}/remove`, "user.there");
      fs.truncateSync(`${mount}/truncate`, 3);
      fallocate(open(`${mount}/allocate`, O.RDWR), 0, 0, 20);
      append(`${mount}/write`, "+");
      close(open(`${mount}/create`, O.WRONLY | O.CREAT | O.TRUNC));
      setXattr(`${mount}/acl`, ACCESS_ACL, userAcl);
      place.remount();
      same(Number(stat(`${mount}/chmod`).mode & 0o777n), 0o600, "chmod");
      same([stat(`${mount}/chown`).uid, stat(`${mount}/chown`).gid], [5n, 6n], "chown");
      same(stat(`${mount}/utimes`).mtimeNs, 8_000_000_000n, "utimes");
      same(listXattrs(`${mount}/set`), ["user.new", "user.there"], "setxattr");
      same(listXattrs(`${mount}/remove`), [], "removexattr");
      same(
        [text(`${mount}/truncate`), text(`${mount}/write`), text(`${mount}/create`)],
        ["con", "content+", ""],
        "contents",
      );
      same(stat(`${mount}/allocate`).size, 20n, "fallocate");
      same(getXattr(`${mount}/acl`, ACCESS_ACL), userAcl, "setfacl");
      for (const name of ["chmod", "chown", "utimes", "set", "remove", "acl"])
        same(text(`${mount}/${name}`), "content", name);
    },
  },
  {
    name: "isn't done by what fails, or only reads",
    why: "permission is asked before anything is done",
    needs: ["union", "privilege"],
    prepare: (lower) => {
      tree(lower, ["dir/", "dir/file"]);
      setXattr(`${lower}/dir/file`, "user.there", "x");
    },
    run: (mount, { layers }) => {
      const file = `${mount}/dir/file`;
      as(alice, () => {
        fails("EPERM", () => fs.chmodSync(file, 0o777), "chmod");
        fails("EPERM", () => fs.chownSync(file, 1001, 1001), "chown");
        fails("EPERM", () => fs.utimesSync(file, 1, 1), "utimes");
        fails("EACCES", () => open(file, O.WRONLY), "open for writing");
        fails("EACCES", () => fs.truncateSync(file, 0), "truncate");
        fails("EACCES", () => setXattr(file, "user.a", "b"), "setxattr");
        fails("EACCES", () => fs.unlinkSync(file), "unlink");
        fails("EACCES", () => fs.renameSync(file, `${mount}/x`), "rename");
        fails("EACCES", () => fs.mkdirSync(`${mount}/dir/x`), "mkdir");
      });
      fails("ENODATA", () => removeXattr(file, "user.none"), "removexattr of what isn't there");
      fails("EEXIST", () => setXattr(file, "user.there", "y", 1), "setxattr with XATTR_CREATE");
      for (const act of [setXattr, getXattr]) fails("EOPNOTSUPP", () => act(file, "nonsense", "x"), "no name space");
      fails("EEXIST", () => open(file, O.RDWR | O.CREAT | O.EXCL), "open with O_EXCL");
      read(open(file, O.RDONLY | O.CREAT));
      getXattr(file, "user.there");
      fs.accessSync(file, fs.constants.W_OK);
      same(list(layers.upper), [], "what is in the upper");
    },
  },
  {
    name: "of attributes copies no data",
    why: "overlayfs.rst, metacopy: chmod of a large file takes no time",
    needs: ["union"],
    prepare: (lower) => put(`${lower}/file`, Buffer.alloc(20 << 20, 1)),
    run: (mount, { layers }) => {
      fs.chmodSync(`${mount}/file`, 0o600);
      fs.chownSync(`${mount}/file`, 1, 2);
      fs.utimesSync(`${mount}/file`, 3, 4);
      fs.renameSync(`${mount}/file`, `${mount}/moved`);
      fs.linkSync(`${mount}/moved`, `${mount}/link`);
      holds(stat(`${layers.upper}/link`).blocks < 1000n, `${stat(`${layers.upper}/link`).blocks} blocks in the upper`);
      same(stat(`${mount}/link`).size, 20n << 20n, "size");
    },
  },
  {
    name: "of attributes first, of data later: by writing, appending, truncating, mapping",
    why: "overlayfs.rst, metacopy",
    prepare: (lower) => tree(lower, ["write", "append", "cut", "grow", "map", "dir/", "dir/move", "link"]),
    run: async (mount, place) => {
      const names = ["write", "append", "cut", "grow", "map", "dir/move", "link"];
      for (const name of names) fs.chmodSync(`${mount}/${name}`, 0o640);
      for (const name of names) same(text(`${mount}/${name}`), name, `content of ${name} after chmod`);
      const fd = open(`${mount}/write`);
      fs.writeSync(open(`${mount}/write`, O.RDWR), "W");
      same(read(fd), "Write", "what a descriptor from before reads");
      append(`${mount}/append`, "+");
      fs.truncateSync(`${mount}/cut`, 1);
      fs.truncateSync(`${mount}/grow`, 6);
      const { map } = await import("../kit/memory.ts");
      map(open(`${mount}/map`, O.RDWR), "write").write(0, "M");
      fs.renameSync(`${mount}/dir/move`, `${mount}/moved`);
      fs.linkSync(`${mount}/link`, `${mount}/link2`);
      const check = (): void => {
        const contents = ["write", "append", "cut", "grow", "map", "moved", "link2"].map((name) =>
          text(`${mount}/${name}`),
        );
        same(contents, ["Write", "append+", "c", "grow\0\0", "Map", "dir/move", "link"], "contents");
        for (const name of ["write", "append", "cut", "grow", "map", "moved", "link2"])
          same(Number(stat(`${mount}/${name}`).mode & 0o777n), 0o640, `mode of ${name}`);
      };
      check();
      place.remount();
      check();
    },
  },
  {
    name: "of a file is seen whole or not at all",
    why: "overlayfs copies to its work directory and renames",
    deadlineSeconds: 30,
    prepare: (lower) => {
      for (let i = 0; i < 20; i++) put(`${lower}/${i}`, Buffer.alloc(2 << 20, 97));
    },
    run: async (mount) => {
      const readers = start([
        "sh",
        "-c",
        `while :; do for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do
        [ $(cat '${mount}'/$i | tr -d a | wc -c) = 0 ] && [ $(wc -c <'${mount}'/$i) = 2097152 ] || exit 3; done; done`,
      ]);
      const end = ended(readers);
      const writer = start([
        "sh",
        "-c",
        `for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do : >>'${mount}'/$i; done`,
      ]);
      same(await ended(writer), 0, "the writer's status");
      same(readers.exitCode, null, "the reader's status");
      readers.kill("SIGKILL");
      await end;
    },
  },
  {
    name: "by many processes at once gives one file",
    why: "two who open a file for writing meet in one copy",
    deadlineSeconds: 30,
    prepare: (lower) => tree(lower, ["a/b/", "a/b/log"]),
    run: async (mount, { layers, isUnion }) => {
      const all = Array.from({ length: 8 }, (_, i) =>
        ended(start(["sh", "-c", `echo ${i} >>'${mount}/a/b/log'; chmod 60${i % 8} '${mount}/a/b/log'`])),
      );
      for (const status of await Promise.all(all)) same(status, 0, "a writer's status");
      same(text(`${mount}/a/b/log`).split("\n").length, 9, "lines");
      if (isUnion) same(exists(`${layers.upper}/a/b/log`), true, "the copy is there");
    },
  },
  {
    name: "leaves nothing in the work directory",
    why: "a full disk would fill with leftovers",
    needs: ["union"],
    prepare: (lower) => tree(lower, ["file", "dir/", "dir/x"]),
    run: (mount, { layers }) => {
      append(`${mount}/file`, "+");
      fs.rmSync(`${mount}/dir`, { recursive: true });
      const left = sh("find . -type f ! -path './index/*' -size +0 -print", layers.work);
      same(left, "", "files");
    },
  },
  {
    name: "of a descriptor's file by fchmod, fchown, futimens, fsetxattr",
    why: "the same as by name",
    prepare: (lower) => tree(lower, ["file"]),
    run: (mount, place) => {
      const fd = open(`${mount}/file`);
      setXattr(fd, "user.a", "b");
      same(getXattr(`${mount}/file`, "user.a").toString(), "b", "user.a");
      setTimes(fd, "omit", T);
      same(fstat(fd).mtimeNs, T, "mtime");
      place.remount();
      same([getXattr(`${mount}/file`, "user.a").toString(), stat(`${mount}/file`).mtimeNs], ["b", T], "after remount");
    },
  },
]);
