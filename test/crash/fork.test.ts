// deadline: 300
import { beforeAll, expect, test } from "bun:test";
import { killFork, settleForForks } from "./forks.ts";

beforeAll(settleForForks);

test("a fork that is killed leaves the session whole, and the new one whole or gone", async () => {
  const { points = 0, whole = 0, gone = 0 } = await killFork([], []);
  expect(points).toBeGreaterThan(60);
  expect(gone).toBeGreaterThan(50);
  expect(whole).toBeGreaterThan(0);
  expect(whole).toBeLessThan(12);
});
