import type { KeyReader } from "../keys.ts";
import type { ChrootBase, DeviceMount, RootSource } from "../types.ts";
import { parseAbsolutePath } from "../values.ts";
import { checkDevice } from "./check.ts";
import { mountKeys, type SourceOptions, splitWords, takeMount, takeSource } from "./options.ts";

/** A root on a logical volume, of which each session has a snapshot. */
export interface LvmSnapshotChroot extends ChrootBase {
  readonly type: "lvm-snapshot";
  readonly device: string;
  /** Further words for lvcreate(8). */
  readonly snapshotOptions: readonly string[];
  readonly mount: DeviceMount;
  readonly source: SourceOptions;
}

export const lvmSnapshot = {
  name: "lvm-snapshot",
  parse: (common: Omit<ChrootBase, "type">, keys: KeyReader): LvmSnapshotChroot => ({
    ...common,
    type: "lvm-snapshot",
    device: keys.require("device", parseAbsolutePath, ""),
    snapshotOptions: keys.take("lvm-snapshot-options", splitWords, []),
    mount: takeMount(keys),
    source: takeSource(keys),
  }),
  locate(chroot: LvmSnapshotChroot): RootSource {
    checkDevice(chroot, chroot.device);
    return { kind: "lvm", device: chroot.device, options: chroot.snapshotOptions, mount: chroot.mount };
  },
  keys: (chroot: LvmSnapshotChroot) => ({
    device: chroot.device,
    "lvm-snapshot-options": chroot.snapshotOptions.join(" "),
    ...mountKeys(chroot.mount),
  }),
  describe: (chroot: LvmSnapshotChroot): string => chroot.device,
};
