// A whole file system in memory, for the tests and measurements of src/fuse: each method does what its name says.
import type { Deferred } from "../../src/fuse/deferred.ts";
import type { FileSystem, NewInode, NewNode, Request, SetXattr } from "../../src/fuse/filesystem.ts";
import type { DirectoryWriter } from "../../src/fuse/wire/dirent.ts";
import type {
  Attr,
  AttrReply,
  CopyRequest,
  Created,
  CreateRequest,
  Entry,
  Name,
  Opened,
  ReadRequest,
  SetAttr,
  StatxReply,
  Time,
  WriteRequest,
} from "../../src/fuse/wire/types.ts";

const [ENOENT, EEXIST, ENOTDIR, ENOTEMPTY, ENXIO, EINVAL, ENODATA] = [2, 17, 20, 39, 6, 22, 61];
const [S_IFMT, S_IFDIR, S_IFREG, S_IFLNK] = [0o170000, 0o040000, 0o100000, 0o120000];
const [RENAME_NOREPLACE, RENAME_EXCHANGE] = [1, 2];

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** One inode. */
export interface Inode {
  readonly nodeid: number;
  readonly attr: Mutable<Attr>;
  data: Uint8Array;
  readonly target: string;
  readonly entries: Map<Name, Inode>;
  readonly xattrs: Map<Name, Buffer>;
  parent: Inode | undefined;
  /** How many lookups the kernel remembers. */
  lookups: number;
}

export class MemoryFileSystem implements FileSystem {
  readonly inodes = new Map<number, Inode>();
  readonly root: Inode;
  /** FOPEN flags for files. */
  openFlags = 0;
  #nextNodeid = 1;

  constructor() {
    this.root = this.#makeInode(S_IFDIR | 0o755, undefined, "");
    this.root.attr.nlink = 2;
    this.root.parent = this.root;
  }

  lookup(parent: number, name: Name, _request?: Request): Entry | Deferred<Entry> | undefined {
    const inode = this.at(parent).entries.get(name);
    return inode === undefined ? undefined : this.remember(inode);
  }

  forget(nodeid: number, count: number): void {
    const inode = this.at(nodeid);
    inode.lookups -= count;
    if (inode.lookups <= 0 && inode.attr.nlink === 0) this.inodes.delete(nodeid);
  }

  getattr(nodeid: number): AttrReply {
    return this.at(nodeid);
  }

  statx(nodeid: number): StatxReply {
    return { attr: this.at(nodeid).attr, birthTime: { seconds: 12345, nsec: 678 } };
  }

  setattr(nodeid: number, change: SetAttr): AttrReply {
    const inode = this.at(nodeid);
    const { attr } = inode;
    if (change.mode !== undefined) attr.mode = (attr.mode & S_IFMT) | (change.mode & 0o7777);
    if (change.uid !== undefined) attr.uid = change.uid;
    if (change.gid !== undefined) attr.gid = change.gid;
    if (change.size !== undefined) resize(inode, change.size);
    if (change.atime !== undefined) [attr.atime, attr.atimeNsec] = timeOf(change.atime);
    if (change.mtime !== undefined) [attr.mtime, attr.mtimeNsec] = timeOf(change.mtime);
    [attr.ctime, attr.ctimeNsec] = timeOf("now");
    return inode;
  }

  readlink(nodeid: number, _request?: Request): string | Deferred<string> {
    return this.at(nodeid).target;
  }

  mknod(parent: number, name: Name, node: NewNode, request: Request): Entry | number {
    const made = this.#make(parent, name, node, "", request);
    if (typeof made === "number") return made;
    made.attr.rdevMajor = node.rdev.major;
    made.attr.rdevMinor = node.rdev.minor;
    return this.remember(made);
  }

  mkdir(parent: number, name: Name, node: NewInode, request: Request): Entry | number {
    const made = this.#make(parent, name, { ...node, mode: node.mode | S_IFDIR }, "", request);
    if (typeof made === "number") return made;
    made.attr.nlink = 2;
    this.at(parent).attr.nlink++;
    return this.remember(made);
  }

  symlink(parent: number, name: Name, target: string, request: Request): Entry | number {
    const made = this.#make(parent, name, { mode: S_IFLNK | 0o777, umask: 0 }, target, request);
    return typeof made === "number" ? made : this.remember(made);
  }

