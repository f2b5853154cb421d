import { type Name, stat, statFd, statName } from "../kernel/at.ts";
import { E } from "../kernel/abi/errno.ts";
import { handleOf, type FileHandle } from "../kernel/handle.ts";
import type { LayerFileSystem } from "./layer.ts";

/**
 * How overlayfs writes down which inode of a layer it means, in the marks `origin` and `upper` and in the names of
 * the index: struct ovl_fb, fs/overlayfs/overlayfs.h.
 */

const HEADER = 21; // version, magic, length, flags, type, UUID of the file system
const MAGIC = 0xfb;
const BIG_ENDIAN = 1;
const ANY_ENDIAN = 2;
const PATH_UPPER = 4;

const OVERLAY_HANDLE = 0xf8; // OVL_FILEID_V1
const OVERLAY_PADDING = 3;

export interface OriginHandle extends FileHandle {
  readonly uuid: Buffer;
  readonly isUpper: boolean;
}

/** @returns undefined where the file system has no handles: overlayfs then writes an empty origin */
export function encodeOrigin(fileSystem: LayerFileSystem, dirfd: number, name: Name): Buffer | undefined {
  if (fileSystem.uuid === undefined) return undefined;
  let handle = handleOf(dirfd, name);
  if (handle === -E.OPNOTSUPP) handle = overlayHandleOf(dirfd, name);
  if (typeof handle === "number" || handle.type > 255 || handle.bytes.length + HEADER > 255) return undefined;
  const origin = Buffer.alloc(HEADER + handle.bytes.length);
  origin[1] = MAGIC;
  origin[2] = origin.length;
  origin[4] = handle.type;
  origin.set(fileSystem.uuid, 5);
  origin.set(handle.bytes, HEADER);
  return origin;
}

/**
 * overlayfs's own, which can't be opened as it is mounted by default: it has the handle of the file in its layer. Only
 * where the number in it is the one that overlayfs shows, by which the file is then known.
 */
function overlayHandleOf(dirfd: number, name: Name): FileHandle | number {
  const handle = handleOf(dirfd, name, "identify");
  if (typeof handle === "number") return handle;
  if (handle.type !== OVERLAY_HANDLE) return -E.OPNOTSUPP;
  const number = inodeNumberIn(handle);
  const result = name === "" ? statFd(dirfd) : statName(dirfd, name);
  if (result < 0) return result;
  return number?.low === stat.inoLow && number.high === stat.inoHigh ? handle : -E.OPNOTSUPP;
}

/** Whether it is likely that nobody can open what has this handle, be it there or not. */
export function isOnlyNamed({ type }: FileHandle): boolean {
  return type === OVERLAY_HANDLE;
}

/**
 * The inode number, of those file systems that keep it in a known place of their handles.
 * @param isUnion they are those of a union of ours
 */
export function inodeNumberIn(
  { type, bytes }: FileHandle,
  isUnion = false,
): { readonly high: number; readonly low: number } | undefined {
  const at = (high: number, low: number): { readonly high: number; readonly low: number } => ({
    high: high < 0 ? 0 : bytes.readUInt32LE(high),
    low: bytes.readUInt32LE(low),
  });
  if (type === OVERLAY_HANDLE && bytes.length > OVERLAY_PADDING + HEADER) {
    const inner = { type: bytes[OVERLAY_PADDING + 4] ?? 0, bytes: bytes.subarray(OVERLAY_PADDING + HEADER) };
    return inner.type === OVERLAY_HANDLE ? undefined : inodeNumberIn(inner);
  }
  if (type === 1 && bytes.length === 8) return at(-1, 0); // FILEID_INO32_GEN: ext4 and others
  if (type === 1 && bytes.length === 12) return at(8, 4); // tmpfs: generation, number
  if (type === 0x81 && bytes.length >= 8) return isUnion ? at(0, 4) : at(4, 0); // FUSE: high half first; xfs
  if (type === 0x4d && bytes.length >= 8) return at(4, 0); // btrfs
  return undefined;
}

/** @returns undefined for what is malformed, of a newer version, or of the other byte order: origin unknown */
export function decodeOrigin(bytes: Buffer): OriginHandle | undefined {
  const [version, magic, length, flags, type] = [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]];
  if (bytes.length < HEADER || version !== 0 || magic !== MAGIC || flags === undefined || type === undefined)
    return undefined;
  if (length === undefined || length < HEADER || length > bytes.length) return undefined;
  if ((flags & ~(BIG_ENDIAN | ANY_ENDIAN | PATH_UPPER)) !== 0) return undefined;
  if ((flags & ANY_ENDIAN) === 0 && (flags & BIG_ENDIAN) !== 0) return undefined;
  return {
    type,
    bytes: Buffer.from(bytes.subarray(HEADER, length)),
    uuid: Buffer.from(bytes.subarray(5, HEADER)),
    isUpper: (flags & PATH_UPPER) !== 0,
  };
}

/** The name of the index's entry for this origin. */
export function indexName(origin: Buffer): Name {
  return origin.toString("hex");
}
