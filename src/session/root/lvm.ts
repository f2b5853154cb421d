import { basename, dirname } from "node:path";
import type { MadeRoot } from "../../chroot/types.ts";
import { UserError } from "../../error.ts";
import { unless } from "../../kernel/error.ts";
import { statAt } from "../../kernel/file.ts";
import { mountDevice } from "./device.ts";
import type { RootKeeper, RootPlace } from "./keeper.ts";
import { unmountRoot } from "./mounted.ts";
import { requireProgram, runProgram } from "./program.ts";

/** A snapshot of a logical volume, thin or not as lvm-snapshot-options and the volume itself say. */
export const lvm: RootKeeper<MadeRoot & { kind: "lvm" }> = {
  make(root, place) {
    const snapshot = snapshotOf(root.device, place);
    const words = ["--snapshot", "--name", place.name, "--setactivationskip", "n", ...root.options, root.device];
    requireProgram(place, ["lvcreate", ...words], packageName);
    return mountDevice(snapshot.path, root.mount, place);
  },
  restore(root, place) {
    const { path, volume } = snapshotOf(root.device, place);
    if (!isThere(path)) {
      // It asks, of a snapshot that isn't thin, whether the volume that it was made of may be activated too.
      const words = ["--yes", "--activate", "y", "--ignoreactivationskip", volume];
      requireProgram(place, ["lvchange", ...words], packageName);
    }
    mountDevice(path, root.mount, place);
  },
  remove(root, place) {
    unmountRoot(place.id);
    const { path, volume } = snapshotOf(root.device, place);
    const removed = runProgram(place, ["lvremove", "--force", "--yes", volume], packageName);
    if (removed.status === 0) return;
    const looked = runProgram(place, ["lvs", "--noheadings", "--options", "lv_name", volume], packageName);
    if (looked.status !== 0 && !isThere(path)) return; // It was never made, or somebody else removed it.
    throw new UserError("failed", `lvremove ${volume}: ${removed.reason}`);
  },
};

const packageName = "lvm2";

/** A snapshot lies in its volume's group: /dev/GROUP/NAME, or /dev/mapper/GROUP-NAME with its own hyphens doubled. */
function snapshotOf(device: string, { name }: RootPlace): { readonly path: string; readonly volume: string } {
  const mapped = /^\/dev\/mapper\/((?:[^-]|--)+)-(?:[^-]|--)+$/.exec(device)?.[1];
  const directory = mapped === undefined ? dirname(device) : `/dev/${mapped.replaceAll("--", "-")}`;
  return { path: `${directory}/${name}`, volume: `${basename(directory)}/${name}` };
}

function isThere(path: string): boolean {
  return unless(["ENOENT", "ENOTDIR"], () => statAt(null, path)) !== undefined;
}
