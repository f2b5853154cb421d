// `tools/heap.ts FILE`: has an executable of Bun's ask the kernel for huge pages, 2 MiB in the place of 4 KiB at a time, for what its allocator
// hands out, wherever /sys/kernel/mm/transparent_hugepage/enabled leaves that to the program ("madvise"; with "always" it gets them anyway).
// Half of a start's page faults, and with them a fifth to a third of what a verb takes, are gone (docs/performance.md). The allocator is mimalloc,
// which takes that from the environment too (MIMALLOC_ALLOW_THP), as src/kernel/helper.ts has what lives long do. It is to be done before
// tools/align.ts, which writes the file anew.
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";

const [path = ""] = process.argv.slice(2);
const elf = readFileSync(path);
/** Of elf(5). Other machines may have pages of 64 KiB, of which a huge one has 512 MiB. */
const x86 = 62;
if (elf.readUInt16LE(18) === x86) setOption("allow_thp", 2n);

/** Sets an option's default. In mimalloc's struct mi_option_desc_s (src/options.c) come the value, whether the environment was asked (0: not yet), a number, and the name. */
function setOption(name: string, value: bigint): void {
  const pointer = Buffer.alloc(8);
  pointer.writeBigUInt64LE(addressOf(elf.indexOf(`\0${name}\0`) + 1));
  const at = elf.indexOf(pointer);
  const isOnly = at >= 16 && elf.indexOf(pointer, at + 1) < 0;
  if (!isOnly || elf.readBigUInt64LE(at - 16) > 2n || elf.readUInt32LE(at - 8) !== 0) {
    throw new Error(`${path}: mimalloc's option ${name} isn't where it was: see tools/heap.ts`);
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  const file = openSync(path, "r+");
  writeSync(file, bytes, 0, bytes.length, at - 16);
  closeSync(file);
}

/** Where in memory is what is at this place in the file. */
function addressOf(place: number): bigint {
  const [start, size, loadable] = [Number(elf.readBigUInt64LE(32)), elf.readUInt16LE(54), 1];
  for (let index = 0; index < elf.readUInt16LE(56); index++) {
    const header = elf.subarray(start + index * size);
    const [offset, address, length] = [8, 16, 32].map((at) => header.readBigUInt64LE(at)) as [bigint, bigint, bigint];
    const isHere = header.readUInt32LE() === loadable && offset <= place && BigInt(place) < offset + length;
    if (isHere) return address + BigInt(place) - offset;
  }
  throw new Error(`${path}: nothing of it is in memory at ${place}`);
}
