import * as fs from "node:fs";
import { errnoOf, fails, same, works } from "../kit/assert.ts";
import { FALLOC, fallocate, fcntl } from "../kit/data.ts";
import { Directory } from "../kit/directory.ts";
import {
  append,
  close,
  exists,
  fstat,
  id,
  keep,
  linkFd,
  list,
  open,
  O,
  put,
  read,
  reopen,
  setTimes,
  stat,
  text,
  tree,
  write,
} from "../kit/files.ts";
import { call, O_PATH, O_TMPFILE, path as cString } from "../kit/kernel.ts";
import { flock } from "../kit/locks.ts";
import { map } from "../kit/memory.ts";
import { getXattr, setXattr } from "../kit/xattr.ts";
import { alice, as, withUmask } from "../kit/user.ts";
import { area } from "../probe.ts";

const linkat = call("linkat", "int", ["int", "void *", "int", "void *", "int"]);

export const tmpfile = area("O_TMPFILE", [
  {
    name: "makes a file without a name, in a directory from below",
    why: "open(2), O_TMPFILE",
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount) => {
      const fd = open(`${mount}/dir`, O.RDWR | O_TMPFILE, 0o600);
      same(fstat(fd).nlink, 0n, "links");
      write(fd, "content");
      same(read(fd), "content", "content");
      same(list(`${mount}/dir`), ["file"], "entries");
      same(Number(fstat(fd).mode & 0o7777n), 0o600, "mode");
    },
  },
  {
    name: "gets a name by linkat, and is that file",
    why: "open(2), O_TMPFILE: how files are made at once or not at all",
    prepare: (lower) => tree(lower, ["dir/"]),
    run: (mount, place) => {
      const fd = open(`${mount}/dir`, O.RDWR | O_TMPFILE, 0o640);
      write(fd, "content");
      setXattr(fd, "user.a", "b");
      linkFd(fd, `${mount}/dir/file`);
      same(id(`${mount}/dir/file`), id(fd), "dev:ino");
      same(stat(`${mount}/dir/file`).nlink, 1n, "links");
      write(fd, "CONTENT");
      same(text(`${mount}/dir/file`), "CONTENT", "content");
      linkFd(fd, `${mount}/second`);
      same(fstat(fd).nlink, 2n, "links after a second name");
      place.remount();
      same(text(`${mount}/second`), "CONTENT", "content after remount");
      same(getXattr(`${mount}/dir/file`, "user.a").toString(), "b", "user.a");
    },
  },
  {
    name: "gets a name by linkat with AT_EMPTY_PATH",
    why: "linkat(2)",
    needs: ["privilege"],
    run: (mount) => {
      const fd = open(mount, O.RDWR | O_TMPFILE);
      write(fd, "content");
      linkat(fd, cString(""), -100, cString(`${mount}/file`), 0x1000);
      same(text(`${mount}/file`), "content", "content");
    },
  },
  {
    name: "gets a name that was removed, and none that is there",
    why: "whiteouts aren't seen",
    prepare: (lower) => tree(lower, ["gone", "there"]),
    run: (mount, place) => {
      fs.unlinkSync(`${mount}/gone`);
      const fd = open(mount, O.RDWR | O_TMPFILE);
      write(fd, "content");
      fails("EEXIST", () => linkFd(fd, `${mount}/there`), "linkat over a file");
      linkFd(fd, `${mount}/gone`);
      place.remount();
      same(text(`${mount}/gone`), "content", "content");
    },
  },
  {
    name: "with O_EXCL it gets no name",
    why: "open(2), O_TMPFILE",
    run: (mount) => {
      const fd = open(mount, O.RDWR | O_TMPFILE | O.EXCL);
      fails("ENOENT", () => linkFd(fd, `${mount}/file`), "linkat");
    },
  },
  {
    name: "belongs to who makes it, with the umask, and the directory's group",
    why: "open(2)",
    needs: ["privilege"],
    prepare: (lower) => {
      tree(lower, ["dir/"]);
      fs.chownSync(`${lower}/dir`, 1001, 2002);
      fs.chmodSync(`${lower}/dir`, 0o2775);
    },
    run: (mount) => {
      const fd = withUmask(0o027, () => as(alice, () => open(`${mount}/dir`, O.RDWR | O_TMPFILE, 0o666)));
      const { uid, gid, mode } = fstat(fd);
      same([uid, gid, mode & 0o7777n], [1001n, 2002n, 0o640n], "owner, group, mode");
      as(alice, () => linkFd(fd, `${mount}/dir/file`));
      same(stat(`${mount}/dir/file`).gid, 2002n, "group of the name's");
      const special = as(alice, () => open(`${mount}/dir`, O.RDWR | O_TMPFILE, 0o4711));
      same(fstat(special).mode & 0o7777n, 0o4711n, "mode of one with set-user-ID");
    },
  },
  {
    name: "can be mapped, locked, truncated and opened anew",
    why: "it is a file like others",
    run: (mount) => {
      const fd = open(mount, O.RDWR | O_TMPFILE);
      fs.ftruncateSync(fd, 4096);
      map(fd, "write").write(0, "mapped");
      same(read(reopen(fd, O.RDWR), 6), "mapped", "what another descriptor reads");
      same(flock(fd, "exclusive"), true, "locked");
      same(flock(reopen(fd, O.RDONLY), "shared"), false, "another one's lock");
    },
  },
]);

