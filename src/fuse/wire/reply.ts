import { writeSeconds, writeU64 } from "./numbers.ts";
import { OUT_HEADER_SIZE } from "./protocol.ts";
import type { Attr, AttrReply, Entry, Lock, Opened, StatFs, StatxReply } from "./types.ts";

/** For how long the kernel may believe what it is told, where the answer itself doesn't say. */
export interface Timeouts {
  /** Of a name: Infinity is for ever. */
  readonly entryTimeoutMs: number;
  readonly attrTimeoutMs: number;
  /** Of the answer that a name doesn't exist. */
  readonly negativeTimeoutMs: number;
}

export const ENTRY_SIZE = 128;
const ATTR_OUT_SIZE = 104;
const OPEN_OUT_SIZE = 16;

/**
 * One reply in the buffer that it is written from, header first: struct fuse_out_header. Each `write…` places a
 * structure at an offset and returns its size. As with requests, one object serves a connection.
 */
export class ReplyBuffer {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly view: DataView;
  readonly timeouts: Timeouts;

  constructor(size: number, timeouts: Timeouts) {
    this.bytes = Buffer.from(new ArrayBuffer(size));
    this.view = new DataView(this.bytes.buffer);
    this.timeouts = timeouts;
  }

  /** @param errno 0, or the error's number */
  writeHeader(length: number, errno: number, uniqueLow: number, uniqueHigh: number): void {
    this.view.setUint32(0, length, true);
    this.view.setInt32(4, -errno, true);
    this.view.setUint32(8, uniqueLow, true);
    this.view.setUint32(12, uniqueHigh, true);
  }

  /** The body, for data that is placed there directly. */
  body(size: number): Uint8Array {
    return this.bytes.subarray(OUT_HEADER_SIZE, OUT_HEADER_SIZE + size);
  }

  /** Copies `data` into the body. @throws {RangeError} where it doesn't fit */
  writeBytes(data: Uint8Array | string): number {
    if (typeof data === "string") return this.bytes.write(data, OUT_HEADER_SIZE, "latin1");
    this.bytes.set(data, OUT_HEADER_SIZE);
    return data.length;
  }

  /** struct fuse_entry_out; undefined is a name that the kernel may take for absent for a while. */
  writeEntry(at: number, entry: Entry | undefined): number {
    const { view, timeouts } = this;
    if (entry === undefined) {
      this.bytes.fill(0, at, at + ENTRY_SIZE);
      writeTimeout(view, at + 16, at + 32, timeouts.negativeTimeoutMs);
      return ENTRY_SIZE;
    }
    writeU64(view, at, entry.nodeid);
    writeU64(view, at + 8, entry.generation ?? 0);
    writeTimeout(view, at + 16, at + 32, entry.entryTimeoutMs ?? timeouts.entryTimeoutMs);
    writeTimeout(view, at + 24, at + 36, entry.attrTimeoutMs ?? timeouts.attrTimeoutMs);
    writeAttr(view, at + 40, entry.attr);
    return ENTRY_SIZE;
  }

  /** struct fuse_attr_out */
  writeAttrReply(at: number, reply: AttrReply): number {
    const { view } = this;
    writeTimeout(view, at, at + 8, reply.attrTimeoutMs ?? this.timeouts.attrTimeoutMs);
    view.setUint32(at + 12, 0, true);
    writeAttr(view, at + 16, reply.attr);
    return ATTR_OUT_SIZE;
  }

  /** struct fuse_open_out */
  writeOpened(at: number, opened: Opened): number {
    writeU64(this.view, at, opened.fh);
    this.view.setUint32(at + 8, opened.flags ?? 0, true);
    this.view.setInt32(at + 12, opened.backingId ?? 0, true);
    return OPEN_OUT_SIZE;
  }

  /** struct fuse_statfs_out */
  writeStatFs(at: number, stat: StatFs): number {
    const { view } = this;
    this.bytes.fill(0, at, at + 80);
    writeU64(view, at, stat.blocks);
    writeU64(view, at + 8, stat.freeBlocks);
    writeU64(view, at + 16, stat.availableBlocks);
    writeU64(view, at + 24, stat.files);
    writeU64(view, at + 32, stat.freeFiles);
    view.setUint32(at + 40, stat.blockSize, true);
    view.setUint32(at + 44, stat.nameLength, true);
    view.setUint32(at + 48, stat.fragmentSize, true);
    return 80;
  }

