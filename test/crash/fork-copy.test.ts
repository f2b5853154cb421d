// deadline: 300
import { beforeAll, expect, test } from "bun:test";
import { killFork, settleForForks } from "./forks.ts";

beforeAll(settleForForks);

test("a fork that copies and is killed leaves the session whole, and the new one whole or gone", async () => {
  const { gone = 0, whole = 0 } = await killFork([], ["--copy"]);
  expect(gone).toBeGreaterThan(30);
  expect(whole).toBeGreaterThan(0);
});
