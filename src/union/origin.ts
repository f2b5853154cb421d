import { birthTime, closeFd, type KnownTime, stat, statFd } from "../kernel/at.ts";
import { E } from "../kernel/abi/errno.ts";
import { handleOf, openHandle } from "../kernel/handle.ts";
import { attributeName, getXattrOfFd } from "../kernel/io.ts";
import { decodeOrigin, inodeNumberIn, isOnlyNamed, type OriginHandle } from "../layer/handle.ts";
import type { LayerFileSystem } from "../layer/layer.ts";
import { type Core, encodeIno, statIno } from "./core.ts";
import { layersAttribute } from "./layers.ts";

/** The lower inode that an upper one was copied from. */
export interface Origin {
  readonly ino: number;
  readonly type: number | undefined;
  readonly nlink: number;
}

const layersMark = attributeName(layersAttribute);
const none = new Uint8Array(0);

/** Whether it is a union of ours: seen at its root, elsewhere by a handle that has the number which it shows. */
function isUnion({ fd }: LayerFileSystem): boolean {
  if (getXattrOfFd(fd, layersMark, none) >= 0) return true;
  const handle = handleOf(fd, "");
  if (typeof handle === "number" || statFd(fd) < 0) return false;
  const number = inodeNumberIn(handle, true);
  return number?.low === stat.inoLow && number.high === stat.inoHigh && number.low + number.high > 1;
}

type Numbers = Pick<Core, "inoSpace" | "fileSystems">;

/** Finds what an `origin` mark means; undefined where it is unknown, or gone. */
export function resolveOrigin(core: Numbers, mark: Buffer): Origin | undefined {
  const handle = decodeOrigin(mark);
  if (handle === undefined) return undefined;
  for (const fileSystem of core.fileSystems) {
    if (fileSystem.uuid === undefined || !fileSystem.uuid.equals(handle.uuid)) continue;
    const fd = openHandle(fileSystem.fd, handle);
    if (fd === -E.PERM || (fd < 0 && isOnlyNamed(handle))) return readNumber(core, fileSystem, handle);
    if (fd < 0) continue;
    const result = statFd(fd);
    closeFd(fd);
    if (result === 0) return { ino: statIno(core, fileSystem), type: stat.type, nlink: stat.nlink };
  }
  return undefined;
}

/** When the file that an `origin` mark means was made; undefined where it is unknown, gone, or can't be opened. */
export function originBirthTime(
  { fileSystems, lowers }: Pick<Core, "fileSystems" | "lowers">,
  mark: Buffer,
): KnownTime | undefined {
  const handle = decodeOrigin(mark);
  if (handle === undefined) return undefined;
  for (const fileSystem of fileSystems) {
    if (fileSystem.uuid === undefined || !fileSystem.uuid.equals(handle.uuid)) continue;
    if (lowers.some((lower) => lower.isRemote && lower.fileSystem === fileSystem)) continue;
    const fd = openHandle(fileSystem.fd, handle);
    if (fd < 0) continue;
    const time = birthTime(fd, "");
    closeFd(fd);
    return time;
  }
  return undefined;
}

/** Where handles can't be opened, for want of privilege or by whoever made them. */
function readNumber(core: Numbers, fileSystem: LayerFileSystem, handle: OriginHandle): Origin | undefined {
  const number = inodeNumberIn(handle, isUnion(fileSystem));
  if (number === undefined) return undefined;
  return { ino: encodeIno(core.inoSpace, fileSystem, number.high, number.low), type: undefined, nlink: 1 };
}
