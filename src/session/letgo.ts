import type { Fd } from "../kernel/fd.ts";
import { fileSystemOf } from "../kernel/file.ts";
import { lookAt, type Spot } from "../kernel/proc.ts";
import type { MountPlan } from "../mount/plan.ts";
import { isUsers } from "../places.ts";

/** More layers than that take longer to look at. */
const enoughLayers = 8;

/** Where less is left, whoever comes next may want what this session had, at once. */
const [enoughBytes, enoughInodes] = [2 ** 30, 10_000];

/**
 * Whether nobody can tell how long the kernel takes to let go of a session's overlays, which are detached and deleted: all that they
 * lie on is the file system of the root that we see ourselves, which can't be unmounted. It syncs that file system then, with
 * all that others have written: 1 to 3 ms, and 200 on a busy disk.
 * @param dir the session's directory
 */
export function canLetGoLater({ steps }: MountPlan, dir: Fd): boolean {
  if (isUsers) return false;
  const root: Spot = { major: 0, minor: 0, mount: 0 };
  if (!lookAt("/", root)) return false;
  let layers = 0;
  for (const step of steps) {
    if (step.kind !== "union") continue;
    const { type, lowers, upper } = step.union;
    layers += lowers.length + 1;
    if (type !== "overlay" || layers > enoughLayers) return false;
    for (const path of [upper, ...lowers]) if (!isOn(root, path)) return false;
  }
  const { freeBytes, freeInodes, totalInodes } = fileSystemOf(dir);
  // btrfs counts no inodes.
  return freeBytes >= enoughBytes && (totalInodes === 0 || freeInodes >= enoughInodes);
}

function isOn(root: Spot, path: string): boolean {
  const spot: Spot = { major: 0, minor: 0, mount: 0 };
  return lookAt(path, spot) && spot.major === root.major && spot.minor === root.minor;
}
