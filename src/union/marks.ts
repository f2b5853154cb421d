import { E } from "../kernel/abi/errno.ts";
import { fail, must, type Name } from "../kernel/at.ts";
import { setXattrOf } from "../kernel/io.ts";
import { type Made, setAttributeOf } from "../layer/attributes.ts";
import type { Content, CopyPlan } from "../layer/copyup.ts";
import type { OverlayMarks } from "../layer/dialect/overlay.ts";
import type { LayerDirectory } from "../layer/directory.ts";
import { encodeOrigin } from "../layer/handle.ts";
import type { Core, Writable } from "./core.ts";
import type { Inode } from "./inode.ts";
import { keepTimes } from "./keeptimes.ts";

/** What the upper says of its files and directories, in overlayfs's attributes. */

const empty = new Uint8Array(0);
const yes = Buffer.from("y");

/** Marks a directory of the upper that is to hold what came from below. */
export function markImpure(core: Core, upper: Writable, directory: Inode): void {
  const { marks } = upper;
  if (directory.isImpure || directory.upperDir === undefined || marks === undefined) return;
  keepTimes(core, directory, ({ fd }) => must("mark", directory.path, setXattrOf(fd, "", marks.impure, yes)));
  directory.isImpure = true;
}

/** Marks a directory of the upper that is to hold a file that stands for a device 0:0. */
export function markNested(upper: Writable, directory: Inode): void {
  const { upperDir } = directory;
  if (upperDir === undefined || upperDir.hasNestedWhiteouts) return;
  const { nested } = mustHaveMarks(upper, directory.path);
  must("mark", directory.path, setXattrOf(upperDir.fd, "", nested, yes));
  upperDir.hasNestedWhiteouts = true;
}

/** @throws {KernelError} EPERM where the dialect can't say it */
export function mustHaveMarks(upper: Writable, name: Name): OverlayMarks {
  return upper.marks ?? fail("mark", name, -E.PERM);
}

/** Marks a directory of the upper: nothing below merges into it. */
export function markOpaque(upper: Writable, dirfd: number, name: Name): void {
  must("mark", name, upper.dialect.makeOpaque(dirfd, name));
}

/** overlayfs's marks are each layer's own; those that were written through a union (overlay.overlay.) go along. */
function isPrivateMark(upper: Writable, attribute: Name): boolean {
  const prefix = upper.dialect.prefix ?? "trusted.overlay.";
  return attribute.startsWith(prefix) && !attribute.startsWith(`${prefix}overlay.`);
}

export function planOf(upper: Writable, content: Content | undefined, mark: CopyPlan["mark"]): CopyPlan {
  const isPrivate = (attribute: Name): boolean => isPrivateMark(upper, attribute);
  return { content, ownUid: upper.ownUid, ownGid: upper.ownGid, hasOwners: upper.hasOwners, isPrivate, mark };
}

export function originOf(lower: LayerDirectory, name: Name): Buffer | undefined {
  return encodeOrigin(lower.layer.fileSystem, lower.fd, name);
}

/** What has been made in the work directory. */
export function nowAt(upper: Writable, name: Name): Made {
  return { fd: upper.work.fd, name, open: -1 };
}

/** @returns whether that says which file it was */
export function markOrigin(upper: Writable, origin: Buffer | undefined, made: Made): boolean {
  if (upper.marks === undefined) return false;
  const result = setAttributeOf(made, upper.marks.origin, origin ?? empty);
  // user.* can't be on links and devices.
  if (result < 0 && result !== -E.PERM && result !== -E.OPNOTSUPP) fail("mark", made.name, result);
  return result === 0 && origin !== undefined;
}
