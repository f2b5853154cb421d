import { E } from "../kernel/abi/errno.ts";
import { O, S } from "../kernel/abi/file.ts";
import { closeFd, fail, type KnownTime, must, type Name, nameOf, readlinkName, statSerial } from "../kernel/at.ts";
import type { Fd } from "../kernel/fd.ts";
import { allocate, copyRange, readAt, seek, syncFd, writeAt } from "../kernel/io.ts";
import { birthTimeOf } from "./birthtime.ts";
import { inodeById } from "./byid.ts";
import { type AttrChange, attrOf, setAttr, type UnionAttr } from "./attr.ts";
import type { UnionEntry } from "./entry.ts";
import { saveTimes } from "./changetimes.ts";
import { Contents } from "./contents.ts";
import { type Core, locate, place } from "./core.ts";
import { create, createNameless, type Creator, type NewEntry } from "./create.ts";
import { controlFlags } from "./flags.ts";
import { generationOf } from "./generation.ts";
import type { Inode } from "./inode.ts";
import type { Pin } from "./known.ts";
import { link } from "./link.ts";
import { directoryOf, inodeOf, looked, lookUp } from "./lookup.ts";
import { currentFd, isForWriting, openFile, type OpenFile, passed } from "./open.ts";
import { closePins, lowerFile, type LowerFile, withPin } from "./pin.ts";
import { list, type Listing } from "./readdir.ts";
import { RemoteLowers } from "./remotelowers.ts";
import { rmdir, unlink } from "./remove.ts";
import { rename, type RenameMode } from "./rename.ts";
import { statUnion, syncUnion } from "./statfs.ts";
import { openUnion, type UnionOptions } from "./setup.ts";
import { getAttribute, listAttributes, removeAttribute, setAttribute } from "./xattr.ts";

/**
 * Many layers as one tree. Every method is one operation, synchronous, on inodes by number (1 is the root) and names
 * as bytes; it throws a KernelError with the errno that the caller of the operation is to see. What is made belongs to
 * the process's own umask of 0, which the constructor sets.
 */
export class Union implements Disposable {
  /** What is read and written without having been opened. */
  readonly contents: Contents;
  /** Those that may keep us waiting. */
  readonly remote: RemoteLowers;
  readonly #core: Core;
  readonly #fds: readonly Fd[];
  readonly #files = new Map<number, OpenFile>();
  /** Open files of a server before this one, until they are used. */
  readonly #known: Map<number, { readonly nodeid: number; readonly flags: number }>;
  #nextHandle = 1;

  /** @throws {UserError} for layers that can't be used together; {KernelError} for those that can't be opened */
  constructor(options: UnionOptions) {
    const { core, fds } = openUnion(options);
    this.#core = core;
    this.contents = new Contents(core);
    this.remote = new RemoteLowers(core);
    this.#fds = fds;
    this.#known = new Map(options.known?.files);
    for (const handle of this.#known.keys()) this.#nextHandle = Math.max(this.#nextHandle, handle + 1);
    if (core.upper !== undefined) process.umask(0);
  }

  get isReadOnly(): boolean {
    return this.#core.upper === undefined;
  }

  /** How many inodes are remembered. */
  get inodeCount(): number {
    return this.#core.table.size;
  }

  /** Starts an operation: what the last one has used may be closed, or no longer be remembered. */
  get #now(): Core {
    this.#core.cache.epoch++;
    if (this.#core.answers === undefined) this.#core.table.park(this.#isInUse);
    return this.#core;
  }

  readonly #isInUse = (inode: Inode): boolean => this.contents.has(inode);

  #enter(core: Core, inode: Inode, serial = -1): UnionEntry {
    const attr = attrOf(core, inode, serial);
    inode.lookups++;
    return { nodeid: inode.nodeid, generation: generationOf(core, inode), attr };
  }

  /** @returns undefined where there is none: the kernel may remember that */
  lookup(parent: number, name: Name | Uint8Array): UnionEntry | undefined {
    const core = this.#now;
    const found = lookUp(core, directoryOf(core, parent), nameOf(name));
    return found === undefined ? undefined : this.#enter(core, found.inode, looked.serial);
  }

