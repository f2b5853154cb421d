import type { FileSystem, NewInode, NewNode, Request, SetXattr } from "../../fuse/filesystem.ts";
import type { DirectoryWriter } from "../../fuse/wire/dirent.ts";
import type {
  AttrReply,
  CopyRequest,
  Created,
  CreateRequest,
  Entry,
  FileFlags,
  IoctlReply,
  IoctlRequest,
  Name,
  Opened,
  ReadRequest,
  ReleaseRequest,
  SetAttr,
  StatFs,
  StatxReply,
  WriteRequest,
} from "../../fuse/wire/types.ts";
import { E } from "../../kernel/abi/errno.ts";
import { S, XATTR_SIZE_MAX } from "../../kernel/abi/file.ts";
import { unless } from "../../kernel/error.ts";
import { checkBare, isBare, type UnionAttr } from "../../union/attr.ts";
import type { Creator } from "../../union/create.ts";
import { flagCommands } from "../../union/flags.ts";
import type { UnionEntry } from "../../union/entry.ts";
import type { Union } from "../../union/union.ts";
import { withoutTrusted } from "../../union/xattr.ts";
import { callerOf } from "./caller.ts";
import { changeCommand, type LayerChanges, replaceServer } from "./changes.ts";
import { Directories } from "./directories.ts";
import type { Journal } from "./journal.ts";
import type { Keeper } from "./keeper.ts";
import { Reclaim } from "./reclaim.ts";
import { renamedBefore } from "./retried.ts";
import type { Files } from "./files.ts";
import { StaleAttributes } from "./stale.ts";
import { decodeStatFs } from "./statfs.ts";

/** renameat2(2)'s flags: NOREPLACE 1, EXCHANGE 2, WHITEOUT 4; of 5 the kernel has seen that nothing has the new name. */
const renameModes = ["replace", "no-replace", "exchange", undefined, "whiteout", "whiteout"] as const;

const [S_ISUID, S_ISGID, S_IXGRP] = [0o4000, 0o2000, 0o0010];

/** What a mount consists of. */
interface Parts {
  readonly union: Union;
  readonly files: Files;
  readonly journal: Journal;
  readonly keeper: Keeper;
  readonly changes: LayerChanges;
  /** Has the kernel drop what it has cached of a directory's entries. */
  readonly forgetListing: (nodeid: number) => void;
  /** The same, as soon as nobody reads it; undefined where that can't be waited for. */
  readonly dropListing: ((nodeid: number) => void) | undefined;
  /** Has the kernel drop what it has cached of an inode's attributes. */
  readonly forgetAttributes: (nodeid: number) => void;
}

/** A union as FUSE asks for it: each method hands on to the union's of the same name. */
export class UnionFileSystem implements FileSystem {
  readonly #union: Union;
  readonly #files: Files;
  readonly #directories: Directories;
  readonly #journal: Journal;
  readonly #keeper: Keeper;
  readonly #reclaim: Reclaim;
  readonly #changes: LayerChanges;
  readonly #forgetListing: (nodeid: number) => void;
  readonly #forgetAttributes: (nodeid: number) => void;
  readonly #stale: StaleAttributes | undefined;
  /** Whose attributes the kernel will be told by the reply at hand; 0: nobody's. */
  #answered = 0;

  constructor(parts: Parts) {
    const { union, files, journal, keeper, changes, forgetListing, forgetAttributes, dropListing } = parts;
    this.#union = union;
    this.#files = files;
    this.#directories = new Directories(union);
    this.#journal = journal;
    this.#keeper = keeper;
    this.#changes = changes;
    this.#reclaim = new Reclaim(() => journal.shrink(), replaceServer);
    this.#forgetListing = forgetListing;
    this.#forgetAttributes = forgetAttributes;
    if (dropListing !== undefined) {
      this.#stale = new StaleAttributes((nodeid) => union.parentOf(nodeid), dropListing);
    }
  }

  lookup(parent: number, name: Name): Entry | undefined {
    // By a file handle, of an inode that the kernel may have forgotten.
    if (name === "." || name === "..") return this.#union.lookupById(parent, name);
    const entry = this.#union.lookup(parent, name);
    return entry === undefined ? undefined : this.#placed(parent, name, entry);
  }

