// deadline: 300
// A full disk and a used up quota at every system call of fork that takes space.
import { beforeAll, expect, test } from "bun:test";
import { fillFork, settleForForks } from "./forks.ts";

beforeAll(settleForForks);

for (const fork of [[], ["--copy"]]) {
  test(`a fork ${fork.join("")} that meets a full disk says which, leaves nothing, and the session as it was`, async () => {
    const { refused } = await fillFork(fork);
    expect(refused).toBeGreaterThan(fork.length === 0 ? 15 : 25);
  });
}
