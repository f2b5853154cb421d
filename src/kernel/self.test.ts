import { expect, test } from "bun:test";
import { readAvailable, writeAll } from "./file.ts";
import { foregroundGroup, groupOf, isForeground, makePipe } from "./self.ts";

test("makePipe() passes bytes on, and its end is seen", () => {
  const [reading, writing] = makePipe();
  using from = reading;
  writeAll(writing, Buffer.from("x"));
  expect(readAvailable(from).toString()).toBe("x");
  writing.close();
  expect(readAvailable(from).length).toBe(0);
});

test("without a terminal nobody is in the foreground", () => {
  expect([isForeground(), foregroundGroup()]).toEqual([false, undefined]);
  expect(groupOf(0)).toBe(groupOf(process.pid));
  expect(() => groupOf(99_999_999)).toThrow(/ESRCH/);
});
