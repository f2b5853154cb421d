import { expect, test } from "bun:test";
import { lackOf, mapWords, parseRanges } from "./subordinate.ts";

test("parseRanges() takes a user's lines, by name or number, and no others", () => {
  const text = "anna:100000:65536\n2001:400000:10\nannabel:1:1\n20011:5:5\nanna:x:5\nanna:5\nanna:7:0\n\n";
  expect(parseRanges(text, "anna", 2001)).toEqual([
    { start: 100_000, count: 65_536 },
    { start: 400_000, count: 10 },
  ]);
  expect(parseRanges("", "anna", 2001)).toEqual([]);
});

test("mapWords() puts the user first and then one range behind the other", () => {
  const ranges = [
    { start: 100_000, count: 65_536 },
    { start: 400_000, count: 10 },
  ];
  expect(mapWords(2001, ranges).join(" ")).toBe("0 2001 1 1 100000 65536 65537 400000 10");
});

test("lackOf() says which line is missing, or that it is too short", () => {
  expect(lackOf("uid", [{ start: 1, count: 65_536 }])).toBeUndefined();
  expect(lackOf("gid", [])?.message).toMatch(/^\/etc\/subgid has no line for \w+$/);
  expect(lackOf("gid", [])?.hint).toMatch(/--add-subgids .*:FIRST:65536$/);
  expect(lackOf("uid", [{ start: 1, count: 1000 }])?.message).toMatch(/gives \w+ only 1000 ids$/);
});
