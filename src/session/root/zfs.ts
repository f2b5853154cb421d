import type { MadeRoot } from "../../chroot/types.ts";
import { cloneMount } from "../../kernel/mount.ts";
import { openDirectory } from "../../kernel/file.ts";
import { mkdirSync } from "node:fs";
import type { RootKeeper, RootPlace } from "./keeper.ts";
import { mountRoot, rootMountOf, unmountRoot } from "./mounted.ts";
import { requireProgram, runProgram } from "./program.ts";

type ZfsRoot = MadeRoot & { kind: "zfs" };

/** A clone of a snapshot of a ZFS dataset; or the dataset itself. */
export const zfs: RootKeeper<ZfsRoot> = {
  make(root, place) {
    if (place.access !== "write") {
      const { snapshot, clone } = namesOf(root, place);
      requireProgram(place, ["zfs", "snapshot", ...root.options, snapshot], packageName);
      requireProgram(place, ["zfs", "clone", "-o", "mountpoint=legacy", snapshot, clone], packageName);
    }
    return mountDataset(root, place);
  },
  restore(root, place) {
    mountDataset(root, place);
  },
  remove(root, place) {
    unmountRoot(place.id);
    if (place.access === "write") return;
    const { snapshot, clone } = namesOf(root, place);
    for (const name of [clone, snapshot]) {
      const found = runProgram(place, ["zfs", "list", "-H", "-t", "all", "-o", "name", name], packageName);
      if (found.status === 0) requireProgram(place, ["zfs", "destroy", name], packageName);
    }
  },
};

const packageName = "zfsutils-linux";

function namesOf({ dataset }: ZfsRoot, { name }: RootPlace): { readonly snapshot: string; readonly clone: string } {
  return { snapshot: `${dataset}@${name}`, clone: `${dataset}/${name}` };
}

/** One that isn't `legacy` has its own place, where ZFS itself mounts it. */
function mountDataset(root: ZfsRoot, place: RootPlace): string {
  const dataset = place.access === "write" ? root.dataset : namesOf(root, place).clone;
  const { type: _, options, location } = root.mount;
  const own = requireProgram(place, ["zfs", "get", "-H", "-o", "value", "mountpoint", dataset], packageName);
  if (own.startsWith("/")) {
    runProgram(place, ["zfs", "mount", dataset], packageName); // It says no where it is mounted already.
    using mount = cloneMount(null, own);
    return mountRoot(place.id, mount, location);
  }
  const path = rootMountOf(place.id);
  unmountRoot(place.id);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const words = options.length === 0 ? [] : ["-o", options.join(",")];
  requireProgram(place, ["mount", "-t", "zfs", ...words, dataset, path], "mount");
  if (location === "/") return path;
  using whole = cloneMount(openDirectory(path), "");
  return mountRoot(place.id, whole, location);
}
