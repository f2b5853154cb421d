import type { Block, Malformed } from "./header.ts";
import { paxNumber, paxTime, type PaxValues, parseXattrs, type Xattr } from "./pax.ts";
import type { Extent } from "./sparse.ts";

export type TarKind = "file" | "hardlink" | "symlink" | "character" | "block" | "directory" | "fifo";

/** What an archive says of one entry. Names are bytes as they stand in the archive: not checked, not cleaned. */
export interface TarHeader {
  readonly kind: TarKind;
  readonly name: Buffer;
  /** What a symbolic link says; the name of the entry that a hard link is another name of. */
  readonly linkName: Buffer;
  /** Permissions, without the type. */
  readonly mode: number;
  /** Numbers only: the names of users and groups belong to the machine that wrote the archive. */
  readonly uid: number;
  readonly gid: number;
  /** Of the unpacked file, in bytes, holes included. */
  readonly size: number;
  readonly mtimeNs: bigint;
  /** Of a device. */
  readonly device: { readonly major: number; readonly minor: number };
  readonly xattrs: readonly Xattr[];
  /** POSIX ACLs in their text form, as GNU tar's --acls and star write them. */
  readonly acl: { readonly access?: string; readonly default?: string };
  /** The stored stretches of a sparse file. */
  readonly sparse: readonly Extent[] | undefined;
  /** Where the entry's header stands in the uncompressed archive. */
  readonly offset: number;
}

interface EntryInput {
  readonly block: Block;
  readonly kind: TarKind;
  readonly name: Buffer;
  readonly linkName: Buffer;
  readonly values: PaxValues;
}

/** Everything of a header but its sizes, which depend on what is read behind it. */
export function describeEntry(
  { block, kind, name, linkName, values }: EntryInput,
  malformed: Malformed,
): Omit<TarHeader, "size" | "sparse" | "offset"> {
  const number = (keyword: string) => (values.size === 0 ? undefined : paxNumber(values, keyword, malformed));
  if (name.includes(0) || linkName.includes(0)) throw malformed("has a NUL byte in its name");
  return {
    kind,
    name,
    linkName,
    mode: block.mode,
    uid: checkId(number("uid") ?? block.uid, malformed),
    gid: checkId(number("gid") ?? block.gid, malformed),
    mtimeNs: paxTime(values, "mtime", malformed) ?? BigInt(block.mtime) * 1_000_000_000n,
    device: { major: number("SCHILY.devmajor") ?? block.major, minor: number("SCHILY.devminor") ?? block.minor },
    xattrs: values.size === 0 ? [] : parseXattrs(values, malformed),
    acl: aclOf(values),
  };
}

/** chown(2) takes the highest number as "leave it": it would make the file the superuser's. */
function checkId(id: number, malformed: Malformed): number {
  if (id < 0 || id >= 0xffffffff) throw malformed(`has the bad owner ${id}`);
  return id;
}

function aclOf(values: PaxValues): TarHeader["acl"] {
  const access = values.get("SCHILY.acl.access")?.toString("utf8");
  const fallback = values.get("SCHILY.acl.default")?.toString("utf8");
  return { ...(access !== undefined && { access }), ...(fallback !== undefined && { default: fallback }) };
}