  /**
   * The inode itself (`.`) or its directory (`..`), also where all references to it were given back before: for file
   * handles. @throws {KernelError} ESTALE: it isn't there any more
   */
  lookupById(nodeid: number, which: "." | ".."): UnionEntry {
    const core = this.#now;
    const inode = inodeById(core, nodeid);
    try {
      return this.#enter(core, which === "." ? inode : (inode.links[0]?.parent ?? inode));
    } finally {
      core.table.release(inode);
    }
  }

  /**
   * Gives back references that lookup() and the like have counted.
   * @returns whether the nodeid means nothing any more
   */
  forget(nodeid: number, count: number): boolean {
    const inode = this.#core.table.get(nodeid);
    if (inode === undefined) return this.#core.table.forgetParked(nodeid, count);
    inode.lookups = Math.max(0, inode.lookups - count);
    if (inode.lookups === 0) this.contents.close(inode);
    this.#core.table.release(inode);
    return inode.lookups === 0;
  }

  getattr(nodeid: number): UnionAttr {
    return attrOf(this.#now, inodeOf(this.#core, nodeid));
  }

  birthTime(nodeid: number): KnownTime | undefined {
    return birthTimeOf(this.#now, inodeOf(this.#core, nodeid));
  }

  /** @param handle an open file, whose descriptor a new size is set by */
  setattr(nodeid: number, change: AttrChange, handle?: number): UnionAttr {
    const core = this.#now;
    const inode = inodeOf(core, nodeid);
    const file = handle === undefined ? undefined : this.#files.get(handle);
    const openFd = file !== undefined && !file.isLower && isForWriting(file.flags) ? file.fd : -1;
    const serial = setAttr(core, inode, change, openFd);
    if (inode.isDirectory) inode.inheritsGroup = undefined;
    return attrOf(core, inode, serial);
  }

  readlink(nodeid: number): Uint8Array {
    const core = this.#now;
    const inode = inodeOf(core, nodeid);
    if (inode.type !== S.IFLNK) fail("readlink", inode.path, -E.INVAL);
    if (!inode.hasUpper) core.accessTimes.read(core, inode);
    const answered = core.answers?.texts.get(inode);
    if (answered?.text !== undefined) return Buffer.from(answered.text, "latin1");
    locate(core, inode);
    const target = answered?.status ?? readlinkName(place.fd, place.name);
    return typeof target === "number" ? fail("readlink", inode.path, target) : target;
  }

  #make(
    parent: number,
    name: Name | Uint8Array,
    entry: NewEntry,
    creator: Creator,
  ): { entry: UnionEntry; inode: Inode; fd: number } {
    const core = this.#now;
    const { inode, fd } = create(core, directoryOf(core, parent), nameOf(name), entry, creator);
    return { entry: this.#enter(core, inode, statSerial()), inode, fd };
  }

  mkdir(parent: number, name: Name | Uint8Array, mode: number, creator: Creator): UnionEntry {
    return this.#make(parent, name, { mode: S.IFDIR | (mode & 0o7777) }, creator).entry;
  }

  /** @param mode with its S_IF bits; without any, a regular file */
  mknod(
    parent: number,
    name: Name | Uint8Array,
    mode: number,
    rdev: { major: number; minor: number },
    creator: Creator,
  ): UnionEntry {
    const full = (mode & S.IFMT) === 0 ? mode | S.IFREG : mode;
    return this.#make(parent, name, { mode: full, rdevMajor: rdev.major, rdevMinor: rdev.minor }, creator).entry;
  }

  symlink(parent: number, name: Name | Uint8Array, target: Name | Uint8Array, creator: Creator): UnionEntry {
    return this.#make(parent, name, { mode: S.IFLNK | 0o777, target: nameOf(target) }, creator).entry;
  }

  /** Makes a file and opens it; where opens aren't known, for reading and writing, and the handle is 0. */
  create(
    parent: number,
    name: Name | Uint8Array,
    mode: number,
    flags: number,
    creator: Creator,
  ): UnionEntry & { handle: number } {
    const openFlags = this.#core.knowsOpens ? flags & passed : O.RDWR;
    const file = { mode: S.IFREG | (mode & 0o7777), openFlags };
    const made = this.#make(parent, name, file, creator);
    return { ...made.entry, handle: this.#keep({ inode: made.inode, fd: made.fd, isLower: false, flags }) };
  }

  /** A file without a name, open. */
  tmpfile(parent: number, mode: number, flags: number, creator: Creator): UnionEntry & { handle: number } {
    const core = this.#now;
    const openFlags = core.knowsOpens ? flags & passed : O.RDWR;
    const made = createNameless(core, directoryOf(core, parent), mode, openFlags, creator);
    const entry = this.#enter(core, made.inode, statSerial());
    return { ...entry, handle: this.#keep({ inode: made.inode, fd: made.fd, isLower: false, flags }) };
  }

  link(nodeid: number, parent: number, name: Name | Uint8Array): UnionEntry {
    const core = this.#now;
    const inode = inodeOf(core, nodeid);
    link(core, inode, directoryOf(core, parent), nameOf(name));
    return this.#enter(core, inode);
  }

  unlink(parent: number, name: Name | Uint8Array): void {
    const core = this.#now;
    unlink(core, directoryOf(core, parent), nameOf(name));
  }

  rmdir(parent: number, name: Name | Uint8Array): void {
    const core = this.#now;
    rmdir(core, directoryOf(core, parent), nameOf(name));
  }

  rename(
    from: number,
    name: Name | Uint8Array,
    to: number,
    newName: Name | Uint8Array,
    mode: RenameMode = "replace",
  ): void {
    const core = this.#now;
    const source = { parent: directoryOf(core, from), name: nameOf(name) };
    rename(core, source, { parent: directoryOf(core, to), name: nameOf(newName) }, mode);
  }

  #keep(file: OpenFile): number {
    if (!this.#core.knowsOpens) {
      this.contents.adopt(file);
      return 0;
    }
    file.inode.opens++;
    this.#files.set(this.#nextHandle, file);
    return this.#nextHandle++;
  }

  /** @returns a handle for read(), write() and the like, until release() */
  open(nodeid: number, flags: number): number {
    const core = this.#now;
    return this.#keep(openFile(core, inodeOf(core, nodeid), flags));
  }

  #file(handle: number): OpenFile {
    return this.#files.get(handle) ?? this.#reopen(handle) ?? fail("use handle", String(handle), -E.BADF);
  }

  #reopen(handle: number): OpenFile | undefined {
    const known = this.#known.get(handle);
    if (known === undefined) return undefined;
    this.#known.delete(handle);
    const core = this.#now;
    const file = openFile(core, inodeOf(core, known.nodeid), known.flags & ~O.TRUNC);
    file.inode.opens++;
    this.#files.set(handle, file);
    return file;
  }

  /** The descriptor behind a handle, for passthrough: what reads and writes go to now. */
  fdOf(handle: number): number {
    return currentFd(this.#now, this.#file(handle));
  }

  /** Whether a handle's descriptor is still of a lower's file. */
  isLower(handle: number): boolean {
    return this.#file(handle).isLower;
  }

  /** @returns bytes read into `buffer`: fewer at the end of the file */
  read(handle: number, buffer: Uint8Array, offset: number): number {
    return must("read", "", readAt(this.#reading(handle), buffer, offset));
  }

  #reading(handle: number): number {
    const [core, file] = [this.#now, this.#file(handle)];
    const fd = currentFd(core, file);
    if (file.isLower && (file.flags & O.NOATIME) === 0) core.accessTimes.read(core, file.inode);
    return fd;
  }

  write(handle: number, data: Uint8Array, offset: number): number {
    return must("write", "", writeAt(this.#file(handle).fd, data, offset));
  }

  /** SEEK_DATA and SEEK_HOLE. @see lseek(2) */
  lseek(handle: number, offset: number, whence: number): number {
    return must("seek", "", seek(currentFd(this.#now, this.#file(handle)), offset, whence));
  }

  fallocate(handle: number, mode: number, offset: number, length: number): void {
    must("allocate", "", allocate(this.#file(handle).fd, mode, offset, length));
  }

  copyFileRange(from: number, fromOffset: number, to: number, toOffset: number, length: number): number {
    return must("copy", "", copyRange(this.#reading(from), fromOffset, this.#file(to).fd, toOffset, length));
  }

  fsync(handle: number, what: "data" | "all"): void {
    const file = this.#file(handle);
    if (!file.isLower && !this.#core.isVolatile) must("sync", file.inode.path, syncFd(file.fd, what));
  }

  release(handle: number): void {
    const file = this.#files.get(handle);
    this.#known.delete(handle);
    if (file === undefined) return;
    this.#files.delete(handle);
    if (file.fd >= 0) closeFd(file.fd);
    file.inode.opens--;
    this.#core.table.release(file.inode);
  }

  /** A directory's entries as they are now, `.` and `..` first. */
  readdir(nodeid: number): Listing {
    const core = this.#now;
    const inode = directoryOf(core, nodeid);
    const listing = list(core, inode);
    core.accessTimes.read(core, inode);
    return listing;
  }

  fsyncdir(nodeid: number, what: "data" | "all"): void {
    const inode = directoryOf(this.#now, nodeid);
    if (inode.upperDir !== undefined && !inode.isDead && !this.#core.isVolatile)
      must("sync", inode.path, syncFd(inode.upperDir.fd, what));
  }

  /** @returns the value; its length where `size` is 0; −errno for ENODATA and ERANGE, which are answers */
  getxattr(nodeid: number, name: Name | Uint8Array, size: number): Uint8Array | number {
    const core = this.#now;
    return getAttribute(core, inodeOf(core, nodeid), nameOf(name), size);
  }

  listxattr(nodeid: number, size: number): Uint8Array | number {
    const core = this.#now;
    return listAttributes(core, inodeOf(core, nodeid), size);
  }

  setxattr(nodeid: number, name: Name | Uint8Array, value: Uint8Array, flags: number): void {
    const core = this.#now;
    setAttribute(core, inodeOf(core, nodeid), nameOf(name), value, flags);
  }

  removexattr(nodeid: number, name: Name | Uint8Array): void {
    const core = this.#now;
    removeAttribute(core, inodeOf(core, nodeid), nameOf(name));
  }

  /** What a name leads to, as far as the kernel was told. */
  nodeidAt(parent: number, name: Name): number | undefined {
    return this.#core.table.nodeidAt(parent, name);
  }

  /** The directory that one of its names is in, as far as the kernel was told. */
  parentOf(nodeid: number): number | undefined {
    return this.#core.table.parentOf(nodeid);
  }

  /** See withPin(). */
  withPin(nodeid: number, use: (pin: Pin) => void): void {
    withPin(this.#now, nodeid, use);
  }

  /** Where in a lower an inode's file is, if it is there: see lowerFile(). */
  lowerFile(nodeid: number): LowerFile | undefined {
    return lowerFile(this.#now, nodeid);
  }

  /** An inode's flags: see controlFlags(). */
  control(nodeid: number, request: number, data: Buffer, what: "get" | "set"): number {
    const core = this.#now;
    // What may be done with the file from now on is seen when it is opened again.
    if (what === "set") this.contents.close(inodeOf(core, nodeid));
    return controlFlags(core, nodeid, request, data, what);
  }

  statfs(): Buffer {
    return statUnion(this.#now);
  }

  syncfs(): void {
    syncUnion(this.#now);
  }

  close(): void {
    for (const handle of this.#files.keys()) this.release(handle);
    this.contents.closeAll();
    closePins(this.#core);
    saveTimes(this.#core);
    this.#core.cache.closeAll();
    for (const fd of this.#fds) fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
