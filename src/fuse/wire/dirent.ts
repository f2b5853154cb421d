import { align8, writeU64 } from "./numbers.ts";
import { OUT_HEADER_SIZE } from "./protocol.ts";
import { ENTRY_SIZE, type ReplyBuffer } from "./reply.ts";
import type { Entry, Name } from "./types.ts";

const DIRENT_SIZE = 24;

/** Lays directory entries into a reply, as many as the kernel has asked for. */
export class DirectoryWriter {
  readonly #reply: ReplyBuffer;
  #at = OUT_HEADER_SIZE;
  #end = OUT_HEADER_SIZE;

  constructor(reply: ReplyBuffer) {
    this.#reply = reply;
  }

  /** Begins anew, for up to `size` bytes of entries. */
  reset(size: number): void {
    this.#at = OUT_HEADER_SIZE;
    this.#end = Math.min(OUT_HEADER_SIZE + size, this.#reply.bytes.length);
  }

  /** The bytes of entries so far. */
  get length(): number {
    return this.#at - OUT_HEADER_SIZE;
  }

  /**
   * Adds an entry of `readdir`: struct fuse_dirent.
   * @param type DT_* of readdir(3), 0 where it isn't known
   * @param offset where a later readdir goes on *behind* this entry: greater than 0
   * @returns false, and nothing is added, when the reply is full: answer now
   */
  add(name: Name, ino: bigint | number, type: number, offset: number): boolean {
    const size = align8(DIRENT_SIZE + name.length);
    if (this.#at + size > this.#end) return false;
    this.#writeDirent(this.#at, name, ino, type, offset);
    this.#at += size;
    return true;
  }

  /** Whether addEntry() would take a name of `length` bytes: ask before the lookup that it stands for. */
  hasRoomForEntry(length: number): boolean {
    return this.#at + align8(ENTRY_SIZE + DIRENT_SIZE + length) <= this.#end;
  }

  /**
   * Adds an entry of `readdirplus`: struct fuse_direntplus. The nodeid's lookup count is one higher from now on, except
   * for `.` and `..`; where `entry` is undefined, the kernel looks the name up itself when it needs to.
   */
  addEntry(name: Name, ino: bigint | number, type: number, offset: number, entry: Entry | undefined): boolean {
    const at = this.#at;
    const size = align8(ENTRY_SIZE + DIRENT_SIZE + name.length);
    if (at + size > this.#end) return false;
    if (entry === undefined) this.#reply.bytes.fill(0, at, at + ENTRY_SIZE);
    else this.#reply.writeEntry(at, entry);
    this.#writeDirent(at + ENTRY_SIZE, name, ino, type, offset);
    this.#at += size;
    return true;
  }

  #writeDirent(at: number, name: Name, ino: bigint | number, type: number, offset: number): void {
    const { view, bytes } = this.#reply;
    writeU64(view, at, ino);
    writeU64(view, at + 8, offset);
    view.setUint32(at + 16, name.length, true);
    view.setUint32(at + 20, type, true);
    bytes.write(name, at + DIRENT_SIZE, "latin1");
    const end = at + DIRENT_SIZE + name.length;
    bytes.fill(0, end, align8(end));
  }
}
