import type { KeyReader } from "../keys.ts";
import type { ChrootBase, DeviceMount, RootSource } from "../types.ts";
import { parseAbsolutePath } from "../values.ts";
import { checkFile } from "./check.ts";
import { mountKeys, type SourceOptions, takeMount, takeSource, takeUnion, type UnionOptions } from "./options.ts";

/** A root on a file system in a file, mounted on a loop device. */
export interface LoopbackChroot extends ChrootBase {
  readonly type: "loopback";
  readonly image: string;
  readonly mount: DeviceMount;
  readonly union: UnionOptions;
  readonly source: SourceOptions;
}

export const loopback = {
  name: "loopback",
  parse: (common: Omit<ChrootBase, "type">, keys: KeyReader): LoopbackChroot => ({
    ...common,
    type: "loopback",
    image: keys.require("file", parseAbsolutePath, ""),
    mount: takeMount(keys),
    union: takeUnion(keys),
    source: takeSource(keys),
  }),
  locate(chroot: LoopbackChroot): RootSource {
    checkFile(chroot, chroot.image, "the image");
    return { kind: "image", file: chroot.image, mount: chroot.mount };
  },
  keys: (chroot: LoopbackChroot) => ({ file: chroot.image, ...mountKeys(chroot.mount) }),
  describe: (chroot: LoopbackChroot): string => chroot.image,
};
