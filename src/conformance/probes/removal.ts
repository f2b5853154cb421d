import * as fs from "node:fs";
import { fails, holds, same } from "../kit/assert.ts";
import { entries } from "../kit/directory.ts";
import { append, exists, list, makeNode, O, open, put, stat, S_IFCHR, S_IFIFO, text, tree } from "../kit/files.ts";
import { sh } from "../kit/program.ts";
import { getXattr, listXattrs, setXattr } from "../kit/xattr.ts";
import type { Place } from "../place.ts";
import { as, bob } from "../kit/user.ts";
import { area } from "../probe.ts";

const docs = "overlayfs.rst, whiteouts and opaque directories";

export const removal = area("removal", [
  {
    name: "a removed file from below is gone, and stays so",
    why: docs,
    prepare: (lower) => tree(lower, ["a", "b", "dir/", "dir/c"]),
    run: (mount, place) => {
      fs.unlinkSync(`${mount}/a`);
      fs.unlinkSync(`${mount}/dir/c`);
      const check = (): void => {
        fails("ENOENT", () => stat(`${mount}/a`), "stat");
        fails("ENOENT", () => open(`${mount}/dir/c`), "open");
        fails("ENOENT", () => fs.unlinkSync(`${mount}/a`), "unlink");
        same([list(mount), list(`${mount}/dir`)], [["b", "dir"], []], "names");
      };
      check();
      place.remount();
      check();
    },
  },
  {
    name: "a removed name's new file has nothing of the old one",
    why: docs,
    prepare: (lower) => {
      put(`${lower}/file`, "old content", 0o4755);
      setXattr(`${lower}/file`, "user.old", "x");
    },
    run: (mount, place) => {
      fs.unlinkSync(`${mount}/file`);
      put(`${mount}/file`, "new", 0o600);
      place.remount();
      same(text(`${mount}/file`), "new", "content");
      same(Number(stat(`${mount}/file`).mode & 0o7777n), 0o600, "mode");
      same(listXattrs(`${mount}/file`), [], "attributes");
    },
  },
  {
    name: "a removed directory's new one is empty, and stays so",
    why: docs,
    prepare: (lower) => tree(lower, ["dir/sub/", "dir/sub/deep", "dir/file"]),
    run: (mount, place) => {
      fs.rmSync(`${mount}/dir`, { recursive: true });
      same(list(mount), [], "names");
      fs.mkdirSync(`${mount}/dir`);
      same(list(`${mount}/dir`), [], "entries");
      fs.mkdirSync(`${mount}/dir/sub`);
      place.remount();
      same([list(`${mount}/dir`), list(`${mount}/dir/sub`)], [["sub"], []], "entries after remount");
    },
  },
  {
    name: "anything can be made where something was removed",
    why: docs,
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["a", "b", "c", "d", "e/", "e/x", "f/", "f/x", "g"]),
    run: (mount, place) => {
      for (const name of ["a", "b", "c", "d", "e", "f", "g"]) fs.rmSync(`${mount}/${name}`, { recursive: true });
      fs.mkdirSync(`${mount}/a`);
      fs.symlinkSync("target", `${mount}/b`);
      makeNode(`${mount}/c`, S_IFCHR | 0o600, 1, 3);
      makeNode(`${mount}/d`, S_IFIFO | 0o600);
      put(`${mount}/e`, "file");
      fs.symlinkSync("target", `${mount}/f`);
      fs.renameSync(`${mount}/e`, `${mount}/g`);
      const types = (): string[] =>
        entries(mount)
          .map(({ name, type }) => `${name}${type}`)
          .toSorted();
      const wanted = ["a4", "b10", "c2", "d1", "f10", "g8"];
      same(types(), wanted, "names and types");
      place.remount();
      same(types(), wanted, "names and types after remount");
      same(list(`${mount}/a`), [], "entries of a");
    },
  },
  {
    name: "a full directory can't be removed, an emptied one can",
    why: "POSIX rmdir()",
    prepare: (lower, { bottom }) => {
      tree(lower, ["dir/", "dir/a"]);
      tree(bottom, ["dir/", "dir/b", "low/", "low/x"]);
    },
    run: (mount, place) => {
      fails(["ENOTEMPTY", "EEXIST"], () => fs.rmdirSync(`${mount}/dir`), "of a full one");
      fs.unlinkSync(`${mount}/dir/a`);
      fails(["ENOTEMPTY", "EEXIST"], () => fs.rmdirSync(`${mount}/dir`), "while one from the lowest layer is left");
      fs.unlinkSync(`${mount}/dir/b`);
      fs.rmdirSync(`${mount}/dir`);
      fs.unlinkSync(`${mount}/low/x`);
      fs.rmdirSync(`${mount}/low`);
      place.remount();
      same(list(mount), [], "names");
    },
  },
  {
    name: "a directory that holds only removed names is empty: rmdir, rename over it",
    why: "whiteouts aren't seen",
    prepare: (lower) => tree(lower, ["a/", "a/1", "a/2", "b/", "b/1", "c/", "c/1"]),
    run: (mount, place) => {
      for (const name of ["a/1", "a/2", "b/1"]) fs.unlinkSync(`${mount}/${name}`);
      place.remount();
      fs.rmdirSync(`${mount}/a`);
      fs.renameSync(`${mount}/c`, `${mount}/b`);
      place.remount();
      same([list(mount), list(`${mount}/b`)], [["b"], ["1"]], "names");
      same(text(`${mount}/b/1`), "c/1", "content");
    },
  },
  {
    name: "removing what several layers have hides it in all",
    why: "overlayfs.rst, Multiple lower layers",
    prepare: (lower, { bottom }) => {
      tree(lower, ["file", "dir/", "dir/x"]);
      tree(bottom, ["file", "dir/", "dir/x", "dir/y"]);
    },
    run: (mount, place) => {
      append(`${mount}/file`, "+");
      fs.unlinkSync(`${mount}/file`);
      fs.unlinkSync(`${mount}/dir/x`);
      same([list(mount), list(`${mount}/dir`)], [["dir"], ["y"]], "names");
      place.remount();
      same([list(mount), list(`${mount}/dir`)], [["dir"], ["y"]], "names after remount");
    },
  },
  {
    name: "unlink of a directory and rmdir of a file are refused",
    why: "POSIX unlink(): EPERM, Linux: EISDIR; rmdir(): ENOTDIR",
    prepare: (lower) => tree(lower, ["file", "dir/"]),
    run: (mount) => {
      fails("EISDIR", () => fs.unlinkSync(`${mount}/dir`), "unlink of a directory");
      fails("ENOTDIR", () => fs.rmdirSync(`${mount}/file`), "rmdir of a file");
      fails(["EINVAL", "ENOTEMPTY"], () => fs.rmdirSync(`${mount}/dir/.`), "rmdir of .");
    },
  },
  {
    name: "names that look like other unions' marks are names",
    why: "aufs's .wh.NAME, our own work files: no name may vanish",
    prepare: (lower) => tree(lower, ["name", ".wh.below"]),
    run: (mount, place) => {
      const names = [".wh.name", ".wh..wh..opq", ".wh..wh..plnk", "#whiteout", "#1", "work", "index", ".unionfs"];
      for (const name of names) put(`${mount}/${name}`, name);
      const check = (): void => {
        same(list(mount), [...names, "name", ".wh.below"].toSorted(), "names");
        for (const name of names) same(text(`${mount}/${name}`), name, `content of ${name}`);
      };
      check();
      place.remount();
      check();
    },
  },
  {
    name: "attributes that are overlayfs's marks are attributes",
    why: "overlayfs.rst, Nesting: what a union on top of this one writes must come back, and mean nothing here",
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["dir/", "dir/below", "file"]),
    run: (mount, place) => {
      setXattr(`${mount}/dir`, "trusted.overlay.opaque", "y");
      setXattr(`${mount}/file`, "trusted.overlay.metacopy", "");
      setXattr(`${mount}/dir`, "trusted.overlay.redirect", "/elsewhere");
      const check = (): void => {
        same(getXattr(`${mount}/dir`, "trusted.overlay.opaque").toString(), "y", "trusted.overlay.opaque");
        same(getXattr(`${mount}/dir`, "trusted.overlay.redirect").toString(), "/elsewhere", "trusted.overlay.redirect");
        same(listXattrs(`${mount}/dir`), ["trusted.overlay.opaque", "trusted.overlay.redirect"], "attributes of dir");
        same(list(`${mount}/dir`), ["below"], "entries");
        same(text(`${mount}/file`), "file", "content");
      };
      check();
      place.remount();
      check();
    },
  },
  {
    name: "a device 0:0 can be made, seen and removed",
    why: "it is a device like others, and what a union on top of this one needs",
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["dir/", "dir/below"]),
    run: (mount, place) => {
      makeNode(`${mount}/device`, S_IFCHR | 0o600);
      fs.unlinkSync(`${mount}/dir/below`);
      makeNode(`${mount}/dir/below`, S_IFCHR | 0o600);
      const check = (): void => {
        for (const name of ["device", "dir/below"]) {
          const { mode, rdev } = stat(`${mount}/${name}`);
          same([mode, rdev], [BigInt(S_IFCHR | 0o600), 0n], name);
          const marks = listXattrs(`${mount}/${name}`).filter((attribute) => attribute.startsWith("trusted."));
          same(marks, [], `attributes of ${name}`);
        }
        same([list(mount), list(`${mount}/dir`)], [["device", "dir"], ["below"]], "names");
      };
      check();
      place.remount();
      check();
      fs.unlinkSync(`${mount}/dir/below`);
      same(exists(`${mount}/dir/below`), false, "it is there after unlink");
      fs.rmdirSync(`${mount}/dir`);
    },
  },
  {
    name: "rm -r, tar and again, as packages are upgraded",
    why: "every name comes and goes a few times",
    prepare: (lower) => tree(lower, ["usr/bin/", "usr/bin/a", "usr/lib/x/", "usr/lib/x/y", "usr/z"]),
    run: (mount, place) => {
      sh(
        "tar cf /dev/shm/conformance.$$.tar usr; for i in 1 2 3; do rm -r usr; tar xf /dev/shm/conformance.$$.tar; done; rm /dev/shm/conformance.$$.tar",
        mount,
      );
      place.remount();
      same(sh("find . -type f | sort | xargs cat", mount), "usr/bin/ausr/lib/x/yusr/z", "contents");
      holds(sh("find . | wc -l", mount).trim() === "8", "number of names");
    },
  },
]);

