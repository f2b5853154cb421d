import type { KeyReader } from "../keys.ts";
import type { ChrootBase, DeviceMount, RootSource } from "../types.ts";
import { parseAbsolutePath } from "../values.ts";
import { checkDevice } from "./check.ts";
import { mountKeys, type SourceOptions, takeMount, takeSource, takeUnion, type UnionOptions } from "./options.ts";

/** A root on a block device. */
export interface BlockDeviceChroot extends ChrootBase {
  readonly type: "block-device";
  readonly device: string;
  readonly mount: DeviceMount;
  readonly union: UnionOptions;
  readonly source: SourceOptions;
}

export const blockDevice = {
  name: "block-device",
  parse: (common: Omit<ChrootBase, "type">, keys: KeyReader): BlockDeviceChroot => ({
    ...common,
    type: "block-device",
    device: keys.require("device", parseAbsolutePath, ""),
    mount: takeMount(keys),
    union: takeUnion(keys),
    source: takeSource(keys),
  }),
  locate(chroot: BlockDeviceChroot): RootSource {
    checkDevice(chroot, chroot.device);
    return { kind: "device", device: chroot.device, mount: chroot.mount };
  },
  keys: (chroot: BlockDeviceChroot) => ({ device: chroot.device, ...mountKeys(chroot.mount) }),
  describe: (chroot: BlockDeviceChroot): string => chroot.device,
};
