// deadline: 120
import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { random, randomChanges } from "../../test/support/changes.ts";
import { content, entries, errnoOf, find, name, space, superuser, write } from "../../test/support/space.ts";
import { applyToPath, dumpPath, UnionTree } from "../../test/support/unions.ts";
import { makeMount } from "../kernel/mount.ts";
import type { KnownInodes, KnownName } from "./known.ts";
import { Union } from "./union.ts";

/** A file system without extended attributes, with an upper and its work directory. */
function plainUpper(): { upper: string; work: string; path: (name: string) => string } & Disposable {
  const mount = makeMount("ramfs", []);
  const root = `/proc/self/fd/${mount.number}`;
  for (const directory of ["upper", "work"]) fs.mkdirSync(`${root}/${directory}`);
  return {
    upper: `${root}/upper`,
    work: `${root}/work`,
    path: (name) => `${root}/upper/${name}`,
    [Symbol.dispose]: () => mount.close(),
  };
}

describe("an upper without extended attributes", () => {
  test("is written in aufs's format, and read again", () => {
    using at = space();
    using on = plainUpper();
    for (const file of ["gone", "changed", "kept"]) fs.writeFileSync(at.path(`lower/${file}`), file);
    for (const directory of ["gone.d", "new.d"]) {
      fs.mkdirSync(at.path(`lower/${directory}`));
      fs.writeFileSync(at.path(`lower/${directory}/below`), "");
    }
    const { upper, work } = on;
    {
      using union = at.union({ upper, work });
      union.unlink(1, name("gone"));
      write(union, find(union, "changed"), "C");
      for (const directory of ["gone.d", "new.d"]) {
        union.unlink(find(union, directory), name("below"));
        union.rmdir(1, name(directory));
      }
      union.mkdir(1, name("new.d"), 0o755, superuser);
    }
    expect(fs.readdirSync(on.upper).toSorted()).toEqual([".wh..wh.aufs", ".wh.gone", ".wh.gone.d", "changed", "new.d"]);
    expect(fs.readdirSync(on.path("new.d"))).toEqual([".wh..wh..opq"]);
    expect(fs.readdirSync(`${on.work}/work`)).toEqual([]);
    for (const again of [at.union({ upper, work }), new Union({ lowers: [upper, at.path("lower")] })]) {
      using union = again;
      expect(entries(union)).toEqual(["changed", "kept", "new.d"]);
      expect(content(union, find(union, "changed"))).toBe("Changed");
      expect(entries(union, find(union, "new.d"))).toEqual([]);
    }
  });

  test("a copied file keeps its number when it was forgotten, and by another name, until it is removed", () => {
    using at = space();
    using on = plainUpper();
    fs.writeFileSync(at.path("lower/file"), "old");
    const told: [number, number][] = [];
    const layers = { upper: on.upper, work: on.work };
    const inoOf = (union: Union, path: string): number => {
      const nodeid = find(union, path);
      const { ino } = union.getattr(nodeid);
      union.forget(nodeid, 1);
      return ino;
    };
    const origin = (upperIno: number, ino: number): void => void told.push([upperIno, ino]);
    using union = at.union({ ...layers, ledger: { origin, accessTime: () => {}, changeTime: () => {} } });
    const ino = inoOf(union, "file");
    const nodeid = find(union, "file");
    write(union, nodeid, "O");
    union.forget(nodeid, 1);
    expect(inoOf(union, "file")).toBe(ino);
    union.rename(1, name("file"), 1, name("other"));
    expect(inoOf(union, "other")).toBe(ino);
    const known = { inodes: knownInodes([]), files: new Map(), origins: new Map(told) };
    {
      using next = at.union({ ...layers, known });
      expect(inoOf(next, "other")).toBe(ino);
    }
    union.unlink(1, name("other"));
    expect(told).toEqual([
      [expect.any(Number), ino],
      [told[0]?.[0] ?? 0, 0],
    ]);
  });

  test("what a server before has told of stays what it was", () => {
    using at = space();
    using on = plainUpper();
    fs.writeFileSync(at.path("lower/file"), "old");
    const layers = { upper: on.upper, work: on.work };
    let attr: { ino: number };
    let nodeid: number;
    {
      using union = at.union(layers);
      nodeid = find(union, "file");
      write(union, nodeid, "new");
      attr = union.getattr(nodeid);
    }
    const inodes = knownInodes([[nodeid, { parent: 1, name: "file", ino: attr.ino, isDirectory: false }]]);
    using union = at.union({ ...layers, known: { inodes, files: new Map([[7, { nodeid, flags: 2 }]]) } });
    expect(union.getattr(nodeid)).toEqual(attr as never);
    expect(union.write(7, Buffer.from("NEW"), 0)).toBe(3);
    expect(find(union, "file")).toBe(nodeid);
    expect(content(union, nodeid)).toBe("NEW");
  });

  test("can be forced, but not overlayfs's format onto it", () => {
    using at = space();
    using on = plainUpper();
    const { upper, work } = on;
    expect(() => at.union({ upper, work, dialect: "overlay" })).toThrow(/can't hold overlayfs's marks/);
    fs.writeFileSync(at.path("lower/gone"), "");
    using union = at.union({ dialect: "aufs" });
    union.unlink(1, name("gone"));
    expect(fs.readdirSync(at.path("upper")).toSorted()).toEqual([".wh..wh.aufs", ".wh.gone"]);
  });

  test("refuses the dialect's own names, and what it can't say", () => {
    using at = space();
    using on = plainUpper();
    fs.writeFileSync(at.path("lower/.wh.odd"), "odd");
    fs.writeFileSync(at.path("lower/file"), "");
    fs.mkdirSync(at.path("lower/dir"));
    using union = at.union({ upper: on.upper, work: on.work });
    const odd = find(union, ".wh.odd");
    expect(content(union, odd)).toBe("odd");
    const own = name(".wh.file");
    expect([
      errnoOf(() => union.create(1, own, 0o644, 1, superuser)),
      errnoOf(() => union.mkdir(1, own, 0o755, superuser)),
      errnoOf(() => union.link(find(union, "file"), 1, own)),
      errnoOf(() => union.rename(1, name("file"), 1, own)),
      errnoOf(() => write(union, odd, "x")),
      errnoOf(() => union.unlink(1, name(".wh.odd"))),
      errnoOf(() => union.mknod(1, name("null"), 0o020000, { major: 0, minor: 0 }, superuser)),
    ]).toEqual(Array.from({ length: 7 }, () => "EPERM"));
    expect(errnoOf(() => union.rename(1, name("dir"), 1, name("moved")))).toBe("EXDEV");
    expect(entries(union)).toEqual([".wh.odd", "dir", "file"]);
    expect(fs.readdirSync(on.upper)).toEqual([".wh..wh.aufs"]);
  });

  test("shows what stands beside its whiteout: a killed server's change is done or not begun", () => {
    using at = space();
    using on = plainUpper();
    for (const layer of [at.path("lower"), on.upper]) {
      fs.mkdirSync(`${layer}/dir`);
      fs.writeFileSync(`${layer}/file`, layer === on.upper ? "new" : "old");
    }
    fs.writeFileSync(at.path("lower/dir/below"), "");
    for (const mark of [".wh.dir", ".wh.file"]) fs.writeFileSync(on.path(mark), "");
    using union = at.union({ upper: on.upper, work: on.work });
    expect(content(union, find(union, "file"))).toBe("new");
    expect(entries(union, find(union, "dir"))).toEqual([]);
    union.unlink(1, name("file"));
    expect(entries(union)).toEqual(["dir"]);
  });

  test("a directory that holds only whiteouts can be replaced", () => {
    using at = space();
    using on = plainUpper();
    fs.mkdirSync(at.path("lower/dir"));
    fs.writeFileSync(at.path("lower/dir/below"), "");
    using union = at.union({ upper: on.upper, work: on.work });
    union.unlink(find(union, "dir"), name("below"));
    union.mkdir(1, name("made"), 0o755, superuser);
    union.mkdir(find(union, "made"), name("inner"), 0o755, superuser);
    union.rename(1, name("made"), 1, name("dir"));
    expect(entries(union)).toEqual(["dir"]);
    expect(entries(union, find(union, "dir"))).toEqual(["inner"]);
    expect(fs.readdirSync(on.path("dir")).toSorted()).toEqual([".wh..wh..opq", "inner"]);
  });
});