/** What is in the layers themselves, as other programs write it. */
export const layered = area("layers", [
  {
    name: "whiteouts, opaque directories and marked whiteouts in a lower layer hide what is below",
    why: docs,
    needs: ["union", "privilege"],
    prepare: (lower, { bottom }) => {
      tree(bottom, ["gone", "marked/", "marked/gone", "marked/there", "opaque/", "opaque/x", "dir/", "dir/x"]);
      tree(lower, ["opaque/", "opaque/y", "marked/"]);
      makeNode(`${lower}/gone`, S_IFCHR | 0o600);
      makeNode(`${lower}/dir`, S_IFCHR | 0o600);
      setXattr(`${lower}/opaque`, "trusted.overlay.opaque", "y");
      put(`${lower}/marked/gone`);
      setXattr(`${lower}/marked/gone`, "trusted.overlay.whiteout", "");
      setXattr(`${lower}/marked`, "trusted.overlay.opaque", "x");
    },
    run: (mount) => {
      same(
        [list(mount), list(`${mount}/opaque`), list(`${mount}/marked`)],
        [["marked", "opaque"], ["y"], ["there"]],
        "names",
      );
      for (const name of ["gone", "dir", "marked/gone", "opaque/x"])
        same(exists(`${mount}/${name}`), false, `${name} is there`);
    },
  },
  {
    name: "the topmost layer wins: file over directory, directory over file",
    why: "overlayfs.rst, Directories",
    needs: ["union"],
    prepare: (lower, { bottom }) => {
      tree(lower, ["a", "b/", "b/x", "c/"]);
      tree(bottom, ["a/", "a/y", "b", "c/z/"]);
    },
    run: (mount) => {
      same(
        entries(mount)
          .map(({ name, type }) => `${name}${type}`)
          .toSorted(),
        ["a8", "b4", "c4"],
        "names and types",
      );
      same([list(`${mount}/b`), list(`${mount}/c`)], [["x"], ["z"]], "entries");
    },
  },
  {
    name: "attributes of a merged directory are the topmost layer's",
    why: "overlayfs.rst, Directories",
    needs: ["union"],
    prepare: (lower, { bottom }) => {
      for (const [layer, mode] of [
        [lower, 0o711],
        [bottom, 0o755],
      ] as const) {
        tree(layer, ["dir/"]);
        fs.chmodSync(`${layer}/dir`, mode);
        setXattr(`${layer}/dir`, "user.mode", String(mode));
      }
    },
    run: (mount) => {
      same(Number(stat(`${mount}/dir`).mode & 0o7777n), 0o711, "mode");
      same(getXattr(`${mount}/dir`, "user.mode").toString(), String(0o711), "user.mode");
    },
  },
  ...(["squashfs", "erofs"] as const).map((arrangement) => ({
    name: `a lower layer on ${arrangement}`,
    why: "images of roots: nothing there can be written to, squashfs may have no extended attributes",
    needs: ["union", "privilege"] as const,
    arrangement,
    prepare: (lower: string) => {
      tree(lower, ["dir/", "dir/a", "dir/b", "file", "other", "moving/", "moving/x"]);
      fs.linkSync(`${lower}/file`, `${lower}/link`);
      fs.chownSync(`${lower}/other`, 1001, 1001);
    },
    run: (mount: string, place: Place) => {
      const inos = ["file", "dir/a", "other"].map((name) => stat(`${mount}/${name}`).ino);
      as(bob, () => {
        same(text(`${mount}/dir/a`), "dir/a", "content, by a user");
        fails("EACCES", () => open(`${mount}/other`, O.WRONLY), "opening for writing by another user");
      });
      same(listXattrs(`${mount}/file`), [], "attributes");
      append(`${mount}/file`, "+");
      fs.chmodSync(`${mount}/dir/a`, 0o600);
      fs.unlinkSync(`${mount}/dir/b`);
      setXattr(`${mount}/other`, "user.a", "b");
      fs.renameSync(`${mount}/moving`, `${mount}/moved`);
      fs.rmSync(`${mount}/moved/x`);
      const check = (): void => {
        same(
          [text(`${mount}/link`), text(`${mount}/dir/a`), text(`${mount}/other`)],
          ["file+", "dir/a", "other"],
          "contents",
        );
        same([list(mount), list(`${mount}/dir`)], [["dir", "file", "link", "moved", "other"], ["a"]], "names");
        same(
          ["file", "dir/a", "other"].map((name) => stat(`${mount}/${name}`).ino),
          inos,
          "inodes",
        );
      };
      check();
      place.remount();
      check();
    },
  })),
  {
    name: "nothing but an upper layer is changed",
    why: "lower layers are shared",
    needs: ["union"],
    prepare: (lower, { bottom }) => {
      for (const layer of [lower, bottom]) tree(layer, ["dir/", "dir/a", "dir/b", "dir/sub/", "file"]);
    },
    run: (mount, { layers }) => {
      const shown = (): string[] =>
        [layers.lower, layers.bottom].map((path) =>
          sh("find . -printf '%p %i %m %U %G %n %s %T@ %C@\\n' | sort; find . -type f | xargs cat", path),
        );
      const before = shown();
      append(`${mount}/dir/a`, "+");
      fs.unlinkSync(`${mount}/dir/b`);
      fs.chmodSync(`${mount}/dir`, 0o700);
      fs.linkSync(`${mount}/file`, `${mount}/link`);
      fs.renameSync(`${mount}/dir`, `${mount}/moved`);
      text(`${mount}/file`);
      same(shown(), before, "the lower layers");
    },
  },
]);
