import * as fs from "node:fs";
import { holds, same } from "../kit/assert.ts";
import { append, fstat, keep, list, open, O, put, read, text, tree, write } from "../kit/files.ts";
import { sh } from "../kit/program.ts";
import { area } from "../probe.ts";

export const stacking = area("stacking", [
  {
    name: "overlayfs takes its upper from the mount",
    why: "containers in containers; overlayfs refuses an upper on overlayfs",
    needs: ["privilege"],
    prepare: (lower) =>
      tree(lower, ["l/dir/", "l/dir/a", "l/dir/b", "l/file", "l/moving/", "l/moving/x", "u/", "w/", "m/"]),
    run: (mount, place) => {
      const options = (more: string): string => `lowerdir=l,upperdir=u,workdir=w${more}`;
      for (const [round, more] of ["", ",redirect_dir=on,metacopy=on"].entries()) {
        sh(`mount -t overlay -o ${options(more)} overlay m`, mount);
        try {
          if (round === 0) {
            append(`${mount}/m/dir/a`, "+");
            fs.unlinkSync(`${mount}/m/dir/b`);
            fs.rmSync(`${mount}/m/file`);
            put(`${mount}/m/new`, "new");
          } else {
            fs.renameSync(`${mount}/m/moving`, `${mount}/m/moved`);
            fs.chmodSync(`${mount}/m/dir/a`, 0o600);
          }
          const moving = round === 0 ? "moving" : "moved";
          same(
            [list(`${mount}/m`), list(`${mount}/m/dir`), list(`${mount}/m/${moving}`)],
            [["dir", moving, "new"].toSorted(), ["a"], ["x"]],
            "names",
          );
          same([text(`${mount}/m/dir/a`), text(`${mount}/m/${moving}/x`)], ["l/dir/a+", "l/moving/x"], "contents");
        } finally {
          sh("umount m", mount);
        }
      }
      place.remount();
      sh(`mount -t overlay -o ${options(",redirect_dir=on,metacopy=on")} overlay m`, mount);
      same(list(`${mount}/m`), ["dir", "moved", "new"], "names after remount");
      sh("umount m", mount);
    },
  },
  {
    name: "overlayfs takes the mount as its lower layer",
    why: "overlayfs.rst, Nesting",
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["l/", "l/a", "l/gone", "l/dir/", "l/dir/x"]),
    run: (mount, { outside }) => {
      fs.unlinkSync(`${mount}/l/gone`);
      append(`${mount}/l/a`, "+");
      sh(`mkdir u w m; mount -t overlay -o lowerdir='${mount}/l',upperdir=u,workdir=w overlay m`, outside);
      try {
        same([list(`${outside}/m`), text(`${outside}/m/a`)], [["a", "dir"], "l/a+"], "names and content");
        append(`${outside}/m/dir/x`, "+");
        fs.unlinkSync(`${outside}/m/a`);
        same([text(`${mount}/l/dir/x`), text(`${mount}/l/a`)], ["l/dir/x", "l/a+"], "what is below");
      } finally {
        sh("umount m", outside);
      }
    },
  },
  {
    name: "another mount of the same kind has its upper on the mount",
    why: "unions in unions",
    needs: ["union", "privilege"],
    prepare: (lower) => tree(lower, ["l/dir/", "l/dir/a", "l/gone", "u/", "w/", "m/"]),
    run: (mount, { system }) => {
      system.mount({ lowers: [`${mount}/l`], upper: `${mount}/u`, work: `${mount}/w` }, `${mount}/m`, []);
      try {
        append(`${mount}/m/dir/a`, "+");
        fs.unlinkSync(`${mount}/m/gone`);
        put(`${mount}/m/new`, "new");
        fs.renameSync(`${mount}/m/dir/a`, `${mount}/m/b`);
        same([list(`${mount}/m`), text(`${mount}/m/b`)], [["b", "dir", "new"], "l/dir/a+"], "names and content");
        same([list(`${mount}/l`), list(`${mount}/u`).includes("b")], [["dir", "gone"], true], "names in its layers");
      } finally {
        sh("umount m", mount);
      }
    },
  },
]);

