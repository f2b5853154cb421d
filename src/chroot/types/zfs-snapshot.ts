import type { KeyReader } from "../keys.ts";
import type { ChrootBase, DeviceMount, RootSource } from "../types.ts";
import { BadValue, type ParseValue } from "../values.ts";
import { mountKeys, type SourceOptions, splitWords, takeMount, takeSource } from "./options.ts";

/** A root in a ZFS dataset, of which each session has a clone. */
export interface ZfsSnapshotChroot extends ChrootBase {
  readonly type: "zfs-snapshot";
  readonly dataset: string;
  /** Further words for `zfs snapshot`. */
  readonly snapshotOptions: readonly string[];
  readonly mount: DeviceMount;
  readonly source: SourceOptions;
}

export const zfsSnapshot = {
  name: "zfs-snapshot",
  parse: (common: Omit<ChrootBase, "type">, keys: KeyReader): ZfsSnapshotChroot => ({
    ...common,
    type: "zfs-snapshot",
    dataset: keys.require("zfs-dataset", parseDataset, ""),
    snapshotOptions: keys.take("zfs-snapshot-options", splitWords, []),
    mount: takeMount(keys),
    source: takeSource(keys),
  }),
  locate({ dataset, snapshotOptions, mount }: ZfsSnapshotChroot): RootSource {
    return { kind: "zfs", dataset, options: snapshotOptions, mount };
  },
  keys: (chroot: ZfsSnapshotChroot) => ({
    // Under another name than it is read by.
    "zfs-dataset-name": chroot.dataset,
    "zfs-snapshot-options": chroot.snapshotOptions.join(" "),
    ...mountKeys(chroot.mount),
  }),
  describe: (chroot: ZfsSnapshotChroot): string => chroot.dataset,
};

/** A dataset's name becomes a word of commands. */
const parseDataset: ParseValue<string> = (text) => {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.:-]*(?:\/[A-Za-z0-9_.:-]+)*$/.test(text))
    throw new BadValue(`${JSON.stringify(text)} isn't a dataset's name`, "POOL/NAME");
  return text;
};
