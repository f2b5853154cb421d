import { readFileSync } from "node:fs";
import { expect, test } from "bun:test";
import { executable } from "./support/fallthru.ts";

/** Of elf(5): each loadable segment's offset in the file, address in memory and size. */
function segmentsOf(elf: Buffer): { offset: bigint; address: bigint; size: bigint }[] {
  const start = Number(elf.readBigUInt64LE(32));
  return Array.from({ length: elf.readUInt16LE(56) }, (_, index) => elf.subarray(start + index * 56))
    .filter((header) => header.readUInt32LE() === 1)
    .map((header) => ({
      offset: header.readBigUInt64LE(8),
      address: header.readBigUInt64LE(16),
      size: header.readBigUInt64LE(32),
    }));
}

test("the kernel can map the executable in huge pages: its segments lie in the file where they lie in memory, modulo 2 MiB", () => {
  const elf = readFileSync(executable);
  const segments = segmentsOf(elf);
  expect(segments.length).toBeGreaterThan(2);
  expect(segments.map(({ offset, address }) => (address - offset) % 0x200000n)).toEqual(segments.map(() => 0n));
  // What lies between them takes next to nothing: nothing was moved by a whole huge page.
  const used = segments.reduce((sum, { size }) => sum + Number(size), 0);
  expect(elf.length - used).toBeLessThan(4 << 20);
});