export const changedBelow = area("layers that change", [
  {
    name: "a file that is changed below is old or new, never else",
    why: "overlayfs.rst, Changes to underlying filesystems: undefined, but no crash",
    needs: ["union"],
    prepare: (lower) => put(`${lower}/file`, "a".repeat(5000)),
    run: (mount, { layers }) => {
      text(`${mount}/file`);
      const fd = open(`${mount}/file`);
      put(`${layers.lower}/file`, "b".repeat(5000));
      for (const content of [text(`${mount}/file`), read(fd, 5000)]) {
        holds(content === "a".repeat(5000) || content === "b".repeat(5000), "neither old nor new");
      }
      append(`${mount}/file`, "+");
      holds(
        ["a", "b"].some((c) => text(`${mount}/file`) === `${c.repeat(5000)}+`),
        "neither old nor new after copy-up",
      );
    },
  },
  {
    name: "files and directories that vanish below are errors, and the mount lives",
    why: "overlayfs.rst, Changes to underlying filesystems",
    needs: ["union"],
    prepare: (lower) => tree(lower, ["dir/sub/", "dir/sub/x", "dir/file", "there"]),
    run: (mount, { layers }) => {
      sh(`find '${mount}' | xargs stat`);
      const fd = open(`${mount}/dir/file`);
      fs.rmSync(`${layers.lower}/dir`, { recursive: true });
      const tries: readonly (() => unknown)[] = [
        () => text(`${mount}/dir/file`),
        () => append(`${mount}/dir/file`, "+"),
        () => list(`${mount}/dir`),
        () => list(`${mount}/dir/sub`),
        () => put(`${mount}/dir/sub/new`),
        () => fs.chmodSync(`${mount}/dir/sub`, 0o700),
        () => fs.renameSync(`${mount}/dir`, `${mount}/moved`),
        () => read(fd),
        () => fs.rmSync(`${mount}/dir`, { recursive: true }),
      ];
      for (const attempt of tries) {
        try {
          attempt();
        } catch (error) {
          const code = error instanceof Error && "code" in error ? String(error.code) : "";
          if (!["ENOENT", "ESTALE", "EIO", "ENOTDIR", "ENOTEMPTY"].includes(code)) throw error;
        }
      }
      same(text(`${mount}/there`), "there", "another file");
      put(`${mount}/new`, "new");
      same(text(`${mount}/new`), "new", "a new file");
    },
  },
  {
    name: "a directory that becomes a file below, and a file a link, are no way out",
    why: "layers are hostile",
    needs: ["union"],
    prepare: (lower) => tree(lower, ["dir/", "dir/file", "file"]),
    run: (mount, { layers, outside }) => {
      tree(outside, ["file", "secret"]);
      sh(`find '${mount}' | xargs stat`);
      fs.rmSync(`${layers.lower}/dir`, { recursive: true });
      fs.symlinkSync(outside, `${layers.lower}/dir`);
      fs.rmSync(`${layers.lower}/file`);
      fs.symlinkSync(`${outside}/secret`, `${layers.lower}/file`);
      for (const name of ["dir/file", "dir/secret", "file"]) {
        try {
          const fd = keep(fs.openSync(`${mount}/${name}`, O.RDWR | O.NOFOLLOW));
          write(fd, "X");
        } catch (error) {
          const code = error instanceof Error && "code" in error ? String(error.code) : "";
          if (!["ENOENT", "ESTALE", "EIO", "ENOTDIR", "ELOOP"].includes(code)) throw error;
        }
      }
      same([text(`${outside}/file`), text(`${outside}/secret`)], ["file", "secret"], "what lies outside");
      same(fstat(open(mount)).nlink > 0n, true, "the mount lives");
    },
  },
  {
    name: "an upper and its lower that were changed while not mounted are shown as they are",
    why: "overlayfs.rst: offline changes to the upper are allowed",
    needs: ["union"],
    prepare: (lower) => tree(lower, ["dir/", "dir/a", "b"]),
    run: (mount, place) => {
      append(`${mount}/b`, "+");
      place.remount(() => {
        put(`${place.layers.upper}/b`, "offline");
        tree(place.layers.upper, ["made/", "made/x"]);
        put(`${place.layers.lower}/late`, "late");
      });
      same(
        [text(`${mount}/b`), text(`${mount}/made/x`), text(`${mount}/late`)],
        ["offline", "made/x", "late"],
        "contents",
      );
      same(list(mount), ["b", "dir", "late", "made"], "names");
    },
  },
]);
