import { O, RESOLVE } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { openAt, statAt } from "../kernel/file.ts";
import { attachBeneath, attachMount, cloneMount, detachMount, makePrivate } from "../kernel/mount.ts";
import { cloneAsAllowed } from "./unprivileged.ts";
import { type MountInfo, readMountInfo } from "./mountinfo.ts";

/** A mounted tree: its root mount, and what is mounted in it, what is above before what is below. */
export interface MountedTree {
  readonly root: MountInfo;
  readonly below: readonly MountInfo[];
  /** Whether something is mounted in it whose name no string has. */
  readonly hasOdd: boolean;
}

/** The tree whose root is mounted at `mountPoint`, as a look-up of its paths finds it: without what something covers. */
export function readTree(mountPoint: string, all: readonly MountInfo[] = readMountInfo()): MountedTree | undefined {
  const root = all.find(({ id }) => id === mountIdAt(mountPoint));
  if (root === undefined) return undefined;
  const ids = new Set([root.id]);
  const found: MountInfo[] = [];
  // A mount may stand before its parent.
  for (let count = -1; count !== found.length;) {
    count = found.length;
    for (const mount of all) {
      if (!ids.has(mount.parent) || ids.has(mount.id)) continue;
      ids.add(mount.id);
      found.push(mount);
    }
  }
  const below = found
    .filter((mount) => !isOdd(mount) && mountIdAt(mount.mountPoint) === mount.id)
    .toSorted((a, b) => (a.mountPoint < b.mountPoint ? -1 : 1));
  return { root, below, hasOdd: found.some(isOdd) };
}

/** A name that no string has: a path made of it would be another. */
function isOdd({ mountPoint }: MountInfo): boolean {
  return mountPoint.includes("\uFFFD");
}

export function mountIdAt(path: string): number | undefined {
  const attr = unless(["ENOENT", "ENOTDIR", "EACCES", "ENOTCONN", "ESTALE", "EIO"], () => statAt(null, path));
  return attr === undefined ? undefined : Number(attr.mountId);
}

/** Finishes a replaceUnions() that was killed where the new tree was in its place already. @returns whether that is so */
export function finishReplacing(mountPoint: string): boolean {
  const all = readMountInfo();
  const top = all.find(({ id }) => id === mountIdAt(mountPoint));
  const isCovering = all.some(({ id, mountPoint: place }) => id === top?.parent && place === mountPoint);
  if (isCovering) detachMount(mountPoint);
  return isCovering;
}

/**
 * Puts other unions in a mounted tree, in one step: everything else that is mounted in it stays what it is, whatever
 * it holds. Nobody may be inside, for whom the tree would stay as it was.
 * @param unions by their places in the tree, detached
 * @returns the old root, which keeps the old unions: whoever lets go of it last waits until their uppers are synced
 */
export function replaceUnions(mountPoint: string, unions: ReadonlyMap<string, Fd>): Fd {
  const tree = readTree(mountPoint);
  const old = openAt(null, mountPoint, O.PATH | O.DIRECTORY | O.NOFOLLOW);
  try {
    using made = new DisposableStack();
    const root = unions.get("/") ?? made.use(cloneMount(null, mountPoint));
    const whole: string[] = [];
    for (const mount of tree?.below ?? []) {
      const at = mount.mountPoint.slice(mountPoint.length);
      const union = unions.get(at);
      if (union === undefined && whole.some((place) => mount.mountPoint.startsWith(`${place}/`))) continue;
      const copied = union === undefined ? cloneAsAllowed(mount.mountPoint, "single") : undefined;
      using clone = copied?.mount;
      if (copied?.depth === "recursive") whole.push(mount.mountPoint);
      using target = openAt(root, at, O.PATH | O.NOFOLLOW, { resolve: RESOLVE.IN_ROOT });
      attachMount(union ?? clone ?? root, target);
    }
    makePrivate(root, "recursive");
    attachBeneath(root, old);
    detachMount(mountPoint);
    return old;
  } catch (error) {
    old.close();
    throw error;
  }
}
