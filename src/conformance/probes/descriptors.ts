import * as fs from "node:fs";
import { fails, same, works } from "../kit/assert.ts";
import { fsync, sendfile } from "../kit/data.ts";
import { Directory } from "../kit/directory.ts";
import {
  append,
  close,
  exists,
  fstat,
  id,
  list,
  open,
  O,
  put,
  read,
  reopen,
  stat,
  text,
  tree,
  write,
} from "../kit/files.ts";
import { O_PATH } from "../kit/kernel.ts";
import { map } from "../kit/memory.ts";
import { run } from "../kit/program.ts";
import { area } from "../probe.ts";

const why = "POSIX open(): a descriptor is of the file, which every write changes; overlayfs's are of the old one";

export const descriptors = area("descriptors", [
  {
    name: "one opened before copy-up reads what is written later",
    why,
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      same(read(fd), "old content", "before");
      const writer = open(`${mount}/file`, O.RDWR);
      write(writer, "new");
      same(read(fd), "new content", "after");
      write(writer, " and longer", 11);
      same(read(fd), "new content and longer", "after growing");
      same(fstat(fd).size, 22n, "size");
    },
  },
  {
    name: "one opened before copy-up, never read from, reads what is written later",
    why,
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      append(`${mount}/file`, "!");
      same(read(fd), "old content!", "content");
    },
  },
  {
    name: "one opened before copy-up reads what another process writes",
    why,
    prepare: (lower) => put(`${lower}/file`, "old\n"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      read(fd);
      run(["sh", "-c", `echo new >>'${mount}/file'`]);
      same(read(fd), "old\nnew\n", "content");
    },
  },
  {
    name: "one opened before the file is truncated reads nothing",
    why,
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      same(read(fd), "old content", "before");
      close(open(`${mount}/file`, O.WRONLY | O.TRUNC));
      same(read(fd), "", "after O_TRUNC");
      append(`${mount}/file`, "new");
      same(read(fd), "new", "after a write");
    },
  },
  {
    name: "one opened before truncate(2) of a large file",
    why,
    prepare: (lower) => put(`${lower}/file`, "x".repeat(100_000)),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      read(fd, 200_000);
      fs.truncateSync(`${mount}/file`, 5000);
      same(read(fd, 200_000).length, 5000, "bytes read");
      fs.truncateSync(`${mount}/file`, 8000);
      same(read(fd, 200_000), "x".repeat(5000) + "\0".repeat(3000), "content after growing");
    },
  },
  {
    name: "several from before copy-up all see the change",
    why,
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const fds = Array.from({ length: 5 }, () => open(`${mount}/file`));
      append(`${mount}/file`, "+");
      for (const fd of fds) same(read(fd), "old+", "content");
      const late = open(`${mount}/file`);
      append(`${mount}/file`, "+");
      for (const fd of [...fds, late]) same(read(fd), "old++", "content after a second write");
    },
  },
  {
    name: "fstat of one from before sees chmod, chown, utimes",
    why,
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      fs.chmodSync(`${mount}/file`, 0o611);
      fs.chownSync(`${mount}/file`, 3, 4);
      fs.utimesSync(`${mount}/file`, 5, 6);
      const { mode, uid, gid, mtimeNs } = fstat(fd);
      same([mode & 0o7777n, uid, gid, mtimeNs], [0o611n, 3n, 4n, 6_000_000_000n], "mode, uid, gid, mtime");
    },
  },
  {
    name: "fchmod, fchown, futimes of a read-only one change the file",
    why: "POSIX fchmod()",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      fs.fchmodSync(fd, 0o611);
      fs.fchownSync(fd, 3, 4);
      fs.futimesSync(fd, 5, 6);
      const { mode, uid, gid, mtimeNs } = stat(`${mount}/file`);
      same([mode & 0o7777n, uid, gid, mtimeNs], [0o611n, 3n, 4n, 6_000_000_000n], "mode, uid, gid, mtime");
      same(read(fd), "old", "content");
      append(`${mount}/file`, "+");
      same(read(fd), "old+", "content after a write");
    },
  },
  {
    name: "one opened before rename and copy-up of its directory",
    why,
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount) => {
      const fd = open(`${mount}/dir/file`);
      fs.renameSync(`${mount}/dir`, `${mount}/moved`);
      append(`${mount}/moved/file`, "+");
      same(read(fd), "dir/file+", "content");
    },
  },
  {
    name: "one of a directory goes on as the directory is copied up and moved",
    why: "openat(2)",
    prepare: (lower) => tree(lower, ["dir/", "dir/file", "other/"]),
    run: (mount) => {
      const fd = open(`${mount}/dir`, O.RDONLY | O.DIRECTORY);
      const below = `/proc/self/fd/${fd}`;
      put(`${mount}/dir/new`, "new");
      same(text(`${below}/new`), "new", "a new file below");
      fs.renameSync(`${mount}/dir`, `${mount}/other/moved`);
      put(`${below}/newer`, "newer");
      same(text(`${mount}/other/moved/newer`), "newer", "one made below it");
      same(
        new Directory(fd)
          .rest()
          .map(({ name }) => name)
          .toSorted(),
        [".", "..", "file", "new", "newer"],
        "entries",
      );
      same(fs.readlinkSync(below), `${mount}/other/moved`, "its name in /proc");
    },
  },
  {
    name: "an O_PATH one from before can be opened for writing",
    why: "open(2), O_PATH; systemd and runc reopen through /proc",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const path = open(`${mount}/file`, O_PATH);
      const writer = reopen(path, O.RDWR);
      write(writer, "new");
      same(text(`${mount}/file`), "new", "content");
      same(fstat(path).ino, stat(`${mount}/file`).ino, "st_ino");
      same(read(reopen(path, O.RDONLY)), "new", "content, opened again");
    },
  },
  {
    name: "a read-only one can be opened anew for writing",
    why: "proc_pid_fd(5)",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      write(reopen(fd, O.RDWR), "new");
      same(read(fd), "new", "content");
    },
  },
  {
    name: "one from before a replacement reads the old file",
    why: "POSIX rename(): the old file lives while it is open",
    prepare: (lower) => tree(lower, ["file", "other"]),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      const mapping = map(fd, "read");
      fs.renameSync(`${mount}/other`, `${mount}/file`);
      same(read(fd), "file", "content");
      same(mapping.read(0, 4), "file", "mapping");
      same(fstat(fd).nlink, 0n, "links");
      same(text(`${mount}/file`), "other", "the new content");
    },
  },
  {
    name: "one from before an editor's save reads the old file",
    why: "editors write anew and rename over",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      put(`${mount}/file.tmp`, "new");
      fs.renameSync(`${mount}/file.tmp`, `${mount}/file`);
      same(read(fd), "old", "the descriptor's content");
      append(`${mount}/file`, "er");
      same(read(fd), "old", "the descriptor's content after a write to the new one");
      same(text(`${mount}/file`), "newer", "the name's");
    },
  },
  {
    name: "sendfile and splice read what is there now",
    why,
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      read(fd);
      append(`${mount}/file`, "+");
      const to = open(`${mount}/copy`, O.RDWR | O.CREAT);
      same(sendfile(fd, to, 0, 100), 12, "bytes sent");
      same(text(`${mount}/copy`), "old content+", "content");
    },
  },
  {
    name: "two for writing see each other's writes at once",
    why: "POSIX write(): a read that follows sees it",
    prepare: (lower) => put(`${lower}/file`, "0123456789"),
    run: (mount) => {
      const [a, b, c] = [open(`${mount}/file`, O.RDWR), open(`${mount}/file`, O.RDWR), open(`${mount}/file`)];
      for (let i = 0; i < 20; i++) {
        write(i % 2 === 0 ? a : b, String(i).padStart(10, "."));
        for (const fd of [a, b, c]) same(read(fd), String(i).padStart(10, "."), `after write ${i}`);
      }
    },
  },
  {
    name: "one for writing goes on after chmod 0 and unlink",
    why: "POSIX: rights are asked at open()",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const fd = open(`${mount}/file`, O.RDWR);
      fs.chmodSync(`${mount}/file`, 0);
      write(fd, "new");
      fs.unlinkSync(`${mount}/file`);
      write(fd, "newer");
      same(read(fd), "newer", "content");
      same(exists(`${mount}/file`), false, "the name is there");
    },
  },
  {
    name: "any order of opening, mapping and closing reads what was written last",
    why: "FUSE passthrough and page cache mustn't meet in one file",
    prepare: (lower) => {
      for (let i = 0; i < 24; i++) put(`${lower}/${i}`, "old".padEnd(5000, "."));
    },
    run: (mount) => {
      const orders = permutations(["read", "map", "write", "closeRead"]);
      for (const [index, order] of orders.entries()) {
        works(order.join(", "), () => {
          mixModes(`${mount}/${index}`, order);
          // The same again, of a file that lies in the upper by now.
          mixModes(`${mount}/${index}`, order);
        });
      }
    },
  },
  {
    name: "a write-only one and a failing one leave others alone",
    why: "POSIX open()",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const writer = open(`${mount}/file`, O.WRONLY);
      fails("EBADF", () => read(writer), "reading a write-only descriptor");
      const reader = open(`${mount}/file`);
      fails("EBADF", () => fs.writeSync(reader, "x"), "writing a read-only descriptor");
      fails("EINVAL", () => fs.ftruncateSync(reader, 1), "truncating a read-only descriptor");
      write(writer, "new");
      same(read(reader), "new", "content");
    },
  },
  {
    name: "descriptors survive that the kernel forgets what isn't used",
    why: "memory pressure changes nothing that is seen",
    prepare: (lower) => tree(lower, ["dir/", "dir/file", "dir/other"]),
    run: (mount, place) => {
      const fd = open(`${mount}/dir/file`);
      const directory = open(`${mount}/dir`);
      const before = id(fd);
      place.evict();
      append(`${mount}/dir/file`, "+");
      same(read(fd), "dir/file+", "content");
      same([id(fd), id(`${mount}/dir/file`)], [before, before], "dev:ino");
      put(`/proc/self/fd/${directory}/new`);
      same(list(`${mount}/dir`), ["file", "new", "other"], "entries");
    },
  },
  {
    name: "fsync of any descriptor works",
    why: "POSIX fsync(); databases fsync read-only descriptors and directories",
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount) => {
      const before = open(`${mount}/dir/file`);
      const directory = open(`${mount}/dir`);
      fsync(before);
      fsync(directory);
      const writer = open(`${mount}/dir/file`, O.RDWR);
      write(writer, "new");
      for (const fd of [before, writer, directory]) fsync(fd);
    },
  },
]);

function permutations(items: readonly string[]): string[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}

/** Does these steps with a file, and reads it in every way that is open after each. */
function mixModes(path: string, order: readonly string[]): void {
  let reader: number | undefined;
  const all: (() => string)[] = [() => text(path).slice(0, 3)];
  let content = text(path).slice(0, 3);
  for (const [index, step] of order.entries()) {
    if (step === "read") {
      const fd = open(path);
      reader = fd;
      all.push(() => (reader === undefined ? content : read(fd, 3)));
    } else if (step === "map") {
      const fd = open(path);
      const mapping = map(fd, "read");
      close(fd);
      all.push(() => mapping.read(0, 3));
    } else if (step === "write") {
      const fd = open(path, O.RDWR);
      content = `${index}${content.slice(0, 2)}`;
      write(fd, content);
      all.push(() => read(fd, 3));
    } else if (reader !== undefined) {
      close(reader);
      reader = undefined;
    }
    for (const look of all) same(look(), content, `after ${step}`);
  }
}
