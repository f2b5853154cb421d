import type { FileSystem, NewInode, NewNode, Request, SetXattr } from "../../fuse/filesystem.ts";
import type { DirectoryWriter } from "../../fuse/wire/dirent.ts";
import type {
  AttrReply,
  CopyRequest,
  Created,
  CreateRequest,
  Entry,
  FileFlags,
  Name,
  Opened,
  ReadRequest,
  ReleaseRequest,
  SetAttr,
  StatFs,
  WriteRequest,
} from "../../fuse/wire/types.ts";
import { E } from "../../kernel/abi/errno.ts";
import { unless } from "../../kernel/error.ts";
import type { Creator } from "../../union/create.ts";
import type { RenameMode } from "../../union/rename.ts";
import type { Union } from "../../union/union.ts";
import { Directories } from "./directories.ts";
import type { OpenModes } from "./modes.ts";

/** renameat2(2)'s flags, include/uapi/linux/fs.h: NOREPLACE 1, EXCHANGE 2, WHITEOUT 4. */
const renameModes: readonly (RenameMode | undefined)[] = ["replace", "no-replace", "exchange", undefined, "whiteout"];

const [S_ISUID, S_ISGID, S_IXGRP] = [0o4000, 0o2000, 0o0010];

/** A union as FUSE asks for it: each method hands on to the union's of the same name. */
export class UnionFileSystem implements FileSystem {
  readonly #union: Union;
  readonly #modes: OpenModes;
  readonly #directories: Directories;

  constructor(union: Union, modes: OpenModes) {
    this.#union = union;
    this.#modes = modes;
    this.#directories = new Directories(union);
  }

  lookup(parent: number, name: Name): Entry | undefined {
    return this.#union.lookup(parent, name);
  }

  forget(nodeid: number, count: number): void {
    this.#directories.forget(nodeid);
    this.#union.forget(nodeid, count);
  }

