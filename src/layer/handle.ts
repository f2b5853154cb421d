import type { Name } from "../kernel/at.ts";
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

export interface OriginHandle extends FileHandle {
  readonly uuid: Buffer;
  readonly isUpper: boolean;
}

/** @returns undefined where the file system has no handles: overlayfs then writes an empty origin */
export function encodeOrigin(fileSystem: LayerFileSystem, dirfd: number, name: Name): Buffer | undefined {
  if (fileSystem.uuid === undefined) return undefined;
  const handle = handleOf(dirfd, name);
  if (typeof handle === "number" || handle.type > 255 || handle.bytes.length + HEADER > 255) return undefined;
  const header = Buffer.alloc(HEADER);
  header[1] = MAGIC;
  header[2] = HEADER + handle.bytes.length;
  header[4] = handle.type;
  fileSystem.uuid.copy(header, 5);
  return Buffer.concat([header, handle.bytes]);
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
