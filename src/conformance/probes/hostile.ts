import * as fs from "node:fs";
import { errnoOf, holds, same, Wrong } from "../kit/assert.ts";
import { exists, list, makeNode, open, O, put, read, S_IFCHR, text, tree } from "../kit/files.ts";
import { setXattr } from "../kit/xattr.ts";
import { area, type Need } from "../probe.ts";
import type { Layers } from "../place.ts";

const why = "a layer may come from a stranger: what is wrong in it is an error, never a way out of it";
const needs: readonly Need[] = ["union", "privilege"];

/** What these calls may answer where a layer makes no sense. */
function mayFail<T>(call: () => T): T | string {
  try {
    return call();
  } catch (error) {
    const errno = errnoOf(error);
    if (
      errno === undefined ||
      ![
        "EIO",
        "EACCES",
        "ENOENT",
        "ELOOP",
        "ESTALE",
        "EINVAL",
        "ENAMETOOLONG",
        "EPERM",
        "EUCLEAN",
        "ENOTDIR",
        "EISDIR",
      ].includes(errno)
    )
      throw error;
    return errno;
  }
}

/** A mount of which something is wrong goes on to work elsewhere. */
function checkAlive(mount: string): void {
  same(text(`${mount}/sound`), "sound", "another file");
  put(`${mount}/alive`, "x");
  holds(list(mount).includes("alive"), "a new file isn't listed");
}

/** Directories of the upper whose marks lead elsewhere; the secret lies beside the layers. */
function prepareRedirect(redirect: string | ((layers: Layers) => string)) {
  return (lower: string, layers: Layers): void => {
    tree(lower, ["sound", "target/", "target/file"]);
    put(`${lower}/../secret`, "secret");
    fs.mkdirSync(`${lower}/../hidden`);
    put(`${lower}/../hidden/secret`, "secret");
    tree(layers.upper, ["dir/", "dir/own"]);
    setXattr(
      `${layers.upper}/dir`,
      "trusted.overlay.redirect",
      typeof redirect === "string" ? redirect : redirect(layers),
    );
  };
}

function checkNoSecret(mount: string): void {
  const shown = mayFail(() => list(`${mount}/dir`));
  if (Array.isArray(shown) && shown.includes("secret")) throw new Wrong("shows what lies outside the layer");
  const content = mayFail(() => text(`${mount}/dir/secret`));
  if (content === "secret") throw new Wrong("reads what lies outside the layer");
  mayFail(() => put(`${mount}/dir/new`, "x"));
  checkAlive(mount);
}

const redirects: readonly (readonly [string, string | ((layers: Layers) => string)])[] = [
  ["..", ".."],
  ["../hidden", "../hidden"],
  ["/../hidden", "/../hidden"],
  ["/target/../../hidden", "/target/../../hidden"],
  ["an absolute path of the host", ({ lower }) => `${lower}/../hidden`],
  ["nothing", ""],
  ["a name of 300 bytes", "n".repeat(300)],
  ["a path of 3,000 bytes", `/${"d/".repeat(1500)}`],
  ["slashes", "//target//"],
  ["bytes with NUL", "target\0/x"],
];

