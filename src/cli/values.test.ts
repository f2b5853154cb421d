import { describe, expect, test } from "bun:test";
import { durationText, parseDuration, parseNumber, parseSize, sizeText } from "./values.ts";

describe("parseSize()", () => {
  test.each([
    ["4096", 4096],
    ["1", 1],
    ["4k", 4096],
    ["512M", 512 * 2 ** 20],
    ["1.5G", 1.5 * 2 ** 30],
    ["2GiB", 2 * 2 ** 30],
    ["1T", 2 ** 40],
    ["10B", 10],
  ])("%s is %i bytes", (text, bytes) => {
    expect(parseSize(text, "--memory")).toBe(bytes);
  });

  test.each(["", "0", "0.1", "-1", "3X", "M", "1 G", "1e3", "0x10", "Infinity"])("refuses %p", (text) => {
    expect(() => parseSize(text, "--memory")).toThrow(`--memory: no size: ${text}`);
  });
});

describe("parseDuration()", () => {
  test.each([
    ["90", 90],
    ["0", 0],
    ["30m", 1800],
    ["1h30m", 5400],
    ["7d", 604_800],
    ["2w", 1_209_600],
  ])("%s is %i seconds", (text, seconds) => {
    expect(parseDuration(text, "--ttl")).toBe(seconds);
  });

  test.each(["", "-1", "1.5h", "h", "1h30", "1y", "1 h"])("refuses %p", (text) => {
    expect(() => parseDuration(text, "--ttl")).toThrow(`--ttl: no duration: ${text}`);
  });
});

test("parseNumber() takes what is above 0", () => {
  expect(parseNumber("1.5", "--cpus")).toBe(1.5);
  for (const text of ["0", "-1", "x", "1e9", ""])
    expect(() => parseNumber(text, "--cpus")).toThrow("no number above 0");
});

test("sizeText() and durationText() are short", () => {
  expect([17, 4096, 1.5 * 2 ** 30, 2 ** 62].map(sizeText)).toEqual(["17B", "4.0K", "1.5G", "4096.0P"]);
  const seconds = [0, 59, 60, 3599, 7200, 90_000, 950_400, -5];
  expect(seconds.map(durationText)).toEqual(["0s", "59s", "1m", "59m59s", "2h", "1d1h", "11d", "0s"]);
});
