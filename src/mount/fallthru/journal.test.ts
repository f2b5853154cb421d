import { expect, test } from "bun:test";
import { makeMemoryFile } from "../../kernel/memory.ts";
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
  expect([...reread(file).inodes]).toEqual([
    [2, { parent: 1, name: "dir", ino: 20, isDirectory: false }],
    [3, { parent: 1, name: "x", ino: 30, isDirectory: false }],
    [4, undefined],
    [5, { parent: 2, name: "b", ino: 50, isDirectory: false }],
  ]);
  journal.forget(4);
  journal.remove(1, "x");
  expect([...reread(file).inodes.keys()]).toEqual([2, 3, 5]);
  expect(reread(file).inodes.get(3)).toBeUndefined();
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