const why = "POSIX unlink(): the file lives while it is open; on overlayfs a lower one can't be changed any more";

/** What an unlinked open file must still do. */
function checkUnlinked(mount: string, fd: number, content: string): void {
  same(fstat(fd).nlink, 0n, "links");
  same(read(fd), content, "content");
  works("fchmod", () => fs.fchmodSync(fd, 0o604));
  works("fchown", () => fs.fchownSync(fd, 3, 4));
  works("futimens", () => setTimes(fd, 5_000_000_000n, 6_000_000_007n));
  works("fsetxattr", () => setXattr(fd, "user.a", "b"));
  const { mode, uid, gid, mtimeNs, nlink } = fstat(fd);
  same(
    [mode & 0o7777n, uid, gid, mtimeNs, nlink],
    [0o604n, 3n, 4n, 6_000_000_007n, 0n],
    "mode, uid, gid, mtime, links",
  );
  same(getXattr(fd, "user.a").toString(), "b", "user.a");
  const writer = works("opening anew for writing", () => reopen(fd, O.RDWR));
  write(writer, "new");
  same(read(fd, 3), "new", "content after a write through another descriptor");
  same(
    read(
      works("opening anew", () => reopen(fd, O.RDONLY)),
      3,
    ),
    "new",
    "content through a third",
  );
  fs.ftruncateSync(writer, 1);
  same(fstat(fd).size, 1n, "size after truncation");
  same(exists(`${mount}/file`), false, "the name is there");
}

