import { blockSize, isZeroBlock, type Malformed, parseNumber } from "./header.ts";
import { parseDecimal, type PaxRecord, type PaxValues, paxNumber } from "./pax.ts";
import type { ByteSource } from "./source.ts";

/** A stretch of a sparse file that is stored; what is between them are holes. Bytes. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}

/** A map is held in memory; GNU tar writes 24 bytes for each extent. */
const mapLimitBytes = 16 * 1024 * 1024;
const extentLimit = mapLimitBytes / 16;

/**
 * The map of GNU tar's own sparse format: four extents in the header, further ones in blocks behind it.
 * @see GNU tar manual, "Basic Tar Format", struct oldgnu_header and sparse_header
 */
export async function readOldMap(
  header: Buffer,
  bytes: ByteSource,
  malformed: Malformed,
): Promise<{ extents: Extent[]; realSize: number }> {
  const extents: Extent[] = [];
  const bad = () => malformed("has a bad sparse map");
  const take = (block: Buffer, start: number, count: number) => {
    for (let index = 0; index < count; index++) {
      const at = start + index * 24;
      if (block[at + 12] === 0) return;
      extents.push({ offset: parseNumber(block, at, 12, bad), length: parseNumber(block, at + 12, 12, bad) });
    }
  };
  take(header, 386, 4);
  for (let isExtended = header[482] !== 0; isExtended;) {
    const block = await bytes.read(blockSize);
    if (block.length < blockSize || isZeroBlock(block) || extents.length > extentLimit) throw bad();
    take(block, 0, 21);
    isExtended = block[504] !== 0;
  }
  return { extents, realSize: parseNumber(header, 483, 12, bad) };
}

/** Which of the three ways to say sparse in an extended header is used, if any. */
export function paxSparseVersion(values: PaxValues): "0.0" | "0.1" | "1.0" | "other" | undefined {
  const major = values.get("GNU.sparse.major")?.toString("latin1");
  const minor = values.get("GNU.sparse.minor")?.toString("latin1");
  if (major !== undefined) return major === "1" && minor === "0" ? "1.0" : "other";
  if (values.has("GNU.sparse.map")) return "0.1";
  return values.has("GNU.sparse.numblocks") || values.has("GNU.sparse.size") ? "0.0" : undefined;
}

/** Version 0.0: a pair of records for each extent, so their order matters. */
export function parsePairs(records: readonly PaxRecord[], malformed: Malformed): Extent[] {
  const numbers: string[] = [];
  for (const { keyword, value } of records) {
    if (keyword === "GNU.sparse.offset" || keyword === "GNU.sparse.numbytes") numbers.push(value.toString("latin1"));
  }
  return pairUp(numbers, malformed);
}

/** Version 0.1: all numbers in one record, with commas. */
export function parseMapRecord(value: Buffer, malformed: Malformed): Extent[] {
  return value.length === 0 ? [] : pairUp(value.toString("latin1").split(","), malformed);
}

/**
 * Version 1.0: the map stands before the content: how many extents, then the numbers, a line for each, padded to a block.
 * @returns the extents and how many bytes of the content they took
 */
export async function readMapBlocks(
  bytes: ByteSource,
  malformed: Malformed,
): Promise<{ extents: Extent[]; taken: number }> {
  const lines: string[] = [];
  let expected = 1;
  let rest = "";
  let taken = 0;
  while (lines.length < expected) {
    const block = await bytes.read(blockSize);
    taken += block.length;
    if (block.length < blockSize || taken > mapLimitBytes) throw malformed("has a bad sparse map");
    const parts = (rest + block.toString("latin1")).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
    if (rest.length > blockSize) throw malformed("has a bad sparse map");
    if (expected === 1 && lines[0] !== undefined) expected += 2 * (parseDecimal(lines[0]) ?? Number.NaN);
    if (Number.isNaN(expected)) throw malformed("has a bad sparse map");
  }
  return { extents: pairUp(lines.slice(1, expected), malformed), taken };
}

function pairUp(numbers: readonly string[], malformed: Malformed): Extent[] {
  const extents: Extent[] = [];
  if (numbers.length % 2 !== 0) throw malformed("has a bad sparse map");
  for (let index = 0; index < numbers.length; index += 2) {
    const offset = parseDecimal(numbers[index] ?? "");
    const length = parseDecimal(numbers[index + 1] ?? "");
    if (offset === undefined || length === undefined) throw malformed("has a bad sparse map");
    extents.push({ offset, length });
  }
  return extents;
}

/** Extents must rise, not overlap, lie inside the file and be as long as what is stored. */
export function checkExtents(
  extents: readonly Extent[],
  realSize: number,
  storedSize: number,
  malformed: Malformed,
): void {
  let end = 0;
  let sum = 0;
  for (const { offset, length } of extents) {
    if (offset < end) throw malformed("has a bad sparse map");
    end = offset + length;
    sum += length;
  }
  if (end > realSize || sum !== storedSize) throw malformed("has a bad sparse map");
}

/** The size that a sparse file has when it is unpacked. */
export function paxRealSize(values: PaxValues, malformed: Malformed): number {
  const size = paxNumber(values, "GNU.sparse.realsize", malformed) ?? paxNumber(values, "GNU.sparse.size", malformed);
  if (size === undefined) throw malformed("is sparse and has no size");
  return size;
}
