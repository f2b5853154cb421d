import { E } from "../kernel/abi/errno.ts";
import { fail, type Name } from "../kernel/at.ts";
import { attributeName, getXattr, listXattrs, listXattrsOf, setXattrOf } from "../kernel/io.ts";

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
export function copyAttributes(
  fromfd: number,
  from: Name,
  tofd: number,
  to: Name,
  skip: (name: Name) => boolean,
): void {
  const length = from === "" ? listXattrs(fromfd, from, list) : listXattrsOf(fromfd, from, list);
  if (length === -E.OPNOTSUPP || length === 0) return;
  if (length < 0) fail("listxattr", from, length);
  for (const name of list.toString("latin1", 0, length).split("\0")) {
    if (name !== "" && !skip(name)) copyAttribute(fromfd, from, tofd, to, name);
  }
}

function copyAttribute(fromfd: number, from: Name, tofd: number, to: Name, name: Name): void {
  const attribute = attributeName(name);
  const length = getXattr(fromfd, from, attribute, value);
  if (length === -E.NODATA || length === -E.OPNOTSUPP) return;
  if (length < 0) fail("getxattr", from, length);
  const result = setXattrOf(tofd, to, attribute, value.subarray(0, length));
  if (result === 0 || (result === -E.OPNOTSUPP && !mustBeCopied(name))) return;
  // user.* can't be on a link or device, whatever the lower's file system thought of it.
  if (result === -E.PERM && name.startsWith("user.")) return;
  fail("setxattr", to, result);
}
