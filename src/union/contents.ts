import { O } from "../kernel/abi/file.ts";
import { closeFd, must } from "../kernel/at.ts";
import { allocate, copyRange, readAt, seek, syncFd, writeAt } from "../kernel/io.ts";
import { copyUp } from "./copyup.ts";
import type { Core } from "./core.ts";
import type { Inode } from "./inode.ts";
import { inodeOf } from "./lookup.ts";
import { O_APPEND, openContent, type OpenFile, SYNCED } from "./open.ts";

/** How many descriptors are kept; what isn't among them is opened again. */
const MOST = 64;

/** A descriptor of a file's content, where it is now. */
interface Content {
  readonly fd: number;
  readonly isLower: boolean;
  /** "append": chattr(1) allows no more. */
  readonly access: "read" | "write" | "append";
}

/**
 * The data of files by inode, for a kernel that doesn't say who opens what. A file is copied up when it is first written
 * to; who has it open, or mapped, has one file before and after.
 */
export class Contents {
  readonly #core: Core;
  /** The one that was used last at the end. */
  readonly #open = new Map<Inode, Content>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** @param flags open(2)'s, of who reads; @returns bytes read into `buffer`: fewer at the end of the file */
  read(nodeid: number, flags: number, buffer: Uint8Array, offset: number): number {
    const inode = this.#inode(nodeid);
    // Only the layer's own file system can leave its access time as it is.
    if ((flags & O.NOATIME) !== 0) return this.#readUnseen(inode, buffer, offset);
    const { fd, isLower } = this.#forReading(inode);
    if (isLower) this.#core.accessTimes.read(this.#core, inode);
    return must("read", "", readAt(fd, buffer, offset));
  }

  write(nodeid: number, flags: number, data: Uint8Array, offset: number): number {
    const { fd } = this.#forWriting(this.#inode(nodeid), flags);
    const count = must("write", "", writeAt(fd, data, offset));
    if ((flags & SYNCED) !== 0 && !this.#core.isVolatile) must("sync", "", syncFd(fd, "data"));
    return count;
  }

  /** SEEK_DATA and SEEK_HOLE. @see lseek(2) */
  lseek(nodeid: number, offset: number, whence: number): number {
    return must("seek", "", seek(this.#forReading(this.#inode(nodeid)).fd, offset, whence));
  }

  fallocate(nodeid: number, mode: number, offset: number, length: number): void {
    must("allocate", "", allocate(this.#forWriting(this.#inode(nodeid), 0).fd, mode, offset, length));
  }

  copyRange(from: number, fromOffset: number, to: number, toOffset: number, length: number): number {
    const target = this.#forWriting(this.#inode(to), 0);
    const inode = this.#inode(from);
    const source = this.#forReading(inode);
    if (source.isLower) this.#core.accessTimes.read(this.#core, inode);
    return must("copy", "", copyRange(source.fd, fromOffset, target.fd, toOffset, length));
  }

  fsync(nodeid: number, what: "data" | "all"): void {
    const inode = this.#inode(nodeid);
    if (!inode.hasUpper || inode.isMetacopy || this.#core.isVolatile) return;
    must("sync", inode.path, syncFd(this.#forReading(inode).fd, what));
  }

  /** Takes over the descriptor of a file that was made just now, readable and writable. */
  adopt({ inode, fd }: OpenFile): void {
    this.#put(inode, { fd, isLower: false, access: "write" });
  }

  /** It is opened again when it is used: nobody knows it any more, or what may be done with it has changed. */
  close(inode: Inode): void {
    const content = this.#open.get(inode);
    if (content === undefined) return;
    this.#open.delete(inode);
    closeFd(content.fd);
  }

  has(inode: Inode): boolean {
    return this.#open.has(inode);
  }

  closeAll(): void {
    for (const inode of this.#open.keys()) this.close(inode);
  }

  #inode(nodeid: number): Inode {
    this.#core.cache.epoch++;
    return inodeOf(this.#core, nodeid);
  }

  #forReading(inode: Inode): Content {
    const known = this.#known(inode);
    return known ?? this.#put(inode, { ...openContent(this.#core, inode, O.RDONLY), access: "read" });
  }

  #forWriting(inode: Inode, flags: number): Content {
    const known = this.#known(inode);
    const appends = (flags & O_APPEND) !== 0;
    if (known?.access === "write" || (known?.access === "append" && appends)) return known;
    copyUp(this.#core, inode, { content: "copy" });
    this.close(inode);
    const { fd, isAppending } = openContent(this.#core, inode, O.RDWR | (flags & O_APPEND));
    return this.#put(inode, { fd, isLower: false, access: isAppending ? "append" : "write" });
  }

  /** Unless it has been copied up since it was opened. */
  #known(inode: Inode): Content | undefined {
    const content = this.#open.get(inode);
    if (content === undefined) return undefined;
    if (content.isLower && inode.hasUpper && !inode.isMetacopy) {
      this.close(inode);
      return undefined;
    }
    this.#open.delete(inode);
    this.#open.set(inode, content);
    return content;
  }

  #put(inode: Inode, content: Content): Content {
    this.#open.set(inode, content);
    if (this.#open.size > MOST) {
      const [oldest] = this.#open.keys();
      if (oldest !== undefined) this.close(oldest);
    }
    return content;
  }

  #readUnseen(inode: Inode, buffer: Uint8Array, offset: number): number {
    const { fd } = openContent(this.#core, inode, O.RDONLY | O.NOATIME);
    const count = readAt(fd, buffer, offset);
    closeFd(fd);
    return must("read", inode.path, count);
  }
}
