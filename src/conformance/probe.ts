import type { Layers, Place } from "./place.ts";

/** What a probe can't do without; where it isn't there, the probe is left out. */
export type Need =
  /** Layers to look at: of a plain directory there is nothing to ask. */
  | "union"
  /** Devices, `trusted.*`, other users' files, mounts: not as a mere user in a name space of its own. */
  | "privilege";

/** Where the layers lie. */
export type Arrangement =
  /** All on the file system that is looked at. */
  | "together"
  /** Each lower on a tmpfs of its own, whose inode numbers are the same. */
  | "apart"
  /** The upper on a tmpfs of 4 MiB. */
  | "small"
  /** The lower packed into an image that can't be written to; squashfs without extended attributes. */
  | "squashfs"
  | "erofs";

/** One statement about how a file system behaves. */
export interface Probe {
  readonly area: string;
  /** In words, unique in its area. */
  readonly name: string;
  /** Why that is right: where it is written down, or who depends on it. */
  readonly why: string;
  readonly needs?: readonly Need[];
  readonly arrangement?: Arrangement;
  /** Options of the mount: `ro`, `noatime`, `strictatime`, `nosuid`, `nodev`, `noexec`. */
  readonly options?: readonly string[];
  readonly deadlineSeconds?: number;
  /** Makes what lies in the lower layer before it is mounted. */
  readonly prepare?: (lower: string, layers: Layers) => void;
  /** Throws when it isn't so. */
  readonly run: (mount: string, place: Place) => void | Promise<void>;
}

/** Probes of one area. */
export function area(name: string, probes: readonly Omit<Probe, "area">[]): readonly Probe[] {
  return probes.map((probe) => ({ area: name, ...probe }));
}