  forget(nodeid: number, count: number): void {
    this.#directories.forget(nodeid);
    if (!this.#union.forget(nodeid, count)) return;
    this.#stale?.forget(nodeid);
    this.#keeper.drop(nodeid);
    this.#journal.forget(nodeid);
    this.#reclaim.forgot(this.#journal.size);
  }

  forgotten(): void {
    this.#reclaim.settle();
  }

  getattr(nodeid: number): AttrReply {
    this.#stale?.told(nodeid);
    return this.#believed(nodeid, { attr: this.#union.getattr(nodeid) });
  }

  statx(nodeid: number): StatxReply {
    const birthTime = this.#union.birthTime(nodeid);
    return { ...this.getattr(nodeid), ...(birthTime && { birthTime }) };
  }

  setattr(nodeid: number, change: SetAttr, request: Request): AttrReply {
    if (isBare(change)) checkBare(this.#union.getattr(nodeid), () => callerOf(request).uid);
    if (change.killSuidGid || isBare(change)) this.#killSuidGid(nodeid, request);
    this.#stale?.told(nodeid);
    this.#answered = nodeid;
    try {
      return this.#believed(nodeid, { attr: this.#union.setattr(nodeid, change, change.fh) });
    } catch (error) {
      this.#forgetAttributes(nodeid);
      throw error;
    } finally {
      this.#answered = 0;
    }
  }

  readlink(nodeid: number): Uint8Array {
    this.#stale?.touched(nodeid);
    return this.#union.readlink(nodeid);
  }

  statfs(): StatFs {
    return decodeStatFs(this.#union.statfs());
  }

  mknod(parent: number, name: Name, node: NewNode, request: Request): Entry {
    const make = (): UnionEntry => this.#union.mknod(parent, name, node.mode, node.rdev, creator(request, node));
    return this.#made(parent, name, request, make);
  }

  mkdir(parent: number, name: Name, node: NewInode, request: Request): Entry {
    const make = (): UnionEntry => this.#union.mkdir(parent, name, node.mode, creator(request, node));
    return this.#made(parent, name, request, make);
  }

  symlink(parent: number, name: Name, target: string, request: Request): Entry {
    const owner = { uid: request.uid, gid: request.gid };
    return this.#made(parent, name, request, () => this.#union.symlink(parent, name, target, owner));
  }

  link(nodeid: number, newParent: number, newName: Name, request: Request): Entry {
    const entry = this.#made(newParent, newName, request, () => this.#union.link(nodeid, newParent, newName));
    this.#keeper.drop(nodeid);
    return entry;
  }

  unlink(parent: number, name: Name, request: Request): void {
    this.#removed(parent, name, request, () => this.#union.unlink(parent, name));
  }

  rmdir(parent: number, name: Name, request: Request): void {
    this.#removed(parent, name, request, () => this.#union.rmdir(parent, name));
  }

  rename(parent: number, name: Name, newParent: number, newName: Name, flags: number, request: Request): number {
    const mode = renameModes[flags];
    if (mode === undefined) return -E.INVAL;
    const before = request.isResend
      ? renamedBefore({ union: this.#union, journal: this.#journal }, { parent, name, newParent, newName }, mode)
      : "not yet";
    const replaced = mode === "exchange" ? undefined : this.#union.nodeidAt(newParent, newName);
    if (before === "not yet") this.#union.rename(parent, name, newParent, newName, mode);
    if (before !== "recorded") this.#journal.move(parent, name, newParent, newName, mode === "exchange");
    this.#stale?.changed(parent);
    this.#keepOpen(replaced);
    if (parent !== newParent) {
      this.#stale?.changed(newParent);
      this.#movedTo(newParent, newName);
      if (mode === "exchange") this.#movedTo(parent, name);
    }
    return 0;
  }

  open(nodeid: number, how: FileFlags, request: Request): Opened | number {
    if (request.isResend) this.#files.retry(request.key);
    if (how.killSuidGid) this.#killSuidGid(nodeid, request);
    const wasUnseen = this.#files.changesUnseen(nodeid);
    const opened = this.#files.open(nodeid, how, request.key);
    if (!wasUnseen && this.#files.changesUnseen(nodeid)) this.#forgetAttributes(nodeid);
    return opened;
  }

  create(parent: number, name: Name, how: CreateRequest, request: Request): Created {
    if (request.isResend) {
      this.#files.retry(request.key);
      const entry = this.lookup(parent, name);
      if (entry !== undefined) return { entry, opened: this.#files.madeBefore(entry.nodeid, how, request.key) };
    }
    const entry = this.#union.create(parent, name, how.mode, how.flags, creator(request, how));
    const opened = this.#opened(entry, how, request);
    this.#stale?.changed(parent);
    return { entry: this.#placed(parent, name, entry), opened };
  }

  #opened(entry: UnionEntry & { readonly handle: number }, { flags }: CreateRequest, request: Request): Opened {
    return this.#files.made(entry.nodeid, entry.handle, { flags, mode: entry.attr.mode }, request.key);
  }

  tmpfile(parent: number, how: CreateRequest, request: Request): Created {
    const entry = this.#union.tmpfile(parent, how.mode, how.flags, creator(request, how));
    const opened = this.#opened(entry, how, request);
    this.#keepOpen(entry.nodeid);
    return { entry: this.#placed(0, "", entry), opened };
  }

  read(nodeid: number, from: ReadRequest, into: Uint8Array): number {
    this.#stale?.touched(nodeid);
    return this.#files.read(nodeid, from, into);
  }

  write(nodeid: number, to: WriteRequest, data: Uint8Array, request: Request): number {
    if (to.killSuidGid) this.#killSuidGid(nodeid, request);
    this.#stale?.touched(nodeid);
    return this.#files.write(nodeid, to, data);
  }

  release(nodeid: number, what: ReleaseRequest): void {
    this.#files.release(nodeid, what);
  }

  fsync(nodeid: number, fh: number, what: "all" | "data"): void {
    this.#files.fsync(nodeid, fh, what);
  }

  fallocate(nodeid: number, range: { fh: number; offset: number; length: number; mode: number }): void {
    this.#files.fallocate(nodeid, range);
  }

  lseek(nodeid: number, from: { fh: number; offset: number; whence: number }): number {
    return this.#files.lseek(nodeid, from);
  }

  copyFileRange(nodeid: number, what: CopyRequest): number {
    const count = this.#files.copyFileRange(nodeid, what);
    this.#forgetAttributes(nodeid); // Linux keeps its atime
    return count;
  }

  readdir(nodeid: number, _fh: number, offset: number, writer: DirectoryWriter): void {
    this.#directories.read(nodeid, offset, writer);
  }

  readdirplus(nodeid: number, _fh: number, offset: number, writer: DirectoryWriter): void {
    // Where one of them might keep us waiting, each is for who asks for it.
    const isRemote = this.#union.remote.places(nodeid).length > 0;
    const count = this.#directories.read(nodeid, offset, writer, (name) =>
      isRemote ? undefined : this.#lookUpIfSound(nodeid, name),
    );
    if (!isRemote) this.#stale?.listed(nodeid, offset, count);
  }

  /** What can't be looked up is listed all the same: who asks for it gets the error then. */
  #lookUpIfSound(parent: number, name: Name): Entry | undefined {
    if (name === "." || name === "..") return undefined;
    return unless(["EIO", "EACCES", "EPERM", "ESTALE"], () => this.lookup(parent, name));
  }

  fsyncdir(nodeid: number, _fh: number, what: "all" | "data"): void {
    this.#union.fsyncdir(nodeid, what);
  }

  getxattr(nodeid: number, name: Name): Uint8Array | number {
    return this.#union.getxattr(nodeid, name, XATTR_SIZE_MAX);
  }

  setxattr(nodeid: number, name: Name, value: Uint8Array, how: SetXattr): void {
    this.#union.setxattr(nodeid, name, value, how.flags);
    if (!how.killSetGid) return;
    const { mode } = this.#union.getattr(nodeid);
    this.#setMode(nodeid, mode, mode & ~S_ISGID);
  }

  listxattr(nodeid: number, request: Request): Uint8Array | number {
    const list = this.#union.listxattr(nodeid, XATTR_SIZE_MAX);
    return typeof list === "number" ? list : withoutTrusted(list, () => callerOf(request).uid === 0);
  }

  removexattr(nodeid: number, name: Name): void {
    this.#union.removexattr(nodeid, name);
  }

  /** lsattr(1) and chattr(1); of the root, LayerChanges too. */
  ioctl(nodeid: number, { command, input, outputSize }: IoctlRequest, request: Request): IoctlReply | number {
    if (command === changeCommand && nodeid === 1) return { result: 0, output: this.#changes.change(input, request) };
    const what = flagCommands.get(command);
    if (what === undefined) return -E.NOTTY;
    const data = Buffer.alloc(Math.max(input.length, outputSize, 32));
    data.set(input);
    const result = this.#union.control(nodeid, command, data, what);
    return result < 0 ? result : { result, output: data.subarray(0, outputSize) };
  }

  syncfs(): void {
    this.#union.syncfs();
  }

  destroy(): void {
    this.#union.close();
  }

  /** The kernel will know it by this name. */
  #placed(parent: number, name: Name, entry: UnionEntry): UnionEntry {
    const { ino, mode } = entry.attr;
    this.#journal.place(entry.nodeid, { parent, name, ino, isDirectory: (mode & S.IFMT) === S.IFDIR });
    this.#stale?.told(entry.nodeid);
    return this.#believed(entry.nodeid, entry);
  }

  /** Attributes as the kernel is to believe them: for ever, unless they may change without its knowing. */
  #believed<T extends AttrReply & { readonly attr: UnionAttr }>(nodeid: number, reply: T): T {
    const isForNow = reply.attr.isUncounted === true || this.#files.changesUnseen(nodeid);
    return isForNow ? { ...reply, attrTimeoutMs: 0 } : reply;
  }

  /** The kernel asks only for what it knows isn't there: what is has been made by the server before, for this request. */
  #made(parent: number, name: Name, request: Request, make: () => UnionEntry): UnionEntry {
    const entry = request.isResend ? this.#union.lookup(parent, name) : undefined;
    const made = this.#placed(parent, name, entry ?? make());
    this.#stale?.changed(parent);
    return made;
  }

  #removed(parent: number, name: Name, request: Request, remove: () => void): void {
    const nodeid = this.#union.nodeidAt(parent, name);
    if (request.isResend) unless(["ENOENT"], remove);
    else remove();
    this.#journal.remove(parent, name);
    this.#stale?.changed(parent);
    this.#keepOpen(nodeid);
  }

  /** Its attributes are other ones; and a file without a name that is open has another descriptor from now on. */
  copiedUp(nodeid: number): void {
    if (nodeid !== this.#answered) this.#forgetAttributes(nodeid);
    if (!this.#keeper.has(nodeid)) return;
    this.#keeper.drop(nodeid);
    this.#keepOpen(nodeid);
  }

  /** What has lost its last name and may be open: the next server won't find it by one. */
  #keepOpen(nodeid: number | undefined): void {
    if (nodeid === undefined) return;
    this.#union.withPin(nodeid, (pin) => this.#keeper.keep(nodeid, pin));
  }

  /** What the kernel has cached of a directory's entries says where its `..` leads. */
  #movedTo(parent: number, name: Name): void {
    const entry = this.#union.lookup(parent, name);
    if (entry === undefined) return;
    this.#union.forget(entry.nodeid, 1);
    if ((entry.attr.mode & S.IFMT) === S.IFDIR) this.#forgetListing(entry.nodeid);
  }

  /**
   * The layer's file system doesn't do so for us: we may keep those bits. Capabilities it takes away itself. Of a file that
   * its group can't execute, set-group-ID goes only where others write; of all their groups we know one.
   */
  #killSuidGid(nodeid: number, request: Request): void {
    const { mode, gid: group } = this.#union.getattr(nodeid);
    if ((mode & S.IFMT) === S.IFDIR || (mode & (S_ISUID | S_ISGID)) === 0) return; // a directory's mean something else
    const { uid, gid } = callerOf(request);
    const isOthers = (mode & S_IXGRP) !== 0 || (uid !== 0 && gid !== group);
    this.#setMode(nodeid, mode, mode & ~(S_ISUID | (isOthers ? S_ISGID : 0)));
  }

  #setMode(nodeid: number, mode: number, changed: number): void {
    if (changed !== mode) this.#union.setattr(nodeid, { mode: changed & 0o7777 });
  }
}

function creator({ uid, gid }: Request, { umask }: NewInode): Creator {
  return { uid, gid, umask };
}
