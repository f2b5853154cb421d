import type { StatFs } from "../../fuse/wire/types.ts";

/** struct statfs, as statfs(2) fills it in, in the words of the protocol. */
export function decodeStatFs(stat: Buffer): StatFs {
  const word = (at: number): number => Number(stat.readBigUInt64LE(at));
  return {
    blockSize: word(8),
    blocks: word(16),
    freeBlocks: word(24),
    availableBlocks: word(32),
    files: word(40),
    freeFiles: word(48),
    nameLength: word(64),
    fragmentSize: word(72),
  };
}
