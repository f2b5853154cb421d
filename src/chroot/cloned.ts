import type { Chroot } from "./types.ts";

/** Whether its sessions are copies: then what they change leaves the chroot as it is. */
export function isCloned(chroot: Chroot): boolean {
  if (chroot.type === "custom") return chroot.sourceCloneable;
  return "union" in chroot ? chroot.union.type !== "none" : "source" in chroot;
}

/** Whether there is a `source:` of it too, whose sessions change the chroot itself. */
export function hasSource(chroot: Chroot): boolean {
  return isCloned(chroot) && "source" in chroot && chroot.source.clone;
}
