import { closeFd, stat, statFd } from "../kernel/at.ts";
import { E } from "../kernel/abi/errno.ts";
import { openHandle } from "../kernel/handle.ts";
import { decodeOrigin, type OriginHandle } from "../layer/handle.ts";
import type { LayerFileSystem } from "../layer/layer.ts";
import { type Core, encodeIno, statIno } from "./core.ts";

/** The lower inode that an upper one was copied from. */
export interface Origin {
  readonly ino: number;
  readonly type: number | undefined;
  readonly nlink: number;
}

type Numbers = Pick<Core, "inoSpace" | "fileSystems">;

/** Finds what an `origin` mark means; undefined where it is unknown, or gone. */
export function resolveOrigin(core: Numbers, mark: Buffer): Origin | undefined {
  const handle = decodeOrigin(mark);
  if (handle === undefined) return undefined;
  for (const fileSystem of core.fileSystems) {
    if (fileSystem.uuid === undefined || !fileSystem.uuid.equals(handle.uuid)) continue;
    const fd = openHandle(fileSystem.fd, handle);
    if (fd === -E.PERM) return readNumber(core, fileSystem, handle);
    if (fd < 0) continue;
    const result = statFd(fd);
    closeFd(fd);
    if (result === 0) return { ino: statIno(core, fileSystem), type: stat.type, nlink: stat.nlink };
  }
  return undefined;
}

/** Without the privilege to open handles: the inode number, of those file systems that keep it in a known place. */
function readNumber(core: Numbers, fileSystem: LayerFileSystem, { type, bytes }: OriginHandle): Origin | undefined {
  const at = (high: number, low: number): Origin => ({
    ino: encodeIno(core.inoSpace, fileSystem, high < 0 ? 0 : bytes.readUInt32LE(high), bytes.readUInt32LE(low)),
    type: undefined,
    nlink: 1,
  });
  if (type === 1 && bytes.length === 8) return at(-1, 0); // FILEID_INO32_GEN: ext4 and others
  if (type === 1 && bytes.length === 12) return at(8, 4); // tmpfs: generation, number
  if (type === 0x81 && bytes.length >= 8) return at(4, 0); // xfs
  if (type === 0x4d && bytes.length >= 8) return at(4, 0); // btrfs
  return undefined;
}
