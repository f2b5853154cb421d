import { expect, test } from "bun:test";
import { makeMemoryFile } from "../../kernel/memory.ts";
import { statAt } from "../../kernel/file.ts";
import { Journal } from "./journal.ts";
import { Reclaim } from "./reclaim.ts";

test("Reclaim collects when much was forgotten, and the less often the more is left", () => {
  let collected = 0;
  const reclaim = new Reclaim(
    () => collected++,
    () => {},
  );
  for (let left = 1_000_000; left > 0; left--) reclaim.forgot(left);
  expect(collected).toBeGreaterThan(3);
  expect(collected).toBeLessThan(20);
  collected = 0;
  for (let count = 0; count < 100_000; count++) reclaim.forgot(1_000_000);
  expect(collected).toBe(0);
});

test("Reclaim has a server that knew many and knows few replaced, once all is forgotten that was to be", () => {
  let restarts = 0;
  const most = (count: number): Reclaim => {
    const reclaim = new Reclaim(
      () => {},
      () => restarts++,
    );
    for (let left = count - 1; left >= 0; left--) reclaim.forgot(left);
    expect(restarts).toBe(0);
    return reclaim;
  };
  most(20_000).settle();
  expect(restarts).toBe(0);
  most(60_000).settle();
  expect(restarts).toBe(1);
});

test("a journal that has grown gives its room back", () => {
  using file = makeMemoryFile("journal");
  const journal = new Journal(file, true);
  const many = 300_000;
  for (let nodeid = 2; nodeid < many; nodeid++)
    journal.place(nodeid, { parent: 1, name: `file-${nodeid}`, ino: nodeid, isDirectory: false });
  const full = statAt(file).blocks;
  for (let nodeid = 3; nodeid < many; nodeid++) journal.forget(nodeid);
  journal.shrink();
  expect(statAt(file).blocks).toBeLessThan(full / 100);
  const next = new Journal(file, false);
  expect([next.size, next.get(2)?.name]).toEqual([1, "file-2"]);
});
