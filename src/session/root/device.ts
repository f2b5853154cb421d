import type { DeviceMount, MadeRoot } from "../../chroot/types.ts";
import { makeDeviceMount } from "../../mount/device.ts";
import type { RootKeeper, RootPlace } from "./keeper.ts";
import { mountRoot, unmountRoot } from "./mounted.ts";

/** A block device: mounted where only the session sees it. */
export const device: RootKeeper<MadeRoot & { kind: "device" }> = {
  make: (root, place) => mountDevice(root.device, root.mount, place),
  restore(root, place) {
    mountDevice(root.device, root.mount, place);
  },
  remove: (_, place) => unmountRoot(place.id),
};

/** @returns where it is mounted */
export function mountDevice(path: string, how: DeviceMount, { id, access }: RootPlace): string {
  const wanted = { type: how.type, options: how.options, access: access === "lower" ? "read" : "write" } as const;
  using mount = makeDeviceMount(path, wanted);
  return mountRoot(id, mount, how.location);
}