  link(nodeid: number, newParent: number, newName: Name): Entry | number {
    const { entries } = this.at(newParent);
    if (entries.has(newName)) return -EEXIST;
    const inode = this.at(nodeid);
    inode.attr.nlink++;
    entries.set(newName, inode);
    return this.remember(inode);
  }

  unlink(parent: number, name: Name): number {
    const { entries } = this.at(parent);
    const inode = entries.get(name);
    if (inode === undefined) return -ENOENT;
    inode.attr.nlink--;
    entries.delete(name);
    return 0;
  }

  rmdir(parent: number, name: Name): number {
    const dir = this.at(parent);
    const inode = dir.entries.get(name);
    if (inode === undefined) return -ENOENT;
    if (!isDirectory(inode)) return -ENOTDIR;
    if (inode.entries.size > 0) return -ENOTEMPTY;
    inode.attr.nlink = 0;
    dir.attr.nlink--;
    dir.entries.delete(name);
    return 0;
  }

  rename(parent: number, name: Name, newParent: number, newName: Name, flags: number): number {
    const [from, to] = [this.at(parent), this.at(newParent)];
    const [inode, other] = [from.entries.get(name), to.entries.get(newName)];
    if (inode === undefined) return -ENOENT;
    if (flags === RENAME_EXCHANGE) {
      if (other === undefined) return -ENOENT;
      from.entries.set(name, other);
      to.entries.set(newName, inode);
      return 0;
    }
    if (flags !== 0 && flags !== RENAME_NOREPLACE) return -EINVAL;
    if (other !== undefined) {
      if (flags === RENAME_NOREPLACE) return -EEXIST;
      if (other.entries.size > 0) return -ENOTEMPTY;
      other.attr.nlink = isDirectory(other) ? 0 : other.attr.nlink - 1;
    }
    from.entries.delete(name);
    to.entries.set(newName, inode);
    inode.parent = to;
    return 0;
  }

  open(nodeid: number): Opened | number {
    return { fh: nodeid, flags: this.openFlags };
  }

  create(parent: number, name: Name, how: CreateRequest, request: Request): Created | number {
    const made = this.#make(parent, name, { ...how, mode: how.mode | S_IFREG }, "", request);
    return typeof made === "number" ? made : this.#opened(made);
  }

  tmpfile(_parent: number, how: CreateRequest, request: Request): Created | number {
    const made = this.#makeInode(S_IFREG | (how.mode & ~how.umask), request, "");
    made.attr.nlink = 0;
    return this.#opened(made);
  }

  read(nodeid: number, from: ReadRequest, into: Uint8Array): number | Deferred<Uint8Array> {
    const { data, attr } = this.at(nodeid);
    const part = data.subarray(from.offset, Math.min(from.offset + from.size, attr.size));
    into.set(part);
    return part.length;
  }

  write(nodeid: number, to: WriteRequest, data: Uint8Array): number {
    const inode = this.at(nodeid);
    if (to.offset + data.length > inode.attr.size) resize(inode, to.offset + data.length);
    inode.data.set(data, to.offset);
    [inode.attr.mtime, inode.attr.mtimeNsec] = timeOf("now");
    return data.length;
  }

  fsync(): number {
    return 0;
  }

  fallocate(nodeid: number, range: { offset: number; length: number; mode: number }): number {
    const inode = this.at(nodeid);
    if (range.mode !== 0) return -95; // EOPNOTSUPP
    if (range.offset + range.length > inode.attr.size) resize(inode, range.offset + range.length);
    return 0;
  }

  /** All is data, but for the hole at the end. */
  lseek(nodeid: number, { offset, whence }: { offset: number; whence: number }): number {
    const { size } = this.at(nodeid).attr;
    if (offset >= size) return -ENXIO;
    return whence === 3 ? offset : size;
  }

  copyFileRange(nodeid: number, what: CopyRequest): number {
    const { data, attr } = this.at(nodeid);
    const part = data.slice(what.offset, Math.min(what.offset + what.length, attr.size));
    const to = { fh: 0, offset: what.toOffset, flags: 0, lockOwner: undefined, isFromCache: false, killSuidGid: false };
    return this.write(what.toNodeid, to, part);
  }

