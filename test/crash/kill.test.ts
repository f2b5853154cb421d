// deadline: 300
// kill -9 at every system call that changes something, of each verb in turn.
import { beforeAll, describe, expect, test } from "bun:test";
import { temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { leftovers, type Traces } from "../support/leftovers.ts";
import { beginMarked, beginUnmounted, describeMarked, expectFate, expectWholeOrGone, settle } from "./session.ts";
import { killEverywhere } from "./everywhere.ts";
import { inject, pointsOf } from "./strace.ts";

let before: Traces;

beforeAll(async () => {
  before = await settle(describeMarked);
});

const nothing = async (): Promise<void> => {};

describe("a begin that is killed", () => {
  const upper = temporaryDirectory("upper");
  const variants = [
    { name: "on a chroot", args: ["tiny"], least: 40 },
    { name: "with its layers elsewhere", args: ["tiny", "--upper", upper], least: 30 },
    {
      name: "in memory, with limits",
      args: ["tiny", "--upper", "tmpfs:10M", "--memory", "100M", "--pids", "50"],
      least: 40,
    },
    { name: "on the host's root", args: [], least: 30 },
  ];
  for (const { name, args, least } of variants) {
    test(`${name} leaves a session that is whole or gone`, async () => {
      const begin = ["begin", "--name", "x", ...args];
      const { points, whole, gone } = await killEverywhere(begin, nothing, () => expectWholeOrGone("x", before));
      expect(points).toBeGreaterThan(least);
      // A few are lost where start-up makes one call more or less than the last time.
      expect(whole + gone).toBeGreaterThan(points * 0.9);
      expect(whole).toBeGreaterThan(0);
      expect(whole).toBeLessThan(10);
    });
  }

  test("doesn't keep the next begin from the name", async () => {
    const begin = ["begin", "--name", "x", "tiny"];
    const { points, whole, gone } = await killEverywhere(begin, nothing, async () => {
      const { status } = await fallthru(begin);
      expect([0, 5]).toContain(status ?? -1);
      expect(await expectWholeOrGone("x", before)).toBe("whole");
      return status === 0 ? "gone" : "whole";
    });
    expect(whole + gone).toBeGreaterThan(points * 0.9);
    expect(gone).toBeGreaterThan(30);
  });
});

describe("an end that is killed", () => {
  const prepare = async (): Promise<void> => {
    await beginMarked("x");
    // What removeTree() finds hard: immutable, and a directory without permissions.
    await fallthru(["run", "@x", "--", "sh", "-c", "mkdir -p a/b /var/c; echo >a/b/d; chmod 0 a"], { directory: "/" });
  };

  test("leaves a session that is whole or gone", async () => {
    const counts = await killEverywhere(["end", "x"], prepare, () => expectWholeOrGone("x", before));
    expect(counts.points).toBeGreaterThan(15);
    expect(counts.whole + counts.gone).toBeGreaterThan(counts.points * 0.9);
    expect(counts.gone).toBeGreaterThan(20);
  });

  test("is finished by another end, or that says that it is gone", async () => {
    const counts = await killEverywhere(["end", "x"], prepare, async () => {
      const again = await fallthru(["end", "x"]);
      expect([0, 3]).toContain(again.status ?? -1);
      expect(await expectWholeOrGone("x", before)).toBe("gone");
      return "gone";
    });
    expect(counts.gone).toBeGreaterThan(20);
  });
});

describe("a run that is killed", () => {
  test("leaves nothing that the next command doesn't clear away", async () => {
    const run = ["run", "tiny", "--memory", "100M", "--", "sh", "-c", "echo > /new; sleep 0.01"];
    const counts = await killEverywhere(run, nothing, async () => {
      expect(await fallthru(["recover"])).toMatchObject({ status: 0, stderr: "" });
      expect(leftovers(before)).toEqual([]);
      return "gone";
    });
    expect(counts.points).toBeGreaterThan(90);
    expect(counts.gone).toBeGreaterThan(counts.points * 0.9);
  });

  test("in a session leaves the session whole", async () => {
    await beginMarked("s");
    const around = await settle();
    for (const options of [[], ["--pid-namespace"]]) {
      const run = ["run", "@s", ...options, "--", "sh", "-c", "echo > /new; sleep 0.01"];
      let killed = 0;
      for (const point of await pointsOf(run)) {
        const { isReached } = await inject(point, "signal=KILL", run);
        if (!isReached) continue;
        killed++;
        await expectFate(point, async () => {
          expect(await fallthru(["run", "@s", "--", "cat", "/etc/hostname"])).toMatchObject({
            status: 0,
            stdout: "mark\n",
          });
        });
      }
      expect(killed).toBeGreaterThan(10);
    }
    expect(leftovers(around).filter((trace) => !trace.startsWith("process"))).toEqual([]);
    expect(await fallthru(["end", "s"])).toMatchObject({ status: 0 });
    expect(leftovers(before)).toEqual([]);
  });
});

describe("a recover that is killed", () => {
  test("leaves a session that is whole or gone", async () => {
    const counts = await killEverywhere(
      ["recover"],
      () => beginUnmounted("x"),
      () => expectWholeOrGone("x", before),
    );
    expect(counts.points).toBeGreaterThan(15);
    expect(counts.whole).toBeGreaterThan(counts.points * 0.9);
    expect(counts.gone).toBe(0);
  });
});

describe("a gc that is killed", () => {
  test("leaves a session that is whole or gone", async () => {
    const prepare = async (): Promise<void> => {
      await beginMarked("x", ["--ttl", "0"]);
    };
    const counts = await killEverywhere(["gc"], prepare, () => expectWholeOrGone("x", before));
    expect(counts.gone).toBeGreaterThan(15);
  });
});