  /** struct fuse_lk_out */
  writeLock(at: number, lock: Lock): number {
    const { view } = this;
    view.setBigUint64(at, lock.start, true);
    view.setBigUint64(at + 8, lock.end, true);
    view.setUint32(at + 16, { read: 0, write: 1, unlock: 2 }[lock.type], true);
    view.setUint32(at + 20, lock.pid, true);
    return 24;
  }

  /** struct fuse_statx_out */
  writeStatx(at: number, reply: StatxReply): number {
    this.bytes.fill(0, at, at + 288);
    writeTimeout(this.view, at, at + 8, reply.attrTimeoutMs ?? this.timeouts.attrTimeoutMs);
    writeStatxAttr(this.view, at + 32, reply);
    return 288;
  }
}

/** struct fuse_attr */
function writeAttr(view: DataView, at: number, attr: Attr): void {
  writeU64(view, at, attr.ino);
  writeU64(view, at + 8, attr.size);
  writeU64(view, at + 16, attr.blocks);
  writeSeconds(view, at + 24, attr.atime);
  writeSeconds(view, at + 32, attr.mtime);
  writeSeconds(view, at + 40, attr.ctime);
  view.setUint32(at + 48, attr.atimeNsec, true);
  view.setUint32(at + 52, attr.mtimeNsec, true);
  view.setUint32(at + 56, attr.ctimeNsec, true);
  view.setUint32(at + 60, attr.mode, true);
  view.setUint32(at + 64, attr.nlink, true);
  view.setUint32(at + 68, attr.uid, true);
  view.setUint32(at + 72, attr.gid, true);
  view.setUint32(at + 76, packDevice(attr.rdevMajor ?? 0, attr.rdevMinor ?? 0), true);
  view.setUint32(at + 80, attr.blksize ?? 4096, true);
  view.setUint32(at + 84, 0, true);
}

/** struct fuse_statx, which is statx(2)'s own */
function writeStatxAttr(view: DataView, at: number, reply: StatxReply): void {
  const { attr, birthTime } = reply;
  view.setUint32(at, 0x7ff | (birthTime === undefined ? 0 : 0x800), true); // STATX_BASIC_STATS, STATX_BTIME
  view.setUint32(at + 4, attr.blksize ?? 4096, true);
  view.setBigUint64(at + 8, reply.attributes ?? 0n, true);
  view.setUint32(at + 16, attr.nlink, true);
  view.setUint32(at + 20, attr.uid, true);
  view.setUint32(at + 24, attr.gid, true);
  view.setUint16(at + 28, attr.mode, true);
  writeU64(view, at + 32, attr.ino);
  writeU64(view, at + 40, attr.size);
  writeU64(view, at + 48, attr.blocks);
  view.setBigUint64(at + 56, reply.attributesMask ?? 0n, true);
  writeTime(view, at + 64, attr.atime, attr.atimeNsec);
  if (birthTime !== undefined) writeTime(view, at + 80, birthTime.seconds, birthTime.nsec);
  writeTime(view, at + 96, attr.ctime, attr.ctimeNsec);
  writeTime(view, at + 112, attr.mtime, attr.mtimeNsec);
  view.setUint32(at + 128, attr.rdevMajor ?? 0, true);
  view.setUint32(at + 132, attr.rdevMinor ?? 0, true);
}

/** struct fuse_sx_time */
function writeTime(view: DataView, at: number, seconds: number, nsec: number): void {
  writeSeconds(view, at, seconds);
  view.setUint32(at + 8, nsec, true);
}

/** new_encode_dev() of include/linux/kdev_t.h: what fits 32 bits. */
function packDevice(major: number, minor: number): number {
  return (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
}

/** The inverse, for MKNOD. */
export function unpackDevice(packed: number): { readonly major: number; readonly minor: number } {
  return { major: (packed & 0xfff00) >> 8, minor: (packed & 0xff) | ((packed >>> 12) & 0xfff00) };
}

const FOR_EVER_SECONDS = 0xffff_ffff;

function writeTimeout(view: DataView, at: number, nanosecondsAt: number, timeoutMs: number): void {
  const seconds = Math.min(Math.floor(timeoutMs / 1000), FOR_EVER_SECONDS);
  view.setUint32(at, seconds, true);
  view.setUint32(at + 4, 0, true);
  view.setUint32(nanosecondsAt, seconds === FOR_EVER_SECONDS ? 0 : (timeoutMs % 1000) * 1e6, true);
}
