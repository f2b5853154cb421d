import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { bytesOf, mknodName } from "../kernel/at.ts";
import { S } from "../kernel/abi/file.ts";
import { find, mark, name, space, superuser } from "../../test/support/space.ts";
import { quotePath } from "./quote.ts";
import { readLayer } from "./show.ts";

const at = (path: string, kind: string, written: string, type = "none") => ({ path, kind, written, type });

test("readLayer() says what a union has written to its upper", () => {
  using layers = space();
  fs.mkdirSync(layers.path("lower/dir/sub"), { recursive: true });
  for (const file of ["gone", "attributes", "dir/below"]) fs.writeFileSync(layers.path(`lower/${file}`), "content");
  fs.mkdirSync(layers.path("lower/replaced"));
  {
    using union = layers.union();
    union.unlink(1, name("gone"));
    union.setattr(find(union, "attributes"), { mode: 0o600 });
    union.rename(1, name("dir"), 1, name("moved"));
    union.rmdir(1, name("replaced"));
    union.mkdir(1, name("replaced"), 0o755, superuser);
    union.mkdir(1, name("new"), 0o755, superuser);
    const { marks, entries, isAufsBranch } = readLayer(layers.path("upper"));
    expect({ entries, isAufsBranch }).toEqual({ entries: 4, isAufsBranch: false });
    const plain = marks.map(({ kind, path, type, written, from }) => ({
      kind,
      path,
      type,
      written,
      ...(from !== undefined && { from }),
    }));
    expect(plain).toEqual([
      at("attributes", "metacopy", "trusted.overlay", "file"),
      at("attributes", "origin", "trusted.overlay", "file"),
      at("dir", "whiteout", "device"),
      at("gone", "whiteout", "device"),
      { ...at("moved", "redirect", "trusted.overlay", "directory"), from: "dir" },
      at("moved", "origin", "trusted.overlay", "directory"),
      at("replaced", "opaque", "trusted.overlay", "directory"),
    ] as never);
    expect(marks[1]?.handle).toMatch(/^[0-9a-f]+$/);
  }
});

test("readLayer() knows whiteouts by attributes, and aufs's files", () => {
  using layers = space();
  const upper = layers.path("upper");
  fs.mkdirSync(`${upper}/marked`);
  fs.mkdirSync(`${upper}/.wh..wh.plnk`);
  for (const file of ["marked/gone", "marked/kept", "unmarked", ".wh.other", "marked/.wh..wh..opq", ".wh..wh.aufs"])
    fs.writeFileSync(`${upper}/${file}`, "");
  mark(`${upper}/marked`, "user.overlay.opaque", "x");
  for (const file of ["marked/gone", "unmarked"]) mark(`${upper}/${file}`, "user.overlay.whiteout", "y");
  fs.symlinkSync("/etc", `${upper}/link`);
  expect(readLayer(upper)).toEqual({
    isAufsBranch: true,
    entries: 4,
    marks: [
      at("other", "whiteout", "aufs"),
      at("marked", "opaque", "aufs", "directory"),
      at("marked/gone", "whiteout", "user.overlay"),
    ] as never,
  });
});

test("readLayer() quotes names that are no text", () => {
  using layers = space();
  const upper = `${layers.path("upper")}/`;
  for (const odd of ["a\xff\n", "\xc3\xa4"]) expect(mknodName(-100, upper + odd, S.IFCHR, 0n)).toBe(0);
  expect(readLayer(upper).marks.map(({ path }) => path)).toEqual([String.raw`"a\377\n"`, "ä"]);
});

test("quotePath() writes what git would", () => {
  const bytes = (text: string): string => bytesOf(Buffer.from(text).toString("latin1")).toString("latin1");
  expect(quotePath(bytes("täg €/x y"))).toBe("täg €/x y");
  expect(quotePath(bytes('a"b\\c'))).toBe(String.raw`"a\"b\\c"`);
  expect(quotePath(bytes("ä\n\x01\x7f"))).toBe('"ä\\n\\001\\177"');
  expect(quotePath("\xff\xfe")).toBe(String.raw`"\377\376"`);
});