  getattr(nodeid: number): AttrReply {
    return { attr: this.#union.getattr(nodeid) };
  }

  setattr(nodeid: number, change: SetAttr): AttrReply {
    if (change.killSuidGid) this.#killSuidGid(nodeid);
    return { attr: this.#union.setattr(nodeid, change, change.fh) };
  }

  readlink(nodeid: number): Uint8Array {
    return this.#union.readlink(nodeid);
  }

  /** struct statfs, from the layer that is written to */
  statfs(): StatFs {
    const stat = this.#union.statfs();
    const word = (at: number): number => Number(stat.readBigUInt64LE(at));
    return {
      blockSize: word(8),
      blocks: word(16),
      freeBlocks: word(24),
      availableBlocks: word(32),
      files: word(40),
      freeFiles: word(48),
      nameLength: word(64),
      fragmentSize: word(72),
    };
  }

  mknod(parent: number, name: Name, node: NewNode, request: Request): Entry {
    return this.#union.mknod(parent, name, node.mode, node.rdev, creator(request, node));
  }

  mkdir(parent: number, name: Name, node: NewInode, request: Request): Entry {
    return this.#union.mkdir(parent, name, node.mode, creator(request, node));
  }

  symlink(parent: number, name: Name, target: string, request: Request): Entry {
    return this.#union.symlink(parent, name, target, { uid: request.uid, gid: request.gid });
  }

  link(nodeid: number, newParent: number, newName: Name): Entry {
    return this.#union.link(nodeid, newParent, newName);
  }

  unlink(parent: number, name: Name): void {
    this.#union.unlink(parent, name);
  }

  rmdir(parent: number, name: Name): void {
    this.#union.rmdir(parent, name);
  }

  rename(parent: number, name: Name, newParent: number, newName: Name, flags: number): number {
    const mode = renameModes[flags];
    if (mode === undefined) return -E.INVAL;
    this.#union.rename(parent, name, newParent, newName, mode);
    return 0;
  }

  open(nodeid: number, how: FileFlags): Opened {
    if (how.killSuidGid) this.#killSuidGid(nodeid);
    return this.#modes.open(nodeid, this.#union.open(nodeid, how.flags));
  }

  create(parent: number, name: Name, how: CreateRequest, request: Request): Created {
    const entry = this.#union.create(parent, name, how.mode, how.flags, creator(request, how));
    return { entry, opened: this.#modes.open(entry.nodeid, entry.handle) };
  }

  tmpfile(parent: number, how: CreateRequest, request: Request): Created {
    const entry = this.#union.tmpfile(parent, how.mode, how.flags, creator(request, how));
    return { entry, opened: this.#modes.open(entry.nodeid, entry.handle) };
  }

  read(_nodeid: number, from: ReadRequest, into: Uint8Array): number {
    return this.#union.read(from.fh, into, from.offset);
  }

  write(nodeid: number, to: WriteRequest, data: Uint8Array): number {
    if (to.killSuidGid) this.#killSuidGid(nodeid);
    return this.#union.write(to.fh, data, to.offset);
  }

  release(nodeid: number, { fh }: ReleaseRequest): void {
    this.#modes.release(nodeid, fh);
    this.#union.release(fh);
  }

  fsync(_nodeid: number, fh: number, what: "all" | "data"): void {
    this.#union.fsync(fh, what);
  }

  fallocate(_nodeid: number, range: { fh: number; offset: number; length: number; mode: number }): void {
    this.#union.fallocate(range.fh, range.mode, range.offset, range.length);
  }

  lseek(_nodeid: number, { fh, offset, whence }: { fh: number; offset: number; whence: number }): number {
    return this.#union.lseek(fh, offset, whence);
  }

  copyFileRange(_nodeid: number, { fh, offset, toFh, toOffset, length }: CopyRequest): number {
    return this.#union.copyFileRange(fh, offset, toFh, toOffset, length);
  }

  readdir(nodeid: number, _fh: number, offset: number, writer: DirectoryWriter): void {
    this.#directories.read(nodeid, offset, writer);
  }

  readdirplus(nodeid: number, _fh: number, offset: number, writer: DirectoryWriter): void {
    this.#directories.read(nodeid, offset, writer, (name) => this.#lookUpIfSound(nodeid, name));
  }

  /** What can't be looked up is listed all the same: who asks for it gets the error then. */
  #lookUpIfSound(parent: number, name: Name): Entry | undefined {
    if (name === "." || name === "..") return undefined;
    return unless(["EIO", "EACCES", "EPERM", "ESTALE"], () => this.#union.lookup(parent, name));
  }

  fsyncdir(nodeid: number, _fh: number, what: "all" | "data"): void {
    this.#directories.sync(nodeid, what);
  }

  getxattr(nodeid: number, name: Name): Uint8Array | number {
    return this.#union.getxattr(nodeid, name, XATTR_SIZE_MAX);
  }

  setxattr(nodeid: number, name: Name, value: Uint8Array, how: SetXattr): void {
    this.#union.setxattr(nodeid, name, value, how.flags);
    if (how.killSetGid) this.#changeMode(nodeid, (mode) => mode & ~S_ISGID);
  }

  listxattr(nodeid: number): Uint8Array | number {
    return this.#union.listxattr(nodeid, XATTR_SIZE_MAX);
  }

  removexattr(nodeid: number, name: Name): void {
    this.#union.removexattr(nodeid, name);
  }

  syncfs(): void {
    this.#union.syncfs();
  }

  destroy(): void {
    this.#union.close();
  }

  /** The layer's file system doesn't do so for us: we may keep those bits. Capabilities it takes away itself. */
  #killSuidGid(nodeid: number): void {
    this.#changeMode(nodeid, (mode) => mode & ~(S_ISUID | ((mode & S_IXGRP) === 0 ? 0 : S_ISGID)));
  }

  #changeMode(nodeid: number, change: (mode: number) => number): void {
    const { mode } = this.#union.getattr(nodeid);
    const changed = change(mode);
    if (changed !== mode) this.#union.setattr(nodeid, { mode: changed & 0o7777 });
  }
}

const XATTR_SIZE_MAX = 65536; // include/uapi/linux/limits.h

function creator({ uid, gid }: Request, { umask }: NewInode): Creator {
  return { uid, gid, umask };
}
