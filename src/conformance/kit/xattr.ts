import type { Name } from "./files.ts";
import { call, path as cString } from "./kernel.ts";

const lset = call("lsetxattr", "int", ["void *", "void *", "void *", "size_t", "int"]);
const lget = call("lgetxattr", "long", ["void *", "void *", "void *", "size_t"]);
const llist = call("llistxattr", "long", ["void *", "void *", "size_t"]);
const lremove = call("lremovexattr", "int", ["void *", "void *"]);
const fset = call("fsetxattr", "int", ["int", "void *", "void *", "size_t", "int"]);
const fget = call("fgetxattr", "long", ["int", "void *", "void *", "size_t"]);
const fremove = call("fremovexattr", "int", ["int", "void *"]);

/** Of a link itself; of a descriptor where `on` is a number. `flags`: XATTR_CREATE 1, XATTR_REPLACE 2 */
export function setXattr(on: Name | number, name: Name, value: string | Uint8Array, flags = 0): void {
  const bytes = Buffer.from(value as string);
  if (typeof on === "number") fset(on, cString(name), bytes, bytes.length, flags);
  else lset(cString(on), cString(name), bytes, bytes.length, flags);
}

export function getXattr(on: Name | number, name: Name): Buffer {
  const buffer = Buffer.alloc(65536);
  const length =
    typeof on === "number"
      ? fget(on, cString(name), buffer, buffer.length)
      : lget(cString(on), cString(name), buffer, buffer.length);
  return Buffer.from(buffer.subarray(0, length));
}

/** Names as byte strings, sorted. */
export function listXattrs(on: Name): string[] {
  const buffer = Buffer.alloc(65536);
  const length = llist(cString(on), buffer, buffer.length);
  const names = buffer.toString("latin1", 0, length).split("\0");
  return names.filter((name) => name !== "").toSorted();
}

export function removeXattr(on: Name | number, name: Name): void {
  if (typeof on === "number") fremove(on, cString(name));
  else lremove(cString(on), cString(name));
}

/** Of acl(5), as the kernel stores it: entries of tag, permissions and id. */
export function acl(entries: readonly (readonly [tag: keyof typeof tags, permissions: number, id?: number])[]): Buffer {
  const buffer = Buffer.alloc(4 + entries.length * 8);
  buffer.writeUInt32LE(2, 0);
  for (const [index, [tag, permissions, id]] of entries.entries()) {
    buffer.writeUInt16LE(tags[tag], 4 + index * 8);
    buffer.writeUInt16LE(permissions, 6 + index * 8);
    buffer.writeUInt32LE(id ?? 0xffffffff, 8 + index * 8);
  }
  return buffer;
}

// include/uapi/linux/posix_acl.h
const tags = { owner: 1, user: 2, group: 4, "named group": 8, mask: 16, other: 32 } as const;

export const ACCESS_ACL = "system.posix_acl_access";
export const DEFAULT_ACL = "system.posix_acl_default";

/** struct vfs_ns_cap_data, version 2, with these capabilities permitted and effective. */
export function capabilities(...numbers: readonly number[]): Buffer {
  const buffer = Buffer.alloc(20);
  buffer.writeUInt32LE(0x02000001, 0);
  for (const number of numbers) {
    const at = number < 32 ? 4 : 12;
    buffer.writeUInt32LE((buffer.readUInt32LE(at) | (1 << (number & 31))) >>> 0, at);
  }
  return buffer;
}
