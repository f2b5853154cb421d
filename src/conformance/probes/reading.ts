import * as fs from "node:fs";
import { holds, same } from "../kit/assert.ts";
import { Directory, entries } from "../kit/directory.ts";
import { append, close, exists, list, makeNode, put, S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK, tree } from "../kit/files.ts";
import { sh } from "../kit/program.ts";
import { area } from "../probe.ts";

/** Names n00000 and so on, as links of few files: quickly made. */
function many(dir: string, count: number, prefix = "n"): void {
  fs.mkdirSync(dir, { recursive: true });
  put(`${dir}/${prefix}0`);
  for (let i = 1; i < count; i++) fs.closeSync(fs.openSync(`${dir}/${prefix}${i}`, "wx"));
}

const names = (all: readonly { readonly name: string }[]): string[] =>
  all.map(({ name }) => name).filter((name) => name !== "." && name !== "..");

export const reading = area("readdir", [
  {
    name: "shows each name once, with . and ..",
    why: "overlayfs.rst, readdir: lists are merged",
    prepare: (lower, { bottom }) => {
      tree(lower, ["a", "b", "sub/"]);
      tree(bottom, ["b", "c", "sub/"]);
    },
    run: (mount) => {
      put(`${mount}/d`);
      append(`${mount}/a`, "+");
      fs.unlinkSync(`${mount}/c`);
      const all = new Directory(mount)
        .rest()
        .map(({ name }) => name)
        .toSorted();
      same(all, [".", "..", "a", "b", "d", "sub"], "names");
    },
  },
  {
    name: "tells the types of all kinds of files",
    why: "getdents64(2), d_type",
    needs: ["privilege"],
    prepare: (lower) => {
      tree(lower, ["dir/", "file"]);
      fs.symlinkSync("x", `${lower}/link`);
      makeNode(`${lower}/fifo`, S_IFIFO | 0o600);
      makeNode(`${lower}/sock`, S_IFSOCK | 0o600);
      makeNode(`${lower}/char`, S_IFCHR | 0o600, 1, 3);
      makeNode(`${lower}/block`, S_IFBLK | 0o600, 7, 99);
    },
    run: (mount) => {
      const wanted = ["block6", "char2", "dir4", "fifo1", "file8", "link10", "sock12"];
      const types = (): string[] =>
        entries(mount)
          .map(({ name, type }) => `${name}${type}`)
          .toSorted();
      same(types(), wanted, "types");
      fs.chmodSync(`${mount}/char`, 0o666);
      put(`${mount}/new`);
      same(types(), [...wanted, "new8"].toSorted(), "types in a merged directory");
    },
  },
  {
    name: "small buffers show the same as large ones",
    why: "getdents64(2)",
    prepare: (lower) => many(`${lower}/dir`, 300),
    run: (mount) => {
      put(`${mount}/dir/new`);
      const [small, large] = [new Directory(`${mount}/dir`).rest(64), new Directory(`${mount}/dir`).rest(1 << 20)];
      same(
        small.map(({ name }) => name),
        large.map(({ name }) => name),
        "names in order",
      );
      same(small.length, 303, "entries");
    },
  },
  {
    name: "a position from telldir leads back to where it was",
    why: "POSIX seekdir()",
    prepare: (lower, { bottom }) => {
      many(`${lower}/dir`, 100);
      many(`${bottom}/dir`, 100, "m");
    },
    run: (mount) => {
      const dir = new Directory(`${mount}/dir`);
      const all = dir.rest(256);
      for (const index of [0, 1, 57, 150, all.length - 2]) {
        dir.seek(all[index]?.next ?? 0n);
        same(
          dir.rest(256).map(({ name }) => name),
          all.slice(index + 1).map(({ name }) => name),
          `from ${index} on`,
        );
      }
      dir.seek(0n);
      same(
        dir.rest(256).map(({ name }) => name),
        all.map(({ name }) => name),
        "from the start",
      );
    },
  },
  {
    name: "a position from telldir holds while what was read is removed",
    why: "POSIX readdir(): what isn't removed is shown once; rm -r, samba, nfsd",
    prepare: (lower) => many(`${lower}/dir`, 400),
    run: (mount) => {
      const dir = new Directory(`${mount}/dir`);
      const first = names(dir.some(4096));
      holds(first.length > 20 && first.length < 300, `${first.length} entries at once`);
      const position = dir.some(1024).at(-1)?.next ?? 0n;
      const skipped = 400 - first.length;
      for (const name of first) fs.unlinkSync(`${mount}/dir/${name}`);
      const rest = names(dir.rest());
      dir.seek(position);
      same(names(dir.rest()), rest, "what follows the position");
      holds(rest.length < skipped && rest.length > 0, `${rest.length} left of ${skipped}`);
      same(new Set([...first, ...rest]).size, first.length + rest.length, "different names");
    },
  },
  {
    name: "a position from telldir holds in a directory that is opened anew",
    why: "overlayfs.rst, readdir: little correlation between old and new locations; nfsd and samba do so",
    prepare: (lower, { bottom }) => {
      many(`${lower}/dir`, 150);
      many(`${bottom}/dir`, 150, "m");
    },
    run: (mount) => {
      const dir = new Directory(`${mount}/dir`);
      const first = dir.some(2048);
      const position = first.at(-1)?.next ?? 0n;
      const rest = names(dir.rest());
      close(dir.fd);
      for (const name of names(first).slice(0, 10)) fs.unlinkSync(`${mount}/dir/${name}`);
      put(`${mount}/dir/new`);
      const again = new Directory(`${mount}/dir`);
      again.seek(position);
      same(
        names(again.rest())
          .filter((name) => name !== "new")
          .toSorted(),
        rest.toSorted(),
        "what follows",
      );
    },
  },
  {
    name: "removing each file as it is read removes all",
    why: "POSIX readdir(); rm -r and find -delete do so",
    prepare: (lower, { bottom }) => {
      many(`${lower}/dir`, 500);
      many(`${bottom}/dir`, 500, "m");
    },
    run: (mount) => {
      const dir = new Directory(`${mount}/dir`);
      let removed = 0;
      for (let some = names(dir.some(512)); some.length > 0; some = names(dir.some(512))) {
        for (const name of some) {
          fs.unlinkSync(`${mount}/dir/${name}`);
          removed++;
        }
      }
      same([removed, list(`${mount}/dir`)], [1000, []], "removed, and left");
      fs.rmdirSync(`${mount}/dir`);
    },
  },
  {
    name: "what was there all along is shown once, whatever comes and goes meanwhile",
    why: "POSIX readdir()",
    prepare: (lower) => many(`${lower}/dir`, 300),
    run: (mount) => {
      const dir = new Directory(`${mount}/dir`);
      const seen: string[] = [];
      for (let round = 0, some = dir.some(512); some.length > 0; round++, some = dir.some(512)) {
        seen.push(...names(some));
        put(`${mount}/dir/new${round}`);
        if (round > 0) fs.renameSync(`${mount}/dir/new${round - 1}`, `${mount}/dir/old${round - 1}`);
        append(`${mount}/dir/n${round}`, "+");
      }
      const old = seen.filter((name) => name.startsWith("n") && !name.startsWith("new"));
      same([old.length, new Set(old).size], [300, 300], "entries from before, and different ones");
    },
  },
  {
    name: "rewinding shows what is there now",
    why: "POSIX rewinddir()",
    prepare: (lower) => tree(lower, ["dir/", "dir/a", "dir/b"]),
    run: (mount) => {
      const dir = new Directory(`${mount}/dir`);
      same(names(dir.rest()).toSorted(), ["a", "b"], "names");
      put(`${mount}/dir/c`);
      fs.unlinkSync(`${mount}/dir/a`);
      dir.seek(0n);
      same(names(dir.rest()).toSorted(), ["b", "c"], "names after changes");
    },
  },
  {
    name: "a directory that was listed shows each change the next time",
    why: "what the kernel keeps of directories must not be old",
    prepare: (lower) => tree(lower, ["dir/", "dir/a", "dir/sub/", "other/"]),
    run: (mount) => {
      const check = (wanted: readonly string[], when: string): void => same(list(`${mount}/dir`), wanted, when);
      check(["a", "sub"], "at first");
      put(`${mount}/dir/b`);
      check(["a", "b", "sub"], "after create");
      fs.renameSync(`${mount}/dir/a`, `${mount}/dir/c`);
      check(["b", "c", "sub"], "after rename");
      fs.renameSync(`${mount}/dir/c`, `${mount}/other/c`);
      check(["b", "sub"], "after rename away");
      fs.linkSync(`${mount}/other/c`, `${mount}/dir/d`);
      check(["b", "d", "sub"], "after link");
      fs.unlinkSync(`${mount}/dir/b`);
      check(["d", "sub"], "after unlink");
      sh(`touch '${mount}/dir/e'; mkdir '${mount}/dir/f'; rmdir '${mount}/dir/sub'; ln -s x '${mount}/dir/g'`);
      check(["d", "e", "f", "g"], "after another process's changes");
      fs.renameSync(`${mount}/other`, `${mount}/dir/f`);
      same(list(`${mount}/dir/f`), ["c"], "entries of what was renamed over");
    },
  },
  {
    name: "two who read one directory don't disturb each other",
    why: "POSIX opendir()",
    prepare: (lower) => many(`${lower}/dir`, 200),
    run: (mount) => {
      const [a, b] = [new Directory(`${mount}/dir`), new Directory(`${mount}/dir`)];
      const [fromA, fromB]: [string[], string[]] = [[], []];
      for (let more = true; more;) {
        const [x, y] = [a.some(512), b.some(1024)];
        fromA.push(...names(x));
        fromB.push(...names(y));
        more = x.length + y.length > 0;
      }
      same([new Set(fromA).size, fromA.length, fromB.length], [200, 200, 200], "entries");
    },
  },
  {
    name: "20,000 files from below are listed, and removed by rm -rf",
    why: "large directories",
    deadlineSeconds: 60,
    prepare: (lower) => many(`${lower}/dir`, 20_000),
    run: (mount, place) => {
      put(`${mount}/dir/new`);
      same(new Set(list(`${mount}/dir`)).size, 20_001, "names");
      same(
        sh(`find '${mount}/dir' -name 'n[0-9]*' -newermt 2000-01-01 | wc -l`).trim(),
        "20000",
        "names that find sees",
      );
      sh(`rm -rf '${mount}/dir'`);
      same(exists(`${mount}/dir`), false, "the directory is there");
      place.remount();
      same(list(mount), [], "names after remount");
    },
  },
  {
    name: "10,000 new files beside those from below are listed, and removed by rm -rf",
    why: "large merged directories",
    deadlineSeconds: 60,
    prepare: (lower) => many(`${lower}/dir`, 2000),
    run: (mount) => {
      many(`${mount}/dir`, 8000, "m");
      same(new Set(list(`${mount}/dir`)).size, 10_000, "names");
      sh(`rm -rf '${mount}/dir'`);
      same(list(mount), [], "names");
    },
  },
]);
