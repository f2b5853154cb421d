import * as fs from "node:fs";
import { differ, errnoOf, fails, holds, same } from "../kit/assert.ts";
import { append, close, fstat, list, open, O, put, stat, text, tree } from "../kit/files.ts";
import { eventually, run, sh } from "../kit/program.ts";
import { area } from "../probe.ts";
import { ownCommand } from "../start.ts";

export const space = area("full disks", [
  {
    name: "a file that doesn't fit isn't copied up, and stays whole",
    why: "ENOSPC at copy-up: the lower file goes on to be shown",
    needs: ["union"],
    arrangement: "small",
    prepare: (lower) => put(`${lower}/file`, Buffer.alloc(8 << 20, 97)),
    run: (mount, { layers }) => {
      const before = stat(`${mount}/file`);
      fails("ENOSPC", () => open(`${mount}/file`, O.RDWR), "opening for writing");
      fails("ENOSPC", () => fs.truncateSync(`${mount}/file`, 7 << 20), "truncating");
      const after = stat(`${mount}/file`);
      same([after.size, after.ino, after.mtimeNs], [before.size, before.ino, before.mtimeNs], "size, ino, mtime");
      same(fs.readFileSync(`${mount}/file`).equals(Buffer.alloc(8 << 20, 97)), true, "content is whole");
      same(list(layers.upper), [], "what is in the upper");
      same(sh("find . -type f -size +0", layers.work), "", "what is in the work directory");
    },
  },
  {
    name: "what fits goes on to work after that",
    why: "a failure must leave nothing behind",
    needs: ["union"],
    arrangement: "small",
    prepare: (lower) => {
      put(`${lower}/file`, Buffer.alloc(8 << 20, 97));
      tree(lower, ["small", "dir/", "dir/x"]);
    },
    run: (mount, place) => {
      for (let times = 0; times < 3; times++)
        fails("ENOSPC", () => open(`${mount}/file`, O.RDWR), "opening for writing");
      append(`${mount}/small`, "+");
      fs.chmodSync(`${mount}/file`, 0o600);
      close(open(`${mount}/file`, O.WRONLY | O.TRUNC));
      put(`${mount}/new`, Buffer.alloc(2 << 20));
      place.remount();
      same(
        [text(`${mount}/small`), stat(`${mount}/file`).size, stat(`${mount}/new`).size],
        ["small+", 0n, 2n << 20n],
        "files",
      );
    },
  },
  {
    name: "writes stop at ENOSPC, removing makes room",
    why: "POSIX write()",
    needs: ["union"],
    arrangement: "small",
    prepare: (lower) => tree(lower, ["a", "b"]),
    run: (mount) => {
      const fd = open(`${mount}/new`, O.RDWR | O.CREAT);
      let size = 0;
      fails(
        "ENOSPC",
        () => {
          for (;;) size += fs.writeSync(fd, Buffer.alloc(65536, 1), 0, 65536, size);
        },
        "writing",
      );
      holds(size > 3 << 20, `only ${size} bytes were written`);
      same(fstat(fd).size, BigInt(size), "size");
      close(fd);
      fs.unlinkSync(`${mount}/new`);
      append(`${mount}/a`, "+");
      same(text(`${mount}/a`), "a+", "content of another file");
    },
  },
  {
    name: "a mapping's write to a hole of a full disk is an error of who writes alone",
    why: "mmap(2): SIGBUS at once, or an error of msync(2) where pages are written later; the mount goes on",
    needs: ["union"],
    arrangement: "small",
    prepare: (lower) => tree(lower, ["a"]),
    run: async (mount) => {
      run(["sh", "-c", `dd if=/dev/zero of='${mount}/fill' bs=64k 2>/dev/null; truncate -s 1M '${mount}/hole'`]);
      const writes = ownCommand("probe-worker", "map", `${mount}/hole`);
      differ(run(writes).status, 0, "status of who writes, and of success");
      fs.unlinkSync(`${mount}/fill`);
      await eventually(() => {
        try {
          put(`${mount}/b`, "works");
          return undefined;
        } catch (error) {
          return `no room after the full file was removed: ${errnoOf(error)}`;
        }
      });
      same(text(`${mount}/b`), "works", "content");
    },
  },
]);
