import * as fs from "node:fs";
import { fails, same } from "../kit/assert.ts";
import { handleOf, openHandle } from "../kit/directory.ts";
import { append, close, id, list, O, put, read, tree } from "../kit/files.ts";
import { area } from "../probe.ts";

const handles = "name_to_handle_at(2): a handle is of the inode, for good; nfsd, xfs_fsr, fanotify";

export const handling = area("file handles", [
  {
    name: "a handle opens the file from below, also when the kernel forgot it",
    why: handles,
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount, place) => {
      const handle = handleOf(`${mount}/dir/file`);
      const before = id(`${mount}/dir/file`);
      const fd = openHandle(mount, handle);
      same([read(fd), id(fd)], ["dir/file", before], "content, dev:ino");
      close(fd);
      place.evict();
      const again = openHandle(mount, handle);
      same([read(again), id(again)], ["dir/file", before], "content, dev:ino, after the kernel forgot");
    },
  },
  {
    name: "a handle from before copy-up opens the copy",
    why: handles,
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["file"]),
    run: (mount, place) => {
      const handle = handleOf(`${mount}/file`);
      append(`${mount}/file`, "+");
      const fd = openHandle(mount, handle);
      same(read(fd), "file+", "content");
      close(fd);
      same(handleOf(`${mount}/file`).equals(handle), true, "the handle stays the same");
      place.evict();
      same(read(openHandle(mount, handle, O.RDWR)), "file+", "content after the kernel forgot");
    },
  },
  {
    name: "a handle survives rename, of the file and its directory",
    why: handles,
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount, place) => {
      const handle = handleOf(`${mount}/dir/file`);
      fs.renameSync(`${mount}/dir/file`, `${mount}/dir/other`);
      fs.renameSync(`${mount}/dir`, `${mount}/there`);
      const fd = openHandle(mount, handle);
      same(read(fd), "dir/file", "content");
      close(fd);
      place.evict();
      same(read(openHandle(mount, handle)), "dir/file", "content after the kernel forgot");
    },
  },
  {
    name: "a handle of a directory lists it",
    why: handles,
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["dir/sub/", "dir/sub/file"]),
    run: (mount, place) => {
      const handle = handleOf(`${mount}/dir/sub`);
      place.evict();
      const fd = openHandle(mount, handle, O.DIRECTORY);
      same(list(`/proc/self/fd/${fd}`), ["file"], "entries");
      same(fs.readlinkSync(`/proc/self/fd/${fd}`), `${mount}/dir/sub`, "its name");
      put(`/proc/self/fd/${fd}/new`);
      same(list(`${mount}/dir/sub`), ["file", "new"], "entries after making one");
    },
  },
  {
    name: "a handle of what was removed is stale",
    why: handles,
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["file"]),
    run: (mount, place) => {
      const handle = handleOf(`${mount}/file`);
      fs.unlinkSync(`${mount}/file`);
      place.evict();
      fails("ESTALE", () => openHandle(mount, handle), "open_by_handle_at");
      put(`${mount}/new`);
      const own = handleOf(`${mount}/new`);
      fs.unlinkSync(`${mount}/new`);
      place.evict();
      fails("ESTALE", () => openHandle(mount, own), "open_by_handle_at of a new file's");
    },
  },
  {
    name: "a handle of what was removed isn't that of a new file with its inode number",
    why: handles,
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount, place) => {
      const seen = new Map<bigint, Buffer>();
      let again = 0;
      for (let round = 0; round < 40; round++) {
        for (const make of [() => put(`${mount}/dir/x`, "new"), () => fs.mkdirSync(`${mount}/dir/x`)]) {
          make();
          const { ino } = fs.lstatSync(`${mount}/dir/x`, { bigint: true });
          const handle = handleOf(`${mount}/dir/x`);
          const before = seen.get(ino);
          if (before !== undefined) again++;
          if (before !== undefined)
            fails("ESTALE", () => openHandle(mount, before), `open_by_handle_at, round ${round}`);
          close(openHandle(mount, handle));
          seen.set(ino, handle);
          fs.rmSync(`${mount}/dir/x`, { recursive: true });
          if (round % 10 === 9) place.evict();
        }
      }
      put(`${mount}/dir/x`, "new");
      const handle = handleOf(`${mount}/dir/x`);
      fs.renameSync(`${mount}/dir/x`, `${mount}/y`);
      fs.linkSync(`${mount}/y`, `${mount}/dir/z`);
      place.evict();
      same(
        [read(openHandle(mount, handle)), handleOf(`${mount}/y`).equals(handle)],
        ["new", true],
        `that of a new file (${again})`,
      );
      place.remount();
      same(read(openHandle(mount, handle)), "new", "content after remount");
    },
  },
  {
    name: "a handle opens a new file, and a linked one",
    why: handles,
    needs: ["privilege"],
    prepare: (lower) => {
      put(`${lower}/a`, "x");
      fs.linkSync(`${lower}/a`, `${lower}/b`);
    },
    run: (mount, place) => {
      put(`${mount}/new`, "new");
      const [own, a] = [handleOf(`${mount}/new`), handleOf(`${mount}/a`)];
      same(handleOf(`${mount}/b`).equals(a), true, "both names have one handle");
      append(`${mount}/b`, "y");
      fs.unlinkSync(`${mount}/a`);
      place.evict();
      same([read(openHandle(mount, own)), read(openHandle(mount, a))], ["new", "xy"], "contents");
    },
  },
]);
