import { E } from "../kernel/abi/errno.ts";
import { fail, type Name } from "../kernel/at.ts";
import { attributeName, getXattr, listXattrs, listXattrsOf, setXattrOf, setXattrOfFd } from "../kernel/io.ts";

/** An entry of a layer, below an open directory; an empty name means the directory itself. */
export interface Entry {
  readonly fd: number;
  readonly name: Name;
}

/** One that is being made: `open` is the descriptor of a regular file that is open for writing, else −1. */
export interface Made extends Entry {
  readonly open: number;
}

/** @returns 0, or −errno */
export function setAttributeOf({ fd, name, open }: Made, attribute: Uint8Array, value: Uint8Array): number {
  return open < 0 ? setXattrOf(fd, name, attribute, value) : setXattrOfFd(open, attribute, value);
}

const list = Buffer.alloc(65536);
const value = Buffer.alloc(65536);

/** Those without which a copy would be another file: dropping them in silence would open what was closed. */
function mustBeCopied(name: Name): boolean {
  return name.startsWith("system.posix_acl_") || name.startsWith("security.");
}

/**
 * Copies extended attributes, names as bytes; those that `skip` names are left out. Ones that the file system of the
 * copy doesn't take are lost, as overlayfs has it, but not ACLs and capabilities.
 */
export function copyAttributes(from: Entry, to: Made, skip: (name: Name) => boolean): void {
  const length = from.name === "" ? listXattrs(from.fd, "", list) : listXattrsOf(from.fd, from.name, list);
  if (length === -E.OPNOTSUPP || length === 0) return;
  if (length < 0) fail("listxattr", from.name, length);
  for (const name of list.toString("latin1", 0, length).split("\0")) {
    if (name !== "" && !skip(name)) copyAttribute(from, to, name);
  }
}

function copyAttribute(from: Entry, to: Made, name: Name): void {
  const attribute = attributeName(name);
  const length = getXattr(from.fd, from.name, attribute, value);
  if (length === -E.NODATA || length === -E.OPNOTSUPP) return;
  if (length < 0) fail("getxattr", from.name, length);
  const result = setAttributeOf(to, attribute, value.subarray(0, length));
  if (result === 0 || (result === -E.OPNOTSUPP && !mustBeCopied(name))) return;
  // user.* can't be on a link or device, whatever the lower's file system thought of it.
  if (result === -E.PERM && name.startsWith("user.")) return;
  fail("setxattr", to.name, result);
}
