import { expect, test } from "bun:test";
import { random } from "../../../../test/support/changes.ts";
import { differingLines } from "./lines.ts";
import { makeHunks } from "./hunks.ts";

/** The length of the longest common subsequence, the slow way. */
function longestCommon(one: Int32Array, other: Int32Array): number {
  let row = new Int32Array(other.length + 1);
  for (const a of one) {
    const next = new Int32Array(other.length + 1);
    for (let j = 0; j < other.length; j++)
      next[j + 1] = a === other[j] ? (row[j] ?? 0) + 1 : Math.max(row[j + 1] ?? 0, next[j] ?? 0);
    row = next;
  }
  return row[other.length] ?? 0;
}

test("differingLines() leaves the longest common subsequence", () => {
  const next = random(7);
  for (let round = 0; round < 500; round++) {
    const make = (): Int32Array => Int32Array.from({ length: next(30) }, () => next(6));
    const [one, other] = [make(), make()];
    const { removed, added } = differingLines(one, other);
    const kept = one.filter((_, index) => removed[index] === 0);
    expect(Array.from(kept)).toEqual(Array.from(other.filter((_, index) => added[index] === 0)));
    expect(kept.length).toBe(longestCommon(one, other));
  }
});

test("differingLines() goes on where two texts have little in common", () => {
  const next = random(9);
  const make = (): Int32Array => Int32Array.from({ length: 20_000 }, () => next(15_000));
  const [one, other] = [make(), make()];
  const { removed, added } = differingLines(one, other);
  const kept = one.filter((_, index) => removed[index] === 0);
  expect(Array.from(kept)).toEqual(Array.from(other.filter((_, index) => added[index] === 0)));
});

test("makeHunks() writes ranges, context and missing newlines as diff(1) does", () => {
  const lines = (...numbers: number[]): string => numbers.map((number) => `${number}\n`).join("");
  expect(makeHunks("", "a\n")).toEqual({ text: "@@ -0,0 +1 @@\n+a\n", added: 1, removed: 0, lines: 1 });
  expect(makeHunks("a", "a\n").text).toBe("@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
  expect(makeHunks(lines(1, 2, 3, 4, 5, 6, 7, 8, 9), lines(1, 2, 3, 4, 6, 7, 8, 9)).text).toBe(
    "@@ -2,7 +2,6 @@\n 2\n 3\n 4\n-5\n 6\n 7\n 8\n",
  );
  expect(makeHunks("same\n", "same\n").text).toBe("");
});
