// deadline: 300
// An error at every system call that changes something: nothing is left over, and the message is the first error's.
import { beforeAll, describe, expect, test } from "bun:test";
import { temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { leftovers, type Traces } from "../support/leftovers.ts";
import {
  beginMarked,
  beginUnmounted,
  describeMarked,
  expectFate,
  expectWholeOrGone,
  settle,
  stateOf,
} from "./session.ts";
import { inject, type Injected, type Point, pointsOf } from "./strace.ts";

let before: Traces;

beforeAll(async () => {
  before = await settle(describeMarked);
});

/** What makes a descriptor can meet the limit of them, everything else the lack of memory. */
function errorsAt({ syscall }: Point): string[] {
  const makesFd = /^(open|fsopen|fsmount)/.test(syscall);
  return ["ENOSPC", "EIO", makesFd ? "EMFILE" : "ENOMEM"];
}

/**
 * Not where the kernel gives no errors, where Bun passes over them or dies of them (its own threads), and at the lock of
 * the mark in `.held`, which then stays empty and unlocked: it says nothing, and goes with the next command.
 */
function isFallible({ syscall, call }: Point): boolean {
  return !/^(exit_group|ftruncate|flock|kill)$/.test(syscall) && !/CLONE_THREAD|F_OK/.test(call);
}

function expectMessage({ status, signal, stdout, stderr }: Injected): void {
  expect(signal).toBeNull();
  if (status === 0) return;
  expect(`${stderr}${stdout}`).toMatch(/^(fallthru: |lost )/m);
  expect(stderr).not.toContain("bug");
}

/** Lets `args` fail at each of its points in turn. @returns how often */
async function failEverywhere(
  args: readonly string[],
  prepare: () => Promise<void>,
  check: (result: Injected, point: Point, index: number, points: readonly Point[]) => Promise<void>,
): Promise<number> {
  await prepare();
  const points = (await pointsOf(args)).filter(isFallible);
  await fallthru(["end", "x"]);
  let count = 0;
  for (const [index, point] of points.entries()) {
    for (const errno of errorsAt(point)) {
      await prepare();
      const result = await inject(point, `error=${errno}`, args);
      await expectFate(point, async () => {
        expectMessage(result);
        await check(result, point, index, points);
      });
      if (result.isReached) count++;
    }
  }
  return count;
}

const nothing = async (): Promise<void> => {};

async function expectClean(): Promise<void> {
  expect(await fallthru(["recover"])).toMatchObject({ status: 0, stderr: "" });
  expect(leftovers(before)).toEqual([]);
}

describe("a begin that fails", () => {
  const upper = temporaryDirectory("upper");
  for (const options of [
    ["--upper", upper, "--memory", "100M"],
    ["--upper", "tmpfs"],
  ]) {
    test(`with ${options.join(" ")} leaves nothing`, async () => {
      const args = ["begin", "tiny", "--name", "x", ...options];
      const count = await failEverywhere(args, nothing, async ({ status }) => {
        if (status === 0) expect(await expectWholeOrGone("x", before)).toBe("whole");
        else expect(leftovers(before)).toEqual([]);
      });
      expect(count).toBeGreaterThan(180);
    });
  }

  test("tells the first error where the undoing fails too, and the next command goes on with it", async () => {
    const args = ["begin", "tiny", "--name", "x"];
    const points = await pointsOf(args);
    await fallthru(["end", "x"]);
    const record = points.find(({ syscall }) => syscall === "fsync");
    if (record === undefined) throw new Error("no fsync");
    for (const second of ["umount2:error=EBUSY", "unlinkat:error=EIO"]) {
      const { status, stderr } = await inject(record, "error=EIO", args, [`inject=${second}`]);
      expect({ status, stderr }).toEqual({
        status: 1,
        stderr: "fallthru: sync /var/lib/fallthru/sessions/x/.record.json.new: input/output error (EIO)\n",
      });
      expect(await stateOf("x")).toBe("leftover");
      await beginMarked("y");
      expect(await stateOf("x")).toBeUndefined();
      await fallthru(["end", "y"]);
      expect(leftovers(before)).toEqual([]);
    }
  });
});

describe("a run that fails", () => {
  test("leaves nothing, or a leftover where it was the removing that failed", async () => {
    const args = ["run", "tiny", "--", "true"];
    const count = await failEverywhere(args, nothing, async ({ status }, _point, index, points) => {
      const started = points.findIndex(({ call }) => call.includes("CLONE_VFORK"));
      expect([0, 125, 126]).toContain(status ?? -1);
      if (index <= started) expect(leftovers(before)).toEqual([]);
      else if (leftovers(before).length > 0) expect(status).toBe(125);
      await expectClean();
    });
    expect(count).toBeGreaterThan(240);
  });

  test("ends what it made where its command can't be run, with limits too", async () => {
    for (const [program, status] of [
      ["nonexistent", 127],
      ["/etc/passwd", 126],
    ] as const) {
      for (const options of [[], ["--memory", "100M", "--pids", "50"], ["--pid-namespace"]]) {
        expect(await fallthru(["run", "tiny", ...options, "--", program])).toMatchObject({ status });
        expect(leftovers(before)).toEqual([]);
      }
    }
  });
});

test("an end that fails leaves a session that is whole or gone", async () => {
  const prepare = (): Promise<void> => beginMarked("x", ["--memory", "100M"]);
  const count = await failEverywhere(["end", "x"], prepare, async () => {
    await expectWholeOrGone("x", before);
  });
  expect(count).toBeGreaterThan(30);
});

test("a recover that fails leaves a session that another one mounts", async () => {
  const prepare = (): Promise<void> => beginUnmounted("x", ["--memory", "100M"]);
  const count = await failEverywhere(["recover"], prepare, async () => {
    expect(await expectWholeOrGone("x", before)).toBe("whole");
  });
  expect(count).toBeGreaterThan(30);
});