/** Of a removed directory Linux says ENOENT rather than nothing. */
function entriesOf(fd: number): string[] {
  try {
    const names = new Directory(fd).rest().map(({ name }) => name);
    return names.filter((name) => name !== "." && name !== "..");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

export const unlinked = area("removed while open", [
  {
    name: "a file from below, open for reading",
    why,
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      fs.unlinkSync(`${mount}/file`);
      checkUnlinked(mount, fd, "old content");
    },
  },
  {
    name: "a file from below, open for writing",
    why,
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const fd = open(`${mount}/file`, O.RDWR);
      fs.unlinkSync(`${mount}/file`);
      checkUnlinked(mount, fd, "old content");
    },
  },
  {
    name: "a new file",
    why,
    run: (mount) => {
      put(`${mount}/file`, "new content");
      const fd = open(`${mount}/file`);
      fs.unlinkSync(`${mount}/file`);
      checkUnlinked(mount, fd, "new content");
    },
  },
  {
    name: "a file from below that is O_PATH only",
    why: "open(2), O_PATH",
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const path = open(`${mount}/file`, O_PATH);
      fs.unlinkSync(`${mount}/file`);
      const fd = works("opening anew", () => reopen(path, O.RDONLY));
      checkUnlinked(mount, fd, "old content");
    },
  },
  {
    name: "a file whose attributes alone were copied up",
    why,
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      fs.chmodSync(`${mount}/file`, 0o600);
      fs.unlinkSync(`${mount}/file`);
      checkUnlinked(mount, fd, "old content");
    },
  },
  {
    name: "a file that was renamed over",
    why,
    prepare: (lower) => tree(lower, ["was", "other"]),
    run: (mount) => {
      const fd = open(`${mount}/was`);
      fs.renameSync(`${mount}/other`, `${mount}/was`);
      checkUnlinked(mount, fd, "was");
      same(text(`${mount}/was`), "other", "the other file's content");
    },
  },
  {
    name: "a file in a directory that goes too",
    why,
    prepare: (lower) => tree(lower, ["dir/sub/", "dir/sub/file"]),
    run: (mount) => {
      const fd = open(`${mount}/dir/sub/file`);
      fs.rmSync(`${mount}/dir`, { recursive: true });
      checkUnlinked(mount, fd, "dir/sub/file");
    },
  },
  {
    name: "a file whose name is made anew",
    why,
    prepare: (lower) => tree(lower, ["name"]),
    run: (mount) => {
      const fd = open(`${mount}/name`);
      fs.unlinkSync(`${mount}/name`);
      put(`${mount}/name`, "another");
      checkUnlinked(mount, fd, "name");
      same(text(`${mount}/name`), "another", "the new file's content");
    },
  },
  {
    name: "a removed file's mapping stays, and shows what is written",
    why: "POSIX munmap(), unlink()",
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      const mapping = map(fd, "read");
      fs.unlinkSync(`${mount}/file`);
      same(mapping.read(0, 3), "old", "mapping");
      write(reopen(fd, O.RDWR), "new");
      close(fd);
      same(mapping.read(0, 3), "new", "mapping after a write");
    },
  },
  {
    name: "a removed file can't get a name again",
    why: "linkat(2), ENOENT: no links are left",
    prepare: (lower) => put(`${lower}/file`, "x"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      fs.unlinkSync(`${mount}/file`);
      fails("ENOENT", () => linkFd(fd, `${mount}/again`), "linkat");
    },
  },
  {
    name: "removed files hold locks, space and holes as others",
    why: "fcntl(2), fallocate(2)",
    prepare: (lower) => put(`${lower}/file`, "x"),
    run: (mount) => {
      const fd = open(`${mount}/file`, O.RDWR);
      fs.unlinkSync(`${mount}/file`);
      same(flock(fd, "exclusive"), true, "locked");
      same(flock(reopen(fd, O.RDONLY), "shared"), false, "another one's lock");
      fallocate(fd, 0, 0, 65536);
      fallocate(fd, FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 0, 4096);
      same(fstat(fd).size, 65536n, "size");
      same(fcntl(fd, 3) & 3, O.RDWR, "flags");
    },
  },
  {
    name: "they live on when the kernel forgets what isn't used",
    why: "memory pressure changes nothing that is seen",
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount, place) => {
      const fd = open(`${mount}/dir/file`);
      fs.unlinkSync(`${mount}/dir/file`);
      place.evict();
      checkUnlinked(mount, fd, "dir/file");
    },
  },
  {
    name: "a directory from below that is removed while open is empty, and takes nothing",
    why: "POSIX rmdir()",
    prepare: (lower) => tree(lower, ["dir/", "dir/file", "bare/"]),
    run: (mount) => {
      const bare = open(`${mount}/bare`);
      fs.rmdirSync(`${mount}/bare`);
      works("fchmod of one that was empty", () => fs.fchmodSync(bare, 0o710));
      works("futimes of it", () => fs.futimesSync(bare, 1, 2));
      works("fsetxattr of it", () => setXattr(bare, "user.a", "b"));
      same(
        [Number(fstat(bare).mode & 0o7777n), fstat(bare).mtimeNs, String(getXattr(bare, "user.a")), fstat(bare).nlink],
        [0o710, 2_000_000_000n, "b", 0n],
        "what was set",
      );
      const fd = open(`${mount}/dir`);
      fs.rmSync(`${mount}/dir`, { recursive: true });
      same(entriesOf(fd), [], "entries");
      fails("ENOENT", () => put(`/proc/self/fd/${fd}/new`), "making a file in it");
      fails("ENOENT", () => fs.mkdirSync(`/proc/self/fd/${fd}/new`), "making a directory in it");
      works("fchmod", () => fs.fchmodSync(fd, 0o700));
      same(Number(fstat(fd).mode & 0o7777n), 0o700, "mode");
      same(fstat(fd).nlink, 0n, "links");
    },
  },
  {
    name: "a removed directory's name can be used anew, and the old one stays apart",
    why: "POSIX rmdir()",
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount) => {
      const fd = open(`${mount}/dir`);
      fs.rmSync(`${mount}/dir`, { recursive: true });
      fs.mkdirSync(`${mount}/dir`);
      put(`${mount}/dir/new`);
      same(exists(`/proc/self/fd/${fd}/new`), false, "the new directory's file in the old one");
      same(list(`${mount}/dir`), ["new"], "entries of the new one");
    },
  },
  {
    name: "a removed and still open file of a full tree is gone after remount",
    why: "nothing of it may be left behind",
    prepare: (lower) => tree(lower, ["dir/", "dir/file", "dir/other"]),
    run: (mount, place) => {
      open(`${mount}/dir/file`);
      fs.unlinkSync(`${mount}/dir/file`);
      append(`${mount}/dir/other`, "+");
      place.remount();
      same(list(`${mount}/dir`), ["other"], "entries");
      keep(fs.openSync(`${mount}/dir/other`, "r"));
    },
  },
]);
