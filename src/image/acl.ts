/** How a root names its users and groups: the id of a name, or undefined. */
export interface NameTable {
  user(name: string): number | undefined;
  group(name: string): number | undefined;
}

const tags: Readonly<Record<string, { owner: number; named: number; names: "user" | "group" }>> = {
  user: { owner: 0x01, named: 0x02, names: "user" },
  group: { owner: 0x04, named: 0x08, names: "group" },
};
const mask = 0x10;
const other = 0x20;
const noId = 0xffffffff;

/**
 * A POSIX ACL's text form as the bytes of system.posix_acl_access or _default.
 * @param text entries with newlines or commas between: `user:lisa:r-x`, in star's form with the id behind: `user:lisa:r-x:502`
 * @returns the bytes, or what in the text isn't understood
 * @see acl(5) "ACL TEXT FORMS", include/uapi/linux/posix_acl_xattr.h, star(5) "SCHILY.acl.access"
 */
export function encodeAcl(text: string, names: NameTable): Buffer | { readonly problem: string } {
  const entries: AclEntry[] = [];
  for (const line of text.split(/[\n,]/)) {
    const words = line.replace(/#.*/, "").trim();
    if (words === "") continue;
    const entry = parseEntry(words, names);
    if (entry === undefined) return { problem: words };
    entries.push(entry);
  }
  // The kernel takes them in this order only.
  return packAcl(entries.toSorted((a, b) => a.tag - b.tag || a.id - b.id));
}

/** Tag and id as in the kernel's header; an id of noId where the tag has none. */
export interface AclEntry {
  readonly tag: number;
  readonly permissions: number;
  readonly id: number;
}

/** Entries in the kernel's order as an attribute's bytes. @see include/uapi/linux/posix_acl_xattr.h */
export function packAcl(entries: readonly AclEntry[]): Buffer {
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(2, 0);
  for (const [index, { tag, permissions, id }] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + index * 8);
    bytes.writeUInt16LE(permissions, 6 + index * 8);
    bytes.writeUInt32LE(id, 8 + index * 8);
  }
  return bytes;
}

function parseEntry(text: string, names: NameTable): AclEntry | undefined {
  const [type = "", qualifier = "", permissionText = "", star] = text.split(":");
  const permissions = parsePermissions(permissionText);
  if (permissions === undefined) return undefined;
  if (type === "mask" || type === "other") return { tag: type === "mask" ? mask : other, permissions, id: noId };
  const tag = tags[type];
  if (tag === undefined) return undefined;
  if (qualifier === "") return { tag: tag.owner, permissions, id: noId };
  const id = parseId(star) ?? parseId(qualifier) ?? names[tag.names](qualifier);
  return id === undefined ? undefined : { tag: tag.named, permissions, id };
}

function parsePermissions(text: string): number | undefined {
  if (!/^[r-][w-][x-]$/.test(text)) return undefined;
  return (text[0] === "r" ? 4 : 0) + (text[1] === "w" ? 2 : 0) + (text[2] === "x" ? 1 : 0);
}

function parseId(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]{1,10}$/.test(text) && Number(text) < noId ? Number(text) : undefined;
}

/** @param passwd, @param group the files' contents; undefined where the root has none */
export function nameTable(passwd: Buffer | undefined, group: Buffer | undefined): NameTable {
  const users = idsOf(passwd);
  const groups = idsOf(group);
  return { user: (name) => users.get(name), group: (name) => groups.get(name) };
}

function idsOf(file: Buffer | undefined): Map<string, number> {
  const ids = new Map<string, number>();
  for (const line of (file ?? Buffer.alloc(0)).toString("utf8").split("\n")) {
    const [name, , id] = line.split(":");
    const number = parseId(id);
    if (name !== undefined && number !== undefined && !ids.has(name)) ids.set(name, number);
  }
  return ids;
}
