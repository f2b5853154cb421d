import { readFile } from "./file.ts";
import { addressOf, isBun, withoutErrno } from "./libc.ts";

const madvise_ = withoutErrno("madvise", "int", ["size_t", "size_t", "int"]);

const MADV_HUGEPAGE = 14; // include/uapi/asm-generic/mman-common.h

/**
 * From now on memory that the engine's allocator hands out is had from the kernel 2 MiB at a time, in the place of 4 KiB: for what will need tens of
 * MiB of it, in a process that ends soon. Where /sys/kernel/mm/transparent_hugepage/enabled is "never", or in Node, nothing changes.
 * @see madvise(2), MADV_HUGEPAGE
 */
export function useHugePages(): void {
  if (!isBun()) return;
  // The allocator takes address space by the GiB: what it gives for a buffer lies in that.
  const inside = Number(addressOf(new Uint8Array(1 << 16)));
  for (const line of readFile("/proc/self/maps").toString("latin1").split("\n")) {
    const [start = 0, end = 0] = line
      .slice(0, line.indexOf(" "))
      .split("-")
      .map((word) => Number.parseInt(word, 16));
    if (start <= inside && inside < end) madvise_(start, end - start, MADV_HUGEPAGE);
  }
}
