import * as fs from "node:fs";
import { fails, same } from "../kit/assert.ts";
import { append, exists, list, open, put, stat, text, tree } from "../kit/files.ts";
import { area } from "../probe.ts";

const bytes = Array.from({ length: 255 }, (_, i) => i + 1).filter((byte) => byte !== 0x2f);
const below = (top: string, name: Buffer): Buffer => Buffer.concat([Buffer.from(`${top}/`), name]);

/** Names in which every byte comes that may. */
const everyByte = bytes.map((byte) => Buffer.from([0x78, byte, 0x79]));

export const naming = area("names", [
  {
    name: "may be 255 bytes long and no longer",
    why: "POSIX NAME_MAX, ENAMETOOLONG",
    prepare: (lower) => put(`${lower}/${"l".repeat(255)}`, "below"),
    run: (mount, place) => {
      const [long, tooLong] = ["n".repeat(255), "n".repeat(256)];
      append(`${mount}/${"l".repeat(255)}`, "+");
      put(`${mount}/${long}`, "x");
      fs.renameSync(`${mount}/${long}`, `${mount}/${"m".repeat(255)}`);
      fs.mkdirSync(`${mount}/${"d".repeat(255)}`);
      for (const [what, attempt] of [
        ["open", () => void open(`${mount}/${tooLong}`)],
        ["create", () => put(`${mount}/${tooLong}`)],
        ["mkdir", () => fs.mkdirSync(`${mount}/${tooLong}`)],
        ["symlink", () => fs.symlinkSync("x", `${mount}/${tooLong}`)],
        ["stat", () => void stat(`${mount}/${tooLong}`)],
        ["link", () => fs.linkSync(`${mount}/${"m".repeat(255)}`, `${mount}/${tooLong}`)],
        ["rename", () => fs.renameSync(`${mount}/${"m".repeat(255)}`, `${mount}/${tooLong}`)],
        ["unlink", () => fs.unlinkSync(`${mount}/${tooLong}`)],
      ] as const) {
        fails("ENAMETOOLONG", attempt, what);
      }
      place.remount();
      same(
        list(mount).map((name) => `${name[0]}${name.length}`),
        ["d255", "l255", "m255"],
        "names",
      );
      same(text(`${mount}/${"l".repeat(255)}`), "below+", "content");
      fs.unlinkSync(`${mount}/${"l".repeat(255)}`);
      same(exists(`${mount}/${"l".repeat(255)}`), false, "the removed one is there");
    },
  },
  {
    name: "may hold any bytes but / and NUL, from below",
    why: "names are bytes, not text",
    prepare: (lower) => {
      for (const name of everyByte) fs.writeFileSync(below(lower, name), name);
    },
    run: (mount, place) => {
      same(list(mount).length, everyByte.length, "names");
      for (const [index, name] of everyByte.entries()) {
        if (index % 3 === 0) fs.unlinkSync(below(mount, name));
        if (index % 3 === 1) fs.appendFileSync(below(mount, name), "+");
      }
      place.remount();
      for (const [index, name] of everyByte.entries()) {
        const wanted = index % 3 === 0 ? undefined : `${name.toString("latin1")}${index % 3 === 1 ? "+" : ""}`;
        const is = exists(below(mount, name)) ? fs.readFileSync(below(mount, name)).toString("latin1") : undefined;
        same(is, wanted, `content of ${JSON.stringify(name.toString("latin1"))}`);
      }
    },
  },
  {
    name: "may hold any bytes but / and NUL, of all that is made",
    why: "names are bytes, not text",
    run: (mount, place) => {
      for (const [index, name] of everyByte.entries()) {
        const path = below(mount, name);
        if (index % 4 === 0) fs.mkdirSync(path);
        else if (index % 4 === 1) fs.symlinkSync(name, path);
        else put(path, name);
        if (index % 4 === 3) fs.renameSync(path, Buffer.concat([path, Buffer.from([0xff])]));
      }
      place.remount();
      same(
        list(mount),
        everyByte.map((name, index) => name.toString("latin1") + (index % 4 === 3 ? "\xff" : "")).toSorted(),
        "names",
      );
      const link = everyByte[1] ?? Buffer.alloc(0);
      same(fs.readlinkSync(below(mount, link), "buffer").equals(link), true, "a link's target is the same bytes");
    },
  },
  {
    name: "that differ in case, or in how a letter is composed, are different",
    why: "names are bytes, not text",
    prepare: (lower) => tree(lower, ["Name", "e\u0301"]),
    run: (mount) => {
      put(`${mount}/name`, "small");
      put(`${mount}/\u00e9`, "composed");
      same(list(mount).length, 4, "names");
      same([text(`${mount}/Name`), text(`${mount}/e\u0301`)], ["Name", "e\u0301"], "contents from below");
      same(exists(`${mount}/NAME`), false, "NAME is there");
    },
  },
  {
    name: "of up to 4095 bytes of path are found, longer ones not",
    why: "POSIX PATH_MAX",
    prepare: (lower) => {
      fs.mkdirSync(`${lower}/${`${"d".repeat(200)}/`.repeat(15)}`, { recursive: true });
    },
    run: (mount) => {
      const path = `${mount}/${`${"d".repeat(200)}/`.repeat(15)}`;
      const fill = path.padEnd(3900, "/");
      put(`${fill}file`, "deep");
      same(text(`${path}file`), "deep", "content");
      fails("ENAMETOOLONG", () => open(path.padEnd(4096, "/")), "a path of 4096 bytes");
      same(
        text(`${mount}//.//./${"d".repeat(200)}/../${path.slice(mount.length + 1)}file`),
        "deep",
        "through . and ..",
      );
    },
  },
  {
    name: "with a slash at the end are directories",
    why: "POSIX path resolution",
    prepare: (lower) => tree(lower, ["file", "dir/"]),
    run: (mount) => {
      fails("ENOTDIR", () => open(`${mount}/file/`), "open of a file");
      fails("ENOTDIR", () => fs.unlinkSync(`${mount}/file/`), "unlink of a file");
      fails("ENOTDIR", () => fs.renameSync(`${mount}/file`, `${mount}/new/`), "rename of a file");
      fs.mkdirSync(`${mount}/made/`);
      fs.renameSync(`${mount}/dir/`, `${mount}/moved/`);
      fails("EISDIR", () => put(`${mount}/none/`), "creating a file");
      same(list(mount), ["file", "made", "moved"], "names");
    },
  },
  {
    name: ". and .. lead where they should, and can't be made or removed",
    why: "POSIX path resolution",
    prepare: (lower) => tree(lower, ["dir/sub/", "file"]),
    run: (mount) => {
      same(stat(`${mount}/dir/sub/..`).ino, stat(`${mount}/dir`).ino, "..");
      same(stat(`${mount}/dir/sub/../..`).ino, stat(mount).ino, ".. twice");
      same(stat(`${mount}/dir/.`).ino, stat(`${mount}/dir`).ino, ".");
      fails("EEXIST", () => fs.mkdirSync(`${mount}/dir/.`), "mkdir of .");
      fails("EEXIST", () => fs.mkdirSync(`${mount}/dir/..`), "mkdir of ..");
      fails(["ENOTEMPTY", "EINVAL"], () => fs.rmdirSync(`${mount}/dir/..`), "rmdir of ..");
      fails("ENOTDIR", () => stat(`${mount}/file/..`), ".. of a file");
    },
  },
]);
