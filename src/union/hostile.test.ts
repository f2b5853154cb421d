import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { content, entries, errnoOf, find, mark, name, space } from "../../test/support/space.ts";

describe("layers that nobody honest has written", () => {
  const cases: readonly [string, string, (at: ReturnType<typeof space>) => void][] = [
    ["a redirect that leads up", "dir", (at) => mark(at.path("upper/dir"), "trusted.overlay.redirect", "/../../etc")],
    ["a redirect with empty names", "dir", (at) => mark(at.path("upper/dir"), "trusted.overlay.redirect", "//etc")],
    [
      "a redirect of several names that isn't a path",
      "dir",
      (at) => mark(at.path("upper/dir"), "trusted.overlay.redirect", "a/b"),
    ],
    [
      "a metacopy without content",
      "file",
      (at) => {
        fs.writeFileSync(at.path("upper/file"), "");
        fs.truncateSync(at.path("upper/file"), 100);
        mark(at.path("upper/file"), "trusted.overlay.metacopy", "");
        mark(at.path("upper"), "trusted.overlay.impure", "y");
      },
    ],
  ];
  for (const [what, entry, make] of cases) {
    test(`${what}: EIO and one line`, () => {
      using at = space();
      fs.mkdirSync(at.path("upper/dir"));
      make(at);
      using union = at.union();
      expect(errnoOf(() => union.lookup(1, name(entry)))).toBe("EIO");
      expect(at.log).toHaveLength(1);
    });
  }

  test("redirects in a circle end, and links are not followed", () => {
    using at = space();
    fs.mkdirSync(at.path("lower2"));
    for (const [layer, from, to] of [
      ["upper", "a", "/b"],
      ["lower", "b", "/a"],
      ["lower2", "a", "/b"],
    ] as const) {
      fs.mkdirSync(at.path(`${layer}/${from}`));
      mark(at.path(`${layer}/${from}`), "trusted.overlay.redirect", to);
    }
    fs.symlinkSync("/etc", at.path("lower/link"));
    fs.mkdirSync(at.path("upper/link"));
    fs.mkdirSync(at.path("upper/other"));
    mark(at.path("upper/other"), "trusted.overlay.redirect", "/link/ssh");
    using union = at.union({ lowers: [at.path("lower"), at.path("lower2")] });
    for (const entry of ["a", "link", "other"]) expect(entries(union, find(union, entry))).toEqual([]);
  });

  test("an opaque mark on a file, and marks of the wrong form, mean nothing", () => {
    using at = space();
    fs.writeFileSync(at.path("upper/file"), "text");
    mark(at.path("upper"), "trusted.overlay.impure", "y");
    mark(at.path("upper/file"), "trusted.overlay.opaque", "y");
    mark(at.path("upper/file"), "trusted.overlay.origin", "nonsense");
    mark(at.path("upper/file"), "trusted.overlay.nlink", "nonsense");
    using union = at.union();
    expect(content(union, find(union, "file"))).toBe("text");
    expect(union.listxattr(find(union, "file"), 0)).toBe(0);
    expect(union.getxattr(find(union, "file"), name("trusted.overlay.opaque"), 10)).toBe(-61);
  });

  test("a union inside one of its own lowers ends in ELOOP", () => {
    using at = space();
    fs.mkdirSync(at.path("lower/state"));
    for (const directory of ["upper", "work"]) fs.mkdirSync(at.path(`lower/state/${directory}`));
    using union = at.union({ upper: at.path("lower/state/upper"), work: at.path("lower/state/work") });
    const state = find(union, "state");
    expect(errnoOf(() => union.lookup(state, name("upper")))).toBe("ELOOP");
    expect(errnoOf(() => union.lookup(state, name("work")))).toBe("ELOOP");
  });
});
