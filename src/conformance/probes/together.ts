import * as fs from "node:fs";
import { holds, same } from "../kit/assert.ts";
import { list, put, stat, text, tree } from "../kit/files.ts";
import { ended, sh, start } from "../kit/program.ts";
import { area } from "../probe.ts";

/** Runs a script in so many shells at once; $0 is the number of each. @returns statuses */
function shells(count: number, script: string, cwd: string): Promise<(number | null)[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => ended(start(["sh", "-c", script, String(i)], cwd))));
}

export const together = area("many at once", [
  {
    name: "of those who make one name with O_EXCL one succeeds",
    why: "POSIX open(): lock files",
    deadlineSeconds: 20,
    prepare: (lower) => tree(lower, ["gone", "dir/"]),
    run: async (mount) => {
      fs.unlinkSync(`${mount}/gone`);
      for (const name of ["new", "gone", "dir/x"]) {
        const statuses = await shells(6, `set -C; echo $0 >'${name}'`, mount);
        same(statuses.filter((status) => status === 0).length, 1, `who made ${name}`);
      }
    },
  },
  {
    name: "mkdir -p of one tree by many makes it once",
    why: "make -j",
    deadlineSeconds: 20,
    prepare: (lower) => tree(lower, ["a/b/", "gone/x/"]),
    run: async (mount) => {
      fs.rmSync(`${mount}/gone`, { recursive: true });
      same(
        await shells(8, "mkdir -p a/b/c/d gone/x/y && touch a/b/c/d/$0 gone/x/y/$0", mount),
        Array.from({ length: 8 }, () => 0),
        "statuses",
      );
      same([list(`${mount}/a/b/c/d`).length, list(`${mount}/gone/x/y`).length], [8, 8], "files");
    },
  },
  {
    name: "many who write, rename and remove in one directory leave what they should",
    why: "builds",
    deadlineSeconds: 30,
    prepare: (lower) => {
      for (let i = 0; i < 6; i++) tree(lower, [`d/`, `d/old${i}`]);
    },
    run: async (mount) => {
      const script =
        "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i >d/t$0.$i; mv d/t$0.$i d/f$0.$i; done; rm d/old$0; rm d/f$0.1; cat d/f$0.* >d/all$0";
      same(await shells(6, script, mount), [0, 0, 0, 0, 0, 0], "statuses");
      same(list(`${mount}/d`).length, 6 * 10, "files");
      for (let i = 0; i < 6; i++) same(text(`${mount}/d/all${i}`).split("\n").length, 10, `lines of all${i}`);
    },
  },
  {
    name: "trees are copied, compared, packed and removed as by one",
    why: "cp -a, diff -r, tar, rm -rf",
    deadlineSeconds: 30,
    prepare: (lower) => {
      for (let i = 0; i < 20; i++) {
        tree(lower, [`t/d${i}/e/`]);
        for (let j = 0; j < 10; j++) put(`${lower}/t/d${i}/e/f${j}`, "x".repeat(i * 100 + j));
      }
    },
    run: (mount) => {
      sh(
        "cp -a t copy; diff -r t copy; mv t/d1 t/d2/; cp -al copy links; find links -name f3 -delete; tar cf - copy | tar df -; rm -rf t links",
        mount,
      );
      same(sh("find copy -type f | wc -l", mount).trim(), "200", "files left");
      same(stat(`${mount}/copy/d5/e/f3`).nlink, 1n, "links of one whose link was deleted");
      same(list(mount), ["copy"], "names");
    },
  },
  {
    name: "a compiler's pattern: many small files, each written, renamed, read",
    why: "builds",
    deadlineSeconds: 30,
    prepare: (lower) => tree(lower, ["src/"]),
    run: (mount) => {
      for (let i = 0; i < 500; i++) {
        put(`${mount}/src/t`, `content ${i}`);
        fs.renameSync(`${mount}/src/t`, `${mount}/src/o${i}`);
        holds(text(`${mount}/src/o${i}`) === `content ${i}`, `file ${i} reads else`);
      }
      same(list(`${mount}/src`).length, 500, "files");
    },
  },
]);
