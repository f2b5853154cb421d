import { expect, test } from "bun:test";
import { makeMemoryFile } from "../../kernel/memory.ts";
import { random } from "../../../test/support/changes.ts";
import { Journal } from "./journal.ts";

/** As the next server reads it: from the memory alone. */
function reread(file: ReturnType<typeof makeMemoryFile>): ReturnType<Journal["replay"]> {
  return new Journal(file, false).replay();
}

test("replay() knows an inode by a name that it still has, whatever was renamed and removed", () => {
  using file = makeMemoryFile("journal");
  const journal = new Journal(file, true);
  journal.place(2, { parent: 1, name: "dir", ino: 20, isDirectory: false });
  journal.place(3, { parent: 2, name: "a", ino: 30, isDirectory: false });
  journal.place(3, { parent: 1, name: "link\xff", ino: 30, isDirectory: false });
  journal.place(4, { parent: 2, name: "b", ino: 40, isDirectory: false });
  journal.move(2, "a", 2, "b", false); // over b
  journal.place(5, { parent: 1, name: "x", ino: 50, isDirectory: false });
  journal.move(1, "x", 2, "b", true);
  journal.remove(1, "link\xff");
  expect([...reread(file).inodes].toSorted(([a], [b]) => a - b)).toEqual([
    [2, { parent: 1, name: "dir", ino: 20, isDirectory: false }],
    [3, { parent: 1, name: "x", ino: 30, isDirectory: false }],
    [4, undefined],
    [5, { parent: 2, name: "b", ino: 50, isDirectory: false }],
  ]);
  journal.forget(4);
  journal.remove(1, "x");
  expect([...reread(file).inodes].map(([nodeid]) => nodeid).toSorted((a, b) => a - b)).toEqual([2, 3, 5]);
  expect(reread(file).inodes.get(3)).toBeUndefined();
});

/** Names and inodes in the plainest way, of which only one may be at a name. */
class Model {
  /** By nodeid, the one told last behind. */
  readonly names = new Map<number, string[]>();

  place(nodeid: number, at: string): void {
    const names = this.names.get(nodeid) ?? [];
    if (!names.includes(at)) names.push(at);
    this.names.set(nodeid, names);
  }

  take(at: string): number | undefined {
    for (const [nodeid, names] of this.names) {
      if (!names.includes(at)) continue;
      names.splice(names.indexOf(at), 1);
      return nodeid;
    }
    return undefined;
  }

  has(at: string): boolean {
    return [...this.names.values()].some((names) => names.includes(at));
  }
}

test("replay() agrees with a plain model after any operations", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const number = random(seed);
    using file = makeMemoryFile("journal");
    const journal = new Journal(file, true);
    const model = new Model();
    const name = (): [number, string] => [1 + number(3), `n${"x".repeat(number(3))}`];
    for (let step = 0; step < 120; step++) {
      const [[parent, from], [newParent, to]] = [name(), name()];
      const nodeid = 2 + number(8) + (number(2) === 0 ? 2 ** 33 : 0);
      const [at, newAt] = [`${parent}/${from}`, `${newParent}/${to}`];
      const kind = number(5);
      if (kind <= 1 && (!model.has(at) || model.names.get(nodeid)?.includes(at) === true)) {
        journal.place(nodeid, { parent, name: from, ino: nodeid, isDirectory: false });
        model.place(nodeid, at);
      } else if (kind === 2 && at !== newAt) {
        const isExchange = number(2) === 0;
        journal.move(parent, from, newParent, to, isExchange);
        const [moved, other] = [model.take(at), model.take(newAt)];
        if (moved !== undefined) model.place(moved, newAt);
        if (isExchange && other !== undefined) model.place(other, at);
      } else if (kind === 3) {
        journal.remove(parent, from);
        model.take(at);
      } else if (kind === 4) {
        journal.forget(nodeid);
        model.names.delete(nodeid);
      }
    }
    const { inodes, at } = reread(file);
    const told = [...inodes].map(([nodeid, known]) => [nodeid, known && `${known.parent}/${known.name}`] as const);
    expect([seed, new Map(told)]).toEqual([seed, new Map([...model.names].map(([id, names]) => [id, names.at(-1)]))]);
    expect(inodes.size).toBe(model.names.size);
    for (const [nodeid, names] of model.names) {
      for (const each of names) {
        const [parent, text = ""] = each.split("/");
        expect(at(Number(parent), text)?.ino).toBe(nodeid);
      }
    }
    for (const nodeid of model.names.keys()) expect(inodes.delete(nodeid)).toBe(true);
    expect([inodes.size, [...inodes]]).toEqual([0, []]);
  }
});

test("replay() knows the open files, and which of them was opened last of all", () => {
  using file = makeMemoryFile("journal");
  const journal = new Journal(file, true);
  journal.open(1, { nodeid: 7, flags: 0x80000001 | 0, backingId: 0 });
  journal.open(2, { nodeid: 8, flags: 0, backingId: 9 });
  expect(reread(file)).toMatchObject({ lastOpened: 2, files: new Map([[1, { nodeid: 7 }]]) });
  journal.origin(5, 6);
  journal.origin(7, 8);
  journal.origin(5, 0);
  expect(reread(file).origins).toEqual(new Map([[7, 8]]));
  journal.close(1);
  expect(reread(file).files).toEqual(new Map([[2, { nodeid: 8, flags: 0, backingId: 9 }]]));
  expect(reread(file).lastOpened).toBe(undefined);
});

test("a full journal keeps what still counts, however often and however much that is", () => {
  using file = makeMemoryFile("journal");
  const journal = new Journal(file, true);
  for (let nodeid = 2; nodeid < 300_000; nodeid++) {
    journal.place(nodeid, { parent: 1, name: `some-file-of-many-${nodeid}`, ino: nodeid, isDirectory: false });
    if (nodeid % 3 !== 0) journal.forget(nodeid - 1);
  }
  const { inodes } = reread(file);
  expect(inodes.size).toBe(100_000);
  expect(inodes.get(299_999)).toEqual({
    parent: 1,
    name: "some-file-of-many-299999",
    ino: 299_999,
    isDirectory: false,
  });
});

test("startRetry() counts servers that died of what they were asked again", () => {
  using file = makeMemoryFile("journal");
  const journal = new Journal(file, true);
  expect([journal.startRetry(), new Journal(file, false).startRetry()]).toEqual([1, 2]);
  journal.endRetry();
  expect(new Journal(file, false).startRetry()).toBe(1);
});
