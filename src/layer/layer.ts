import { O } from "../kernel/abi/file.ts";
import { stat, statFd } from "../kernel/at.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { openAt } from "../kernel/file.ts";
import { fileSystemUuid } from "../kernel/handle.ts";
import { cloneMount } from "../kernel/mount.ts";
import type { Dialect } from "./dialect/dialect.ts";
import { type DirectoryCache, LayerDirectory } from "./directory.ts";

/** One file system that layers lie on. */
export interface LayerFileSystem {
  /** 0 for the first; what inode numbers of the union begin with. */
  readonly index: number;
  readonly device: number;
  readonly uuid: Buffer | undefined;
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
  /** The lowest of all: nothing that only has to do with what lies below need be looked at. */
  readonly isLast: boolean;
}

/**
 * Opens a layer's directory on a private copy of its mount, where nothing is mounted below: what overlayfs sees too.
 * Without the privilege for that, the directory itself.
 */
export function openLayerRoot(path: string): Fd {
  const flags = O.RDONLY | O.DIRECTORY;
  const clone = unless(["EPERM", "EINVAL", "ENOSYS"], () => cloneMount(null, path));
  if (clone === undefined) return openAt(null, path, flags);
  using mount = clone;
  return openAt(mount, ".", flags);
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