test("random changes show what a plain directory shows, and the same when mounted again", () => {
  for (let seed = 1; seed <= 60; seed++) {
    using at = space();
    using on = plainUpper();
    const next = random(seed);
    const lower = randomChanges(next, 20);
    fs.mkdirSync(at.path("plain"));
    for (const change of lower) for (const root of ["lower", "plain"]) applyToPath(at.path(root), change);
    const layers = { upper: on.upper, work: on.work };
    const done: string[] = [];
    let before: string[];
    {
      using union = at.union(layers);
      const tree = new UnionTree(union);
      for (const change of randomChanges(next, 30)) {
        if (change.kind === "setxattr" || change.kind === "removexattr") continue;
        const ours = tree.apply(change);
        // A lower directory stays where it is: mv(1) would copy it.
        if (ours === "EXDEV") continue;
        const theirs = applyToPath(at.path("plain"), change);
        done.push(`${JSON.stringify(change)}: ${theirs}`);
        // Where several things are wrong, which one is said may differ.
        expect([seed, done, ours === "ok", ours]).toEqual([seed, done, theirs === "ok", expect.anything()]);
      }
      before = tree.dump();
    }
    using union = at.union(layers);
    expect([seed, ...new UnionTree(union).dump()]).toEqual([seed, ...before]);
    expect(names(before)).toEqual(names(dumpPath(at.path("plain"))));
  }
});

/** Names, types and modes: hard links of a lower break apart, attributes and times are the file system's. */
function names(dump: readonly string[]): string[] {
  return dump.map((line) => line.split(" ").slice(0, 3).join(" "));
}

function knownInodes(entries: [number, KnownName][]): KnownInodes {
  const map = new Map(entries);
  return {
    highest: Math.max(0, ...map.keys()),
    get: (nodeid) => map.get(nodeid),
    has: (nodeid) => map.has(nodeid),
    at: () => undefined,
    nodeidOf: (ino) => entries.find(([nodeid, known]) => known.ino === ino && nodeid !== ino)?.[0],
    nameless: () => [],
  };
}
