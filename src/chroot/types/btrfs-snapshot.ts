import type { KeyReader } from "../keys.ts";
import type { ChrootBase, RootSource } from "../types.ts";
import { parseAbsolutePath } from "../values.ts";
import { checkDirectory } from "./check.ts";
import { type SourceOptions, takeSource } from "./options.ts";

/** A root in a Btrfs subvolume, of which each session has a snapshot. */
export interface BtrfsSnapshotChroot extends ChrootBase {
  readonly type: "btrfs-snapshot";
  readonly subvolume: string;
  /** Where the snapshots are made. */
  readonly snapshots: string;
  readonly source: SourceOptions;
}

export const btrfsSnapshot = {
  name: "btrfs-snapshot",
  parse: (common: Omit<ChrootBase, "type">, keys: KeyReader): BtrfsSnapshotChroot => ({
    ...common,
    type: "btrfs-snapshot",
    subvolume: keys.require("btrfs-source-subvolume", parseAbsolutePath, ""),
    snapshots: keys.require("btrfs-snapshot-directory", parseAbsolutePath, ""),
    source: takeSource(keys),
  }),
  locate(chroot: BtrfsSnapshotChroot): RootSource {
    checkDirectory(chroot, chroot.subvolume, "the source subvolume");
    checkDirectory(chroot, chroot.snapshots, "the snapshot directory");
    return { kind: "btrfs", subvolume: chroot.subvolume, snapshots: chroot.snapshots };
  },
  keys: (chroot: BtrfsSnapshotChroot) => ({
    "btrfs-source-subvolume": chroot.subvolume,
    "btrfs-snapshot-directory": chroot.snapshots,
  }),
  describe: (chroot: BtrfsSnapshotChroot): string => chroot.subvolume,
};
