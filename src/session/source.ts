import { findChroot } from "../chroot/config.ts";
import { readProfile } from "../chroot/profile.ts";
import type { Profile } from "../chroot/profile.ts";
import type { Chroot, RootSource } from "../chroot/types.ts";
import { locateRoot } from "../chroot/types/index.ts";

/** What a session is a view of. */
export type Source =
  | { readonly kind: "host" }
  | { readonly kind: "chroot"; readonly chroot: Chroot; readonly root: RootSource; readonly profile: Profile };

/** The name that stands for the machine's own root wherever a chroot's name can stand. */
export const hostName = "host";

/** @throws {UserError} not-found, config */
export function findSource(name: string): Source {
  if (name === hostName) return { kind: "host" };
  const chroot = findChroot(name);
  return { kind: "chroot", chroot, root: locateRoot(chroot), profile: readProfile(chroot) };
}