  readdir(nodeid: number, _fh: number, offset: number, writer: DirectoryWriter): void {
    this.#list(nodeid, offset, (name, inode, next) =>
      writer.add(name, inode.attr.ino, (inode.attr.mode & S_IFMT) >> 12, next),
    );
  }

  readdirplus(nodeid: number, _fh: number, offset: number, writer: DirectoryWriter): void {
    this.#list(nodeid, offset, (name, inode, next) => {
      if (!writer.hasRoomForEntry(name.length)) return false;
      const entry = isDots(name) ? undefined : this.remember(inode);
      return writer.addEntry(name, inode.attr.ino, (inode.attr.mode & S_IFMT) >> 12, next, entry);
    });
  }

  getxattr(nodeid: number, name: Name, _request?: Request): Uint8Array | undefined | Deferred<Uint8Array> {
    return this.at(nodeid).xattrs.get(name);
  }

  setxattr(nodeid: number, name: Name, value: Uint8Array, how: SetXattr): number {
    const { xattrs } = this.at(nodeid);
    if (how.flags === 1 && xattrs.has(name)) return -EEXIST;
    if (how.flags === 2 && !xattrs.has(name)) return -ENODATA;
    xattrs.set(name, Buffer.from(value));
    return 0;
  }

  listxattr(nodeid: number, _request?: Request): Uint8Array | Deferred<Uint8Array> {
    return Buffer.from([...this.at(nodeid).xattrs.keys()].map((name) => `${name}\0`).join(""), "latin1");
  }

  removexattr(nodeid: number, name: Name): number {
    return this.at(nodeid).xattrs.delete(name) ? 0 : -ENODATA;
  }

  at(nodeid: number): Inode {
    const inode = this.inodes.get(nodeid);
    if (inode === undefined) throw Object.assign(new Error(`no inode ${nodeid}`), { code: "ESTALE" });
    return inode;
  }

  /** The inode as an entry, which the kernel knows once more from now on. */
  remember(inode: Inode): Entry {
    inode.lookups++;
    return inode;
  }

  #list(nodeid: number, offset: number, add: (name: Name, inode: Inode, next: number) => boolean): void {
    const dir = this.at(nodeid);
    const all: (readonly [Name, Inode])[] = [[".", dir], ["..", dir.parent ?? dir], ...dir.entries];
    for (let index = offset; index < all.length; index++) {
      const [name, inode] = all[index] ?? ["", dir];
      if (!add(name, inode, index + 1)) return;
    }
  }

  #opened(inode: Inode): Created {
    return { entry: this.remember(inode), opened: { fh: inode.nodeid, flags: this.openFlags } };
  }

  #make(parent: number, name: Name, node: NewInode, target: string, request: Request): Inode | number {
    const dir = this.at(parent);
    if (dir.entries.has(name)) return -EEXIST;
    const inode = this.#makeInode(node.mode & ~node.umask, request, target);
    inode.parent = dir;
    dir.entries.set(name, inode);
    return inode;
  }

  #makeInode(mode: number, owner: { uid: number; gid: number } | undefined, target: string): Inode {
    const nodeid = this.#nextNodeid++;
    const [seconds, nsec] = timeOf("now");
    const attr = {
      ino: nodeid,
      mode,
      nlink: 1,
      uid: owner?.uid ?? 0,
      gid: owner?.gid ?? 0,
      size: Buffer.byteLength(target, "latin1"),
      blocks: 0,
      atime: seconds,
      atimeNsec: nsec,
      mtime: seconds,
      mtimeNsec: nsec,
      ctime: seconds,
      ctimeNsec: nsec,
    };
    const [entries, xattrs] = [new Map<Name, Inode>(), new Map<Name, Buffer>()];
    const inode = { nodeid, attr, data: new Uint8Array(0), target, entries, xattrs, parent: undefined, lookups: 0 };
    this.inodes.set(nodeid, inode);
    return inode;
  }
}

function isDirectory(inode: Inode): boolean {
  return (inode.attr.mode & S_IFMT) === S_IFDIR;
}

function isDots(name: Name): boolean {
  return name === "." || name === "..";
}

function timeOf(time: Time | "now"): [number, number] {
  if (time !== "now") return [time.seconds, time.nsec];
  const nowMs = Date.now();
  return [Math.floor(nowMs / 1000), (nowMs % 1000) * 1e6];
}

function resize(inode: Inode, size: number): void {
  if (size > inode.data.length) {
    const larger = new Uint8Array(Math.max(size, inode.data.length * 2));
    larger.set(inode.data.subarray(0, inode.attr.size));
    inode.data = larger;
  } else if (size < inode.attr.size) {
    inode.data.fill(0, size);
  }
  inode.attr.size = size;
  inode.attr.blocks = Math.ceil(size / 512);
}
