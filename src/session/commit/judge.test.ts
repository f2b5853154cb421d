import { expect, test } from "bun:test";
import type { Attr } from "../../kernel/file.ts";
import { judgeByTime } from "./judge.ts";

const file = (ctimeNs: bigint) => ({ mode: 0o100644, ctimeNs, mtimeNs: 0n }) as Attr;
const change = { path: "f", union: 0, kind: "modified", aspects: ["content"] } as never;

test("judgeByTime() counts what was changed in the tick of the kernel's clock in which the session began", () => {
  const sinceMs = 1_800_000_000_000;
  const isChanged = (offsetMs: number): boolean => {
    const target = file(BigInt(sinceMs + offsetMs) * 1_000_000n);
    return judgeByTime(sinceMs, []).isChanged(target, target, change);
  };
  // A tick is 10 ms at the most: the file was changed at 0, its time is that of the tick before.
  expect([5000, 0, -9, -11, -5000].map(isChanged)).toEqual([true, true, true, false, false]);
});

test("judgeByTime() leaves out what the session itself has committed", () => {
  const sinceMs = 1_800_000_000_000;
  const at = (offsetMs: number): bigint => BigInt(sinceMs + offsetMs) * 1_000_000n;
  const judge = judgeByTime(sinceMs, [{ from: String(at(100)), to: String(at(200)) }]);
  const isChanged = (offsetMs: number) => judge.isChanged(file(at(offsetMs)), file(at(offsetMs)), change);
  expect([99, 100, 199, 200].map(isChanged)).toEqual([true, false, false, true]);
});