export const hostile = area("hostile layers", [
  ...redirects.map(([name, redirect]) => ({
    name: `a redirect to ${name}`,
    why,
    needs,
    prepare: prepareRedirect(redirect),
    run: checkNoSecret,
  })),
  {
    name: "a redirect through a symbolic link",
    why,
    needs,
    prepare: (lower, layers) => {
      prepareRedirect("/link")(lower, layers);
      fs.symlinkSync("../hidden", `${lower}/link`);
    },
    run: checkNoSecret,
  },
  {
    name: "redirects that lead in a circle",
    why,
    needs,
    prepare: (lower, layers) => {
      tree(lower, ["sound", "a/", "b/"]);
      tree(layers.upper, ["a/", "b/", "self/", "up/", "up/down/"]);
      setXattr(`${layers.upper}/a`, "trusted.overlay.redirect", "/b");
      setXattr(`${layers.upper}/b`, "trusted.overlay.redirect", "/a");
      setXattr(`${layers.upper}/self`, "trusted.overlay.redirect", "/self");
      setXattr(`${layers.upper}/up/down`, "trusted.overlay.redirect", "/");
    },
    run: (mount) => {
      for (const name of ["a", "b", "self", "up", "up/down", "up/down/up/down"])
        mayFail(() => list(`${mount}/${name}`));
      checkAlive(mount);
    },
  },
  {
    name: "a file that says it is attributes alone, and has no data anywhere",
    why,
    needs,
    prepare: (lower, { upper }) => {
      put(`${lower}/sound`, "sound");
      for (const name of ["meta", "zero"]) {
        put(`${upper}/${name}`);
        setXattr(`${upper}/${name}`, "trusted.overlay.metacopy", "");
        setXattr(`${upper}/${name}`, "trusted.overlay.origin", "");
      }
      fs.truncateSync(`${upper}/meta`, 10_000);
    },
    run: (mount) => {
      for (const name of ["meta", "zero"]) {
        const content = mayFail(() => text(`${mount}/${name}`));
        holds(
          content === "EIO" || content === "ENOENT" || content === "",
          `${name} reads ${JSON.stringify(content.slice(0, 20))}`,
        );
        mayFail(() => fs.chmodSync(`${mount}/${name}`, 0o600));
        mayFail(() => fs.unlinkSync(`${mount}/${name}`));
      }
      checkAlive(mount);
    },
  },
  {
    name: "a file that takes its data from outside, or from a directory",
    why,
    needs,
    prepare: (lower, { upper }) => {
      tree(lower, ["sound", "dir/"]);
      put(`${lower}/../secret`, "secret");
      fs.symlinkSync("../secret", `${lower}/link`);
      for (const [index, redirect] of ["../secret", "/../secret", "/dir", "/link", "/none", ""].entries()) {
        put(`${upper}/f${index}`);
        fs.truncateSync(`${upper}/f${index}`, 6);
        setXattr(`${upper}/f${index}`, "trusted.overlay.metacopy", "");
        setXattr(`${upper}/f${index}`, "trusted.overlay.redirect", redirect);
      }
    },
    run: (mount) => {
      for (let index = 0; index < 6; index++) {
        const content = mayFail(() => text(`${mount}/f${index}`));
        if (content === "secret") throw new Wrong(`f${index} reads what lies outside`);
        mayFail(() => void open(`${mount}/f${index}`, O.RDWR));
      }
      same(text(`${mount}/sound`), "sound", "another file");
    },
  },
  {
    name: "marks where they make no sense, and nonsense in marks",
    why,
    needs,
    prepare: (lower, { upper }) => {
      tree(lower, ["sound", "file", "dir/", "dir/below"]);
      tree(upper, ["file", "dir/", "dir/above", "nlink", "origin"]);
      setXattr(`${upper}/file`, "trusted.overlay.opaque", "y");
      setXattr(`${upper}/file`, "trusted.overlay.redirect", "/dir");
      setXattr(`${upper}/dir`, "trusted.overlay.opaque", "nonsense");
      setXattr(`${upper}/dir`, "trusted.overlay.metacopy", "");
      setXattr(`${upper}/dir`, "trusted.overlay.impure", "");
      setXattr(`${upper}/nlink`, "trusted.overlay.nlink", "U+999999999999");
      for (const [name, value] of [
        ["origin", Buffer.alloc(200, 0xff)],
        ["dir", Buffer.from([0, 0xfb, 5])],
      ] as const) {
        setXattr(`${upper}/${name}`, "trusted.overlay.origin", value);
      }
    },
    run: (mount) => {
      same(
        [text(`${mount}/file`), text(`${mount}/nlink`), text(`${mount}/origin`)],
        ["file", "nlink", "origin"],
        "contents",
      );
      const entries = list(`${mount}/dir`);
      holds(entries.includes("above"), "the upper's entry isn't listed");
      for (const name of ["file", "nlink", "origin"]) {
        const fd = open(`${mount}/${name}`, O.RDWR);
        read(fd);
        fs.unlinkSync(`${mount}/${name}`);
      }
      checkAlive(mount);
    },
  },
  {
    name: "an origin that names another file of the file system",
    why: "an origin only tells an inode number: no content may come from it",
    needs,
    prepare: (lower, { upper }) => {
      tree(lower, ["sound", "file"]);
      put(`${upper}/file`, "mine");
      const forged = Buffer.concat([
        Buffer.from([0, 0xfb, 29, 0, 1]),
        Buffer.alloc(16, 0xff),
        Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]),
      ]);
      setXattr(`${upper}/file`, "trusted.overlay.origin", forged);
    },
    run: (mount) => {
      same(text(`${mount}/file`), "mine", "content");
      fs.chmodSync(`${mount}/file`, 0o600);
      checkAlive(mount);
    },
  },
  {
    name: "an index with nonsense in it",
    why,
    needs,
    prepare: (lower, { work }) => {
      tree(lower, ["sound"]);
      put(`${lower}/a`, "x");
      fs.linkSync(`${lower}/a`, `${lower}/b`);
      fs.mkdirSync(`${work}/index`);
      tree(`${work}/index`, ["nonsense", "00fb1d0001", "dir/"]);
      fs.symlinkSync("/etc/passwd", `${work}/index/00fb1d0002`);
    },
    run: (mount) => {
      fs.appendFileSync(`${mount}/a`, "y");
      same(text(`${mount}/a`), "xy", "content");
      checkAlive(mount);
    },
  },
  {
    name: "leftovers of a killed server in the work directory",
    why: "they go at the next mount",
    needs,
    prepare: (lower, { work }) => {
      tree(lower, ["sound"]);
      fs.mkdirSync(`${work}/work`);
      tree(`${work}/work`, ["#1", "#2/", "#2/x", "#3/#4/"]);
      makeNode(`${work}/work/#5`, S_IFCHR | 0o600);
    },
    run: (mount, { layers }) => {
      fs.appendFileSync(`${mount}/sound`, "");
      checkAlive(mount);
      same(
        list(`${layers.work}/work`).filter((name) => /^#[0-9]$/.test(name) && exists(`${layers.work}/work/${name}/x`)),
        [],
        "leftovers",
      );
    },
  },
  {
    name: "links in an upper layer that leave it",
    why,
    needs: ["union"],
    prepare: (lower, { upper }) => {
      tree(lower, ["sound", "dir/", "dir/file"]);
      tree(`${upper}/..`, ["hidden/", "hidden/secret"]);
      fs.symlinkSync("../hidden", `${upper}/dir`);
    },
    run: (mount) => {
      same(fs.readlinkSync(`${mount}/dir`), "../hidden", "the link is a link");
      same(
        mayFail(() => text(`${mount}/dir/secret`)),
        "ENOENT",
        "through the link, seen from the mount",
      );
      checkAlive(mount);
    },
  },
]);
