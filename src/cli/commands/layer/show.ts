import { statSync } from "node:fs";
import { resolve } from "node:path";
import { UserError } from "../../../error.ts";
import { type LayerMark, readLayer } from "../../../layer/show.ts";
import { command } from "../../command.ts";
import { table } from "../../print.ts";

export const show = command({
  name: "layer show",
  summary: "say what a layer deletes, hides and renames",
  description: [
    "Reads a directory as a layer of a union and prints in words what it says of the layers below: what it deletes, which directories hide what is below them, what has another name below, which files have their attributes alone, and what was copied up. overlayfs's formats (devices 0:0 and attributes, trusted. and user.) and aufs's (.wh.NAME) are known.",
    "Nothing is changed, and the layer may be in use. Attributes that begin with trusted. are shown to the superuser alone. A path that isn't plain text is in double quotes, as git quotes it.",
  ],
  operands: { directory: { arity: "one", completes: "directory", summary: "the layer" } },
  options: {},
  examples: [{ line: "fallthru layer show /srv/changes", does: "what was deleted, renamed and copied up there" }],
  exits: { 3: "no such directory" },
  json: [
    { name: "directory", type: "string", summary: "the layer's path" },
    { name: "entries", type: "number", summary: "how many entries it has, without whiteouts" },
    {
      name: "isAufsBranch",
      type: "boolean",
      summary: "aufs's format was written to it: it is read so without being told",
    },
    { name: "seesTrusted", type: "boolean", summary: "attributes that begin with `trusted.` were seen" },
    { name: "marks", type: "object[]", summary: "what it says of the layers below, by path" },
    { name: "marks[].kind", type: "string", summary: "`whiteout`, `opaque`, `redirect`, `metacopy`, `origin`" },
    {
      name: "marks[].path",
      type: "string",
      summary: "from the layer's top, which is `.`; quoted as git does it, where it must be",
    },
    { name: "marks[].type", type: "string", summary: "`file`, `directory`, `link`, `other`; `none` of a whiteout" },
    { name: "marks[].written", type: "string", summary: "how: `device`, `aufs`, `trusted.overlay`, `user.overlay`" },
    {
      name: "marks[].from",
      type: "string?",
      summary: "of a redirect: its name below, or with `/` its path there; quoted",
    },
    { name: "marks[].fileSystem", type: "string?", summary: "of an origin: the UUID of the file system, hexadecimal" },
    { name: "marks[].handle", type: "string?", summary: "of an origin: the file handle there, hexadecimal" },
  ],
  run: ({ directory }) => {
    const path = resolve(directory);
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new UserError("not-found", `no directory ${path}`);
    }
    return { data: { directory: path, seesTrusted: process.geteuid?.() === 0, ...readLayer(path) } };
  },
  text: ({ marks, entries, isAufsBranch, seesTrusted }, { quiet }) => {
    const rows = marks.map((mark) => [words[mark.kind], mark.path, detailOf(mark)]);
    const isAufs = marks.some(({ written }) => written === "aufs");
    const notes = [
      `${entries} ${entries === 1 ? "entry" : "entries"}, ${marks.filter(({ kind }) => kind === "whiteout").length} deleted`,
      ...(isAufs && !isAufsBranch
        ? ["as a lower it takes -o lowerdialect=aufs: nothing else says that it is aufs's"]
        : []),
      ...(seesTrusted ? [] : ["attributes that begin with trusted. can't be seen without privilege"]),
    ];
    return table(["WHAT", "PATH", "HOW"], rows) + (quiet ? "" : notes.map((note) => `${note}\n`).join(""));
  },
});

const words: Readonly<Record<LayerMark["kind"], string>> = {
  whiteout: "deleted",
  opaque: "opaque",
  redirect: "renamed",
  metacopy: "attributes only",
  origin: "copied up",
};

function detailOf({ kind, written, from, handle, fileSystem }: LayerMark): string {
  const spelling =
    written === "device"
      ? "device 0:0"
      : written === "aufs"
        ? kind === "opaque"
          ? ".wh..wh..opq"
          : `.wh. file of aufs's`
        : `${written}.${kind}`;
  switch (kind) {
    case "whiteout":
      return spelling;
    case "opaque":
      return `nothing below shows through (${spelling})`;
    case "redirect":
      return `from ${from ?? ""} (${spelling})`;
    case "metacopy":
      return `the content is below (${spelling})`;
    case "origin":
      return handle === undefined ? "from somewhere below" : `from ${handle} of file system ${fileSystem ?? ""}`;
  }
}
