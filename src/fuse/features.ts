import type { FileSystem } from "./filesystem.ts";
import type { Offer, Terms } from "./wire/init.ts";
import { type Feature, MINOR } from "./wire/protocol.ts";

/** What to agree on with the kernel at INIT; what it doesn't offer is left out. */
export interface Wishes {
  /** Differing from the defaults: see defaultFeatures(). */
  readonly features?: Readonly<Partial<Record<Feature, boolean>>>;
  /** The most data in one WRITE or READ: 1 MiB by default, which is also what Linux allows by default. */
  readonly maxWriteBytes?: number;
  readonly maxReadaheadBytes?: number;
  readonly maxBackground?: number;
  readonly timeGranularityNs?: number;
  readonly maxStackDepth?: number;
}

export const MAX_WRITE_BYTES = 1 << 20;

/** Those that change nothing for a file system, and those that its methods call for. */
function defaultFeatures(fileSystem: FileSystem): Feature[] {
  const features: Feature[] = [
    "ASYNC_READ",
    "BIG_WRITES",
    "DONT_MASK",
    "PARALLEL_DIROPS",
    "ASYNC_DIO",
    "ABORT_ERROR",
    "MAX_PAGES",
    "NO_OPEN_SUPPORT",
    "NO_OPENDIR_SUPPORT",
    "SETXATTR_EXT",
    "INIT_EXT",
    "HAS_EXPIRE_ONLY",
    "HAS_RESEND",
  ];
  if (fileSystem.setlk !== undefined) features.push("POSIX_LOCKS", "FLOCK_LOCKS");
  if (fileSystem.ioctl !== undefined) features.push("HAS_IOCTL_DIR");
  if (fileSystem.readdirplus !== undefined) features.push("DO_READDIRPLUS", "READDIRPLUS_AUTO");
  return features;
}

/** @throws {Error} where the kernel speaks another major version */
export function agreeOn(offer: Offer, wishes: Wishes, fileSystem: FileSystem): Terms {
  const wanted = new Set<Feature>(defaultFeatures(fileSystem));
  for (const [feature, isWanted] of Object.entries(wishes.features ?? {}) as [Feature, boolean][]) {
    if (isWanted) wanted.add(feature);
    else wanted.delete(feature);
  }
  return {
    major: offer.major,
    minor: Math.min(offer.minor, MINOR),
    features: [...wanted].filter((feature) => offer.features.has(feature)),
    maxWriteBytes: wishes.maxWriteBytes ?? MAX_WRITE_BYTES,
    maxReadaheadBytes: Math.min(wishes.maxReadaheadBytes ?? MAX_WRITE_BYTES, offer.maxReadaheadBytes),
    maxBackground: wishes.maxBackground ?? 64,
    timeGranularityNs: wishes.timeGranularityNs ?? 1,
    maxStackDepth: wishes.maxStackDepth ?? 1,
  };
}
