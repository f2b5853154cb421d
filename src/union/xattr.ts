import { E } from "../kernel/abi/errno.ts";
import { S } from "../kernel/abi/file.ts";
import { fail, type Name } from "../kernel/at.ts";
import { attributeName, getXattr, listXattrs, listXattrsOf, removeXattr, setXattrOf } from "../kernel/io.ts";
import { copyUp } from "./copyup.ts";
import { type Core, locate, place } from "./core.ts";
import type { Inode } from "./inode.ts";
import { describeLayers, layersAttribute } from "./layers.ts";
import { checkUnprotected } from "./protection.ts";

const buffer = Buffer.alloc(65536);
const nothing = new Uint8Array(0);

/**
 * overlayfs's marks are kept from sight; those that a union above this one writes are stored with one more
 * `overlay.` in their names, as overlayfs does.
 */
export function storedName(core: Core, attribute: Name): Name {
  const prefix = prefixOf(core);
  return attribute.startsWith(prefix) ? `${prefix}overlay.${attribute.slice(prefix.length)}` : attribute;
}

function prefixOf(core: Core): Name {
  return core.upper?.dialect.prefix ?? "trusted.overlay.";
}

function stored(core: Core, attribute: Name): Uint8Array {
  return attributeName(storedName(core, attribute));
}

/** Attributes of other name spaces are none that a local file system could have. */
function isPossible(attribute: Name): boolean {
  return /^(user|trusted|security|system)\./.test(attribute);
}

/** @returns the value, or its length where `size` is 0; −errno: ENODATA, ERANGE */
export function getAttribute(core: Core, inode: Inode, attribute: Name, size: number): Buffer | number {
  if (attribute === layersAttribute && inode === core.rootInode) return answer(describeLayers(core), size);
  if (!isPossible(attribute)) return attribute === layersAttribute ? -E.NODATA : -E.OPNOTSUPP;
  // A device 0:0 shows none of the mark that it is stored by.
  if (inode.isNestedWhiteout && attribute === `${prefixOf(core)}whiteout`) return -E.NODATA;
  const isCapability = attribute === "security.capability";
  if (isCapability && lacksCapability(core, inode)) return -E.NODATA;
  locate(core, inode);
  const length =
    answered(core, inode) ?? getXattr(place.fd, place.name, stored(core, attribute), size === 0 ? nothing : buffer);
  if (isCapability && length === -E.NODATA) inode.lacks = "capability";
  // The kernel would pass it on as what is wrong with opening the file.
  if (length === -E.OPNOTSUPP && (isAcl(attribute) || isBareLower(core, inode))) return -E.NODATA;
  if (length < 0 || size === 0) return length;
  return length > size ? -E.RANGE : Buffer.from(buffer.subarray(0, length));
}

/** Of a file below it is asked whether it has any attributes: if not, its copy will need none either. */
function lacksCapability(core: Core, inode: Inode): boolean {
  if (inode.lacks === "nothing" && !inode.hasUpper && inode.lowerDir?.layer.isRemote === false) {
    locate(core, inode);
    if (place.name !== "" && listXattrsOf(place.fd, place.name, nothing) === 0) inode.lacks = "attributes";
  }
  return inode.lacks !== "nothing";
}

/** What another process has asked for this operation, into `buffer`. @returns its length, or −errno */
function answered(core: Core, inode: Inode): number | undefined {
  const result = core.answers?.texts.get(inode);
  return result?.text === undefined ? result?.status : buffer.write(result.text, "latin1");
}

function isAcl(attribute: Name): boolean {
  return attribute.startsWith("system.posix_acl_");
}

/** A file of a file system without attributes, which the upper will give them. */
function isBareLower(core: Core, inode: Inode): boolean {
  return core.upper?.marks !== undefined && (inode.isDirectory ? inode.upperDir === undefined : !inode.hasUpper);
}

function answer(value: Buffer, size: number): Buffer | number {
  if (size === 0) return value.length;
  return value.length > size ? -E.RANGE : value;
}

/** The names, each ended by a NUL, as bytes; or as getAttribute(). */
export function listAttributes(core: Core, inode: Inode, size: number): Buffer | number {
  locate(core, inode);
  const length = answered(core, inode) ?? listXattrs(place.fd, place.name, buffer);
  if (length === -E.OPNOTSUPP && isBareLower(core, inode)) return size > 0 ? Buffer.alloc(0) : 0;
  if (length <= 0) return length === 0 && size > 0 ? Buffer.alloc(0) : length;
  const prefix = prefixOf(core);
  let list = buffer.toString("latin1", 0, length);
  if (list.includes(prefix)) {
    const shown = list
      .split("\0")
      .filter((name) => name !== "" && (!name.startsWith(prefix) || name.startsWith(`${prefix}overlay.`)))
      .filter((name) => !inode.isNestedWhiteout || name !== `${prefix}overlay.whiteout`);
    list = shown
      .map((name) => `${name.startsWith(prefix) ? name.replace("overlay.overlay.", "overlay.") : name}\0`)
      .join("");
  }
  return answer(Buffer.from(list, "latin1"), size);
}

/** What of a list is shown to others than the superuser, as local file systems do: `trusted.*`, which they can't read, isn't. */
export function withoutTrusted(list: Uint8Array, isSuperuser: () => boolean): Uint8Array {
  const text = Buffer.from(list.buffer, list.byteOffset, list.length).toString("latin1");
  if (!text.includes("trusted.") || isSuperuser()) return list;
  const shown = text.split("\0").filter((name) => name !== "" && !name.startsWith("trusted."));
  return Buffer.from(shown.map((name) => `${name}\0`).join(""), "latin1");
}

const [XATTR_CREATE, XATTR_REPLACE] = [1, 2];

/** @param flags XATTR_CREATE 1, XATTR_REPLACE 2: refused before anything is copied up */
export function setAttribute(core: Core, inode: Inode, attribute: Name, value: Uint8Array, flags: number): void {
  if (!isPossible(attribute)) fail("setxattr", inode.path, -E.OPNOTSUPP);
  if (flags !== 0) {
    const there = getAttribute(core, inode, attribute, 0);
    if ((flags & XATTR_CREATE) !== 0 && typeof there === "number" && there >= 0) fail("setxattr", inode.path, -E.EXIST);
    if ((flags & XATTR_REPLACE) !== 0 && there === -E.NODATA) fail("setxattr", inode.path, -E.NODATA);
  }
  checkUnprotected(inode);
  copyUp(core, inode, { content: "leave" });
  core.changeTimes.forget(inode.ino);
  locate(core, inode);
  inode.lacks = "nothing";
  const result = setXattrOf(place.fd, place.name, stored(core, attribute), value, flags);
  if (result < 0) fail("setxattr", inode.path, result);
  if (attribute === "system.posix_acl_default") inode.hasDefaultAcl = true;
}

/** What isn't there is not copied up for that. */
export function removeAttribute(core: Core, inode: Inode, attribute: Name): void {
  const name = stored(core, attribute);
  locate(core, inode);
  const there = getXattr(place.fd, place.name, name, nothing);
  // As local file systems do: there is no such ACL then either.
  if (there === -E.NODATA && isAcl(attribute)) return;
  if (there < 0) fail("removexattr", inode.path, there);
  checkUnprotected(inode);
  copyUp(core, inode, { content: "leave" });
  core.changeTimes.forget(inode.ino);
  locate(core, inode);
  const result = removeXattr(place.fd, place.name, name);
  if (result < 0) fail("removexattr", inode.path, result);
  if (attribute === "system.posix_acl_default" && inode.type === S.IFDIR) inode.hasDefaultAcl = false;
}
