import { expect, test } from "bun:test";
import { StaleAttributes } from "./stale.ts";

/** A directory 100 with entries from 101 on, in the root, as the kernel has read it whole. */
function listed(entries: number): { stale: StaleAttributes; dropped: number[] } {
  const dropped: number[] = [];
  const parentOf = (nodeid: number): number | undefined => (nodeid === 1 ? undefined : nodeid === 100 ? 1 : 100);
  const stale = new StaleAttributes(parentOf, (directory) => dropped.push(directory));
  stale.listed(100, 0, entries);
  stale.listed(100, 7, 0);
  return { stale, dropped };
}

/** The first `count` entries. */
function entries(count: number): number[] {
  return Array.from({ length: count }, (_, index) => 101 + index);
}

test("StaleAttributes has a listing dropped once a quarter of its entries is out of date, and once only", () => {
  const { stale, dropped } = listed(40);
  for (const nodeid of entries(9)) stale.touched(nodeid);
  for (const nodeid of entries(9)) stale.touched(nodeid);
  expect(dropped).toEqual([]);
  for (const nodeid of entries(40)) stale.touched(nodeid);
  expect(dropped).toEqual([100]);
});

test("StaleAttributes counts what the kernel was told of as up to date", () => {
  const { stale, dropped } = listed(40);
  for (const nodeid of entries(40)) {
    stale.touched(nodeid);
    stale.told(nodeid);
  }
  expect(dropped).toEqual([]);
});

test("StaleAttributes begins anew when the directory is read again, in several parts and while entries are read", () => {
  const { stale, dropped } = listed(8);
  for (const nodeid of entries(8)) stale.touched(nodeid);
  expect(dropped).toEqual([100]);
  stale.listed(100, 0, 4);
  for (const nodeid of entries(8)) stale.told(nodeid);
  for (const nodeid of entries(4)) stale.touched(nodeid);
  stale.listed(100, 5, 4);
  expect(dropped).toEqual([100]);
  stale.listed(100, 9, 0);
  expect(dropped).toEqual([100, 100]);
});

test("StaleAttributes leaves alone what is small, what has changed and what was never listed", () => {
  const small = listed(2);
  for (const nodeid of entries(2)) small.stale.touched(nodeid);
  expect(small.dropped).toEqual([]);
  const changed = listed(8);
  changed.stale.changed(100);
  for (const nodeid of entries(8)) changed.stale.touched(nodeid);
  expect(changed.dropped).toEqual([]);
  const forgotten = listed(8);
  forgotten.stale.forget(100);
  for (const nodeid of entries(8)) forgotten.stale.touched(nodeid);
  expect(forgotten.dropped).toEqual([]);
});

test("StaleAttributes counts directories that were read in the one that holds them", () => {
  const dropped: number[] = [];
  const stale = new StaleAttributes(
    (nodeid) => (nodeid === 1 ? undefined : 1),
    (directory) => dropped.push(directory),
  );
  stale.listed(1, 0, 5);
  stale.listed(1, 9, 0);
  for (const directory of [2, 3, 4]) {
    stale.listed(directory, 0, 2);
    stale.listed(directory, 9, 0);
  }
  expect(dropped).toEqual([1]);
});
