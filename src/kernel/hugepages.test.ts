import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { useHugePages } from "./hugepages.ts";
import { addressOf } from "./libc.ts";

/** The flags of the mapping that an address lies in. @see proc_pid_smaps(5) */
function flagsAt(address: bigint): string[] {
  let isInside = false;
  for (const line of readFileSync("/proc/self/smaps", "utf8").split("\n")) {
    const [, start, end] = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line) ?? [];
    if (start !== undefined) isInside = BigInt(`0x${start}`) <= address && address < BigInt(`0x${end}`);
    if (isInside && line.startsWith("VmFlags:")) return line.split(/\s+/).slice(1);
  }
  return [];
}

test("what the engine allocates lies where huge pages are wanted, and nothing else does", () => {
  const before = new Uint8Array(100_000);
  expect(flagsAt(addressOf(before))).not.toContain("hg");
  useHugePages();
  const after = Array.from({ length: 100 }, (_, index) => new Uint8Array(index * 1000 + 1));
  for (const each of [before, ...after]) expect(flagsAt(addressOf(each))).toContain("hg");
  const others = readFileSync("/proc/self/smaps", "utf8")
    .split(/^(?=[0-9a-f]+-)/m)
    .filter((one) => / (\/|\[)/.test(one.slice(0, one.indexOf("\n"))));
  expect(others.length).toBeGreaterThan(5);
  for (const mapping of others) expect(mapping).not.toMatch(/^VmFlags:.* hg/m);
});
