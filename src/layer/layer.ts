import { O } from "../kernel/abi/file.ts";
import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { stat, statFd } from "../kernel/at.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { openAt, statAt } from "../kernel/file.ts";
import { fileSystemUuid } from "../kernel/handle.ts";
import { statFileSystem } from "../kernel/io.ts";
import { cloneMount, setMountAttributes } from "../kernel/mount.ts";
import type { Dialect } from "./dialect/dialect.ts";
import { type DirectoryCache, LayerDirectory } from "./directory.ts";

const directoryFlags = O.RDONLY | O.DIRECTORY;

/** One file system that layers lie on. */
export interface LayerFileSystem {
  /** 0 for the first; what inode numbers of the union begin with. */
  readonly index: number;
  readonly device: number;
  uuid: Buffer | undefined;
  /** Any descriptor on it, for handles. */
  readonly fd: number;
}

/** A directory that serves as an upper or a lower. */
export interface Layer {
  /** 0 is the upper; lowers count from 1 at the top. */
  readonly index: number;
  readonly isUpper: boolean;
  /** As the user named it, for messages. */
  readonly path: string;
  readonly dialect: Dialect;
  readonly fileSystem: LayerFileSystem;
  readonly cache: DirectoryCache;
  readonly rootDir: LayerDirectory;
  /** Nothing of it shows but the content of files in other lowers that say where in it that is. */
  readonly isDataOnly: boolean;
  /** The lowest of all: nothing that only has to do with what lies below need be looked at. */
  readonly isLast: boolean;
  /** On a file system that may keep its reader waiting: over a network, or served by some program. */
  readonly isRemote: boolean;
}

// include/uapi/linux/magic.h and the file systems' own: nfs, smb, cifs, smb3, fuse, 9p, ceph, afs (two), coda, autofs, ncp
const remoteTypes: ReadonlySet<number> = new Set([
  0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x00c36400, 0x5346414f, 0x6b414653, 0x73757245,
  0x0187, 0x564c,
]);
const statfsBuffer = Buffer.alloc(120);

/** Whether an open directory is on a file system as in Layer.isRemote. */
export function isRemoteDirectory(fd: number): boolean {
  return statFileSystem(fd, statfsBuffer) === 0 && remoteTypes.has(statfsBuffer.readUInt32LE(0));
}

/**
 * Opens a layer's directory on a private copy of its mount, where nothing is mounted below: what overlayfs sees too.
 * Without the privilege for that, the directory itself.
 */
export function openLayerRoot(path: string, atime: LayerAtime): Fd {
  const clone = cloneOf(path, atime);
  if (clone === undefined) return openAt(null, path, directoryFlags);
  using mount = clone;
  return openAt(mount, ".", directoryFlags);
}

/**
 * Opens an upper and its work directory on one mount, between which entries can be renamed: a private copy of that
 * of the directory that both are in.
 */
export function openUpperAndWork(upper: string, work: string, atime: LayerAtime): { upper: Fd; work: Fd } {
  const common = commonDirectory(upper, work);
  const clone = common === undefined ? undefined : unless(["ENOENT"], () => cloneOf(common, atime));
  if (clone !== undefined && common !== undefined) {
    using mount = clone;
    const open = (path: string): Fd => openAt(mount, path.slice(common.length).replace(/^\/+/, ""), directoryFlags);
    using both = new DisposableStack();
    const opened = { upper: both.use(open(upper)), work: both.use(open(work)) };
    if (statAt(opened.upper).mountId === statAt(opened.work).mountId) {
      both.move();
      return opened;
    }
  }
  using undo = new DisposableStack();
  const opened = {
    upper: undo.use(openAt(null, upper, directoryFlags)),
    work: undo.use(openAt(null, work, directoryFlags)),
  };
  undo.move();
  return opened;
}

/** When reading a layer's files sets their access times, whatever is so where the layer is mounted. */
export type LayerAtime = "relatime" | "strictatime" | "noatime";

const atimeFlags = { relatime: 0, strictatime: MOUNT_ATTR.STRICTATIME, noatime: MOUNT_ATTR.NOATIME } as const;

/** undefined without the privilege */
function cloneOf(path: string, atime: LayerAtime): Fd | undefined {
  const clone = unless(["EPERM", "EINVAL", "ENOSYS"], () => cloneMount(null, path));
  if (clone === undefined) return undefined;
  const change = { set: atimeFlags[atime], clear: MOUNT_ATTR.ATIME__MASK };
  // Where somebody with more privilege has settled it, it stays so.
  unless(["EPERM"], () => setMountAttributes(clone, change));
  return clone;
}

/** What both paths begin with, without following anything; undefined where that is nothing. */
function commonDirectory(a: string, b: string): string | undefined {
  const [first, second] = [a.split("/"), b.split("/")];
  let same = 0;
  while (same < Math.min(first.length, second.length) - 1 && first[same] === second[same]) same++;
  return same === 0 ? undefined : first.slice(0, same).join("/") || "/";
}

/** Finds, or adds, the file system of an open directory. */
export function fileSystemOfLayer(fd: Fd, known: LayerFileSystem[]): LayerFileSystem {
  statFd(fd.number);
  const device = stat.device;
  const same = known.find((fileSystem) => fileSystem.device === device);
  if (same !== undefined) return same;
  const made = { index: known.length, device, uuid: fileSystemUuid(fd.number), fd: fd.number };
  known.push(made);
  return made;
}

export function makeRootDir(layer: Layer, fd: Fd): LayerDirectory {
  return new LayerDirectory(layer, undefined, "/", fd.number);
}
