import type { Chroot, ChrootType, RootSource } from "../types.ts";
import { blockDevice } from "./block-device.ts";
import { btrfsSnapshot } from "./btrfs-snapshot.ts";
import { checkDirectory } from "./check.ts";
import { custom } from "./custom.ts";
import { directory } from "./directory.ts";
import { file } from "./file.ts";
import { loopback } from "./loopback.ts";
import { lvmSnapshot } from "./lvm-snapshot.ts";
import { plain } from "./plain.ts";
import { zfsSnapshot } from "./zfs-snapshot.ts";

/** Every type there is. A further one is its own file in this directory, and its name here. */
export const chrootTypes = [
  directory,
  plain,
  file,
  loopback,
  blockDevice,
  btrfsSnapshot,
  lvmSnapshot,
  zfsSnapshot,
  custom,
] as const;

export function findType(name: string): ChrootType | undefined {
  return chrootTypes.find((type) => type.name === name);
}

/** What is wrong with a type that findType() doesn't know. */
export function typeProblem(name: string): { readonly message: string; readonly hint: string } {
  const hint = `types: ${chrootTypes.map((type) => type.name).join(", ")}`;
  return { message: `unknown type ${JSON.stringify(name)}`, hint };
}

/**
 * Finds what a session of this chroot covers, and checks that the lowers over it are there.
 * @throws {UserError} not-found
 */
export function locateRoot(chroot: Chroot): RootSource {
  for (const lower of chroot.lowers) checkDirectory(chroot, lower, "a lower layer");
  return typeOf(chroot).locate(chroot);
}

/** What people know a chroot's root by. */
export function describeRoot(chroot: Chroot): string {
  return typeOf(chroot).describe(chroot);
}

function typeOf(chroot: Chroot): ChrootType {
  const type = findType(chroot.type);
  if (type === undefined) throw new TypeError(`no such chroot type: ${chroot.type}`);
  return type;
}
