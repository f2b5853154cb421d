import { FEATURE, type Feature, IN_HEADER_SIZE, MAJOR, MINOR, OUT_HEADER_SIZE } from "./protocol.ts";
import type { ReplyBuffer } from "./reply.ts";
import type { RequestBuffer } from "./request.ts";

/** What the kernel offers: struct fuse_init_in. */
export interface Offer {
  readonly major: number;
  readonly minor: number;
  readonly maxReadaheadBytes: number;
  readonly features: ReadonlySet<Feature>;
}

/** What a connection works with from INIT on; a server that takes it over needs to know it. */
export interface Terms {
  readonly major: number;
  readonly minor: number;
  readonly features: readonly Feature[];
  readonly maxWriteBytes: number;
  readonly maxReadaheadBytes: number;
  /** How many requests may wait that nobody waits for (readahead, writeback, asynchronous I/O). */
  readonly maxBackground: number;
  readonly timeGranularityNs: number;
  /** With PASSTHROUGH: 1 where backing files lie on ordinary file systems, 2 where on stacked ones too. */
  readonly maxStackDepth: number;
}

const names = Object.keys(FEATURE) as Feature[];

export function readOffer({ view, end }: RequestBuffer): Offer {
  const at = IN_HEADER_SIZE;
  const flags = view.getUint32(at + 12, true);
  const isExtended = (flags & (1 << FEATURE.INIT_EXT)) !== 0 && end >= at + 20;
  const flags2 = isExtended ? view.getUint32(at + 16, true) : 0;
  const has = (bit: number): boolean => (((bit < 32 ? flags : flags2) >>> (bit % 32)) & 1) === 1;
  return {
    major: view.getUint32(at, true),
    minor: view.getUint32(at + 4, true),
    maxReadaheadBytes: view.getUint32(at + 8, true),
    features: new Set(names.filter((name) => has(FEATURE[name]))),
  };
}

/** struct fuse_init_out; @returns its size */
export function writeTerms({ view, bytes }: ReplyBuffer, terms: Terms, pageSize: number): number {
  const at = OUT_HEADER_SIZE;
  bytes.fill(0, at, at + 64);
  const flags = [0, 0];
  for (const name of terms.features) {
    const bit = FEATURE[name];
    const word = bit < 32 ? 0 : 1;
    flags[word] = ((flags[word] ?? 0) | (1 << (bit % 32))) >>> 0;
  }
  view.setUint32(at, MAJOR, true);
  view.setUint32(at + 4, Math.min(terms.minor, MINOR), true);
  view.setUint32(at + 8, terms.maxReadaheadBytes, true);
  view.setUint32(at + 12, flags[0] ?? 0, true);
  view.setUint16(at + 16, terms.maxBackground, true);
  view.setUint16(at + 18, Math.floor((terms.maxBackground * 3) / 4), true); // congestion_threshold
  view.setUint32(at + 20, terms.maxWriteBytes, true);
  view.setUint32(at + 24, terms.timeGranularityNs, true);
  view.setUint16(at + 28, Math.ceil(terms.maxWriteBytes / pageSize), true);
  view.setUint32(at + 32, flags[1] ?? 0, true);
  view.setUint32(at + 36, terms.features.includes("PASSTHROUGH") ? terms.maxStackDepth : 0, true);
  return 64;
}
