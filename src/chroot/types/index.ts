import type { Chroot, ChrootType, RootSource } from "../types.ts";
import { checkDirectory, directory } from "./directory.ts";
import { plain } from "./plain.ts";

/** Every type that this version has. A further one is its own file in this directory, and its name here. */
export const chrootTypes = [directory, plain] as const;

/** Those of schroot 1.6 (schroot.conf(5)): what isn't in the list above is known, but not supported yet. */
const schrootTypes = [
  "plain",
  "directory",
  "file",
  "loopback",
  "block-device",
  "btrfs-snapshot",
  "lvm-snapshot",
  "zfs-snapshot",
  "custom",
];

export function findType(name: string): ChrootType | undefined {
  return chrootTypes.find((type) => type.name === name);
}

/** What is wrong with a type that findType() doesn't know. */
export function typeProblem(name: string): { readonly message: string; readonly hint: string } {
  const supported = `supported: ${chrootTypes.map((type) => type.name).join(", ")}`;
  if (schrootTypes.includes(name)) {
    return { message: `type ${JSON.stringify(name)} is not supported by this version`, hint: supported };
  }
  return { message: `unknown type ${JSON.stringify(name)}`, hint: supported };
}

/**
 * Finds the tree that a session of this chroot covers, and checks that the lowers over it are there.
 * @throws {UserError} not-found
 */
export function locateRoot(chroot: Chroot): RootSource {
  const type = findType(chroot.type);
  if (type === undefined) throw new TypeError(`no such chroot type: ${chroot.type}`);
  for (const lower of chroot.lowers) checkDirectory(chroot, lower, "a lower layer");
  return type.locate(chroot);
}
