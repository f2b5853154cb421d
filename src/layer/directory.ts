import { O } from "../kernel/abi/file.ts";
import { E } from "../kernel/abi/errno.ts";
import { closeFd, fail, type Name, openName } from "../kernel/at.ts";
import { listDirectory, listOpened } from "../kernel/io.ts";
import type { Layer } from "./layer.ts";

/**
 * Open directories, of which only so many are kept: an operation is then one call relative to one of them.
 * What the current operation has used stays open until it ends, whatever else it opens.
 */
export class DirectoryCache {
  /** The current operation. */
  epoch = 1;
  readonly #limit: number;
  readonly #slots: (LayerDirectory | undefined)[] = [];
  #hand = 0;

  constructor(limit = 1024) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#slots.reduce((sum, slot) => sum + (slot === undefined ? 0 : 1), 0);
  }

  add(directory: LayerDirectory): void {
    directory.slot = this.#freeSlot();
    this.#slots[directory.slot] = directory;
  }

  remove(directory: LayerDirectory): void {
    if (directory.slot >= 0) this.#slots[directory.slot] = undefined;
    directory.slot = -1;
  }

  /** Of the next eight the one that was not used for longest. */
  #freeSlot(): number {
    if (this.#slots.length < this.#limit) return this.#slots.length;
    let oldest: LayerDirectory | undefined;
    for (let tries = 0; tries < 8; tries++) {
      this.#hand = (this.#hand + 1) % this.#slots.length;
      const candidate = this.#slots[this.#hand];
      if (candidate === undefined) return this.#hand;
      if (candidate.epoch !== this.epoch && (oldest === undefined || candidate.epoch < oldest.epoch))
        oldest = candidate;
    }
    if (oldest === undefined) return this.#slots.length;
    const slot = oldest.slot;
    oldest.close();
    return slot;
  }

  closeAll(): void {
    for (const directory of this.#slots) directory?.close();
    this.#slots.length = 0;
  }
}

/** One directory of one layer, opened when it is used and found again by its name after it was closed. */
export class LayerDirectory {
  readonly layer: Layer;
  parent: LayerDirectory | undefined;
  name: Name;
  /** Managed by the cache. */
  slot = -1;
  epoch = 0;
  /** Empty files in it may be whiteouts by an attribute. */
  hasMarkedWhiteouts = false;
  /** Entries in it may have marks, as overlayfs has it; an unwritten rule elsewhere. */
  isImpure = false;
  /** Empty files in it may stand for devices 0:0. */
  hasNestedWhiteouts = false;
  #fd = -1;
  /** Its entries were read since it was opened. */
  #isRead = false;

  constructor(layer: Layer, parent: LayerDirectory | undefined, name: Name, fd = -1) {
    this.layer = layer;
    this.parent = parent;
    this.name = name;
    if (fd >= 0) this.#keep(fd);
  }

  /**
   * The open directory, for the current operation only.
   * @throws {KernelError} when it isn't there any more
   */
  get fd(): number {
    if (this.#fd < 0) {
      const parent = this.parent;
      if (parent === undefined) return fail("open", this.name, -E.STALE);
      const fd = openDirectoryName(parent.fd, this.name);
      if (fd < 0) fail("open", this.path, fd);
      this.#keep(fd);
    }
    this.epoch = this.layer.cache.epoch;
    return this.#fd;
  }

  /** Calls with each of its entries, as listDirectory(). */
  list(each: Parameters<typeof listDirectory>[1]): number {
    const { fd } = this;
    // What came with its descriptor, a layer's root, may have been read by others; on btrfs only a seek shows what was made since it was opened.
    const isAtStart = !this.#isRead && this.parent !== undefined && !this.layer.isUpper;
    this.#isRead = true;
    return isAtStart ? listOpened(fd, each) : listDirectory(fd, each);
  }

  #keep(fd: number): void {
    this.#fd = fd;
    this.#isRead = false;
    this.epoch = this.layer.cache.epoch;
    if (this.parent !== undefined) this.layer.cache.add(this);
  }

  close(): void {
    if (this.#fd < 0) return;
    closeFd(this.#fd);
    this.#fd = -1;
    this.layer.cache.remove(this);
  }

  /** From the layer's root, with a slash before each name: `/` is the root itself. */
  get path(): Name {
    if (this.parent === undefined) return "/";
    return this.parent.parent === undefined ? `/${this.name}` : `${this.parent.path}/${this.name}`;
  }
}

const directoryFlags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW;
let noAtime: number = O.NOATIME;

/** For reading its entries and marks; where that is forbidden to us, as O_PATH. @returns a descriptor or −errno */
export function openDirectoryName(dirfd: number, name: Name): number {
  let fd = openName(dirfd, name, directoryFlags | noAtime);
  if (fd === -E.PERM) {
    // Not ours: reading it may then change its access time.
    fd = openName(dirfd, name, directoryFlags);
    if (fd >= 0) noAtime = 0;
  }
  return fd === -E.ACCES ? openName(dirfd, name, directoryFlags | O.PATH) : fd;
}
