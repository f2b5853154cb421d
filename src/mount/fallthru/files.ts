import type { Connection } from "../../fuse/connection.ts";
import type {
  CopyRequest,
  FileFlags,
  Opened,
  ReadRequest,
  ReleaseRequest,
  WriteRequest,
} from "../../fuse/wire/types.ts";
import { FOPEN } from "../../fuse/wire/protocol.ts";
import { E } from "../../kernel/abi/errno.ts";
import type { Union } from "../../union/union.ts";
import type { Journal, KnownFile } from "./journal.ts";
import { OpenModes } from "./modes.ts";

/** How the data of files is reached: by handles that opening gives, or by inode, where nothing is opened. */
export interface Files {
  /** @returns ENOSYS, negative: the kernel is to ask no more, and to go on without a handle */
  open(nodeid: number, how: FileFlags, request: number): Opened | number;
  /** A file that has been made just now. @param handle the union's; @param mode the file's */
  made(nodeid: number, handle: number, how: { readonly flags: number; readonly mode: number }, request: number): Opened;
  /** One that the server before had made for this request. */
  madeBefore(nodeid: number, how: FileFlags, request: number): Opened;
  /** A request to open that was sent again: it begins anew. */
  retry(request: number): void;
  read(nodeid: number, from: ReadRequest, into: Uint8Array): number;
  write(nodeid: number, to: WriteRequest, data: Uint8Array): number;
  fsync(nodeid: number, fh: number, what: "all" | "data"): void;
  fallocate(nodeid: number, range: { fh: number; offset: number; length: number; mode: number }): void;
  lseek(nodeid: number, from: { fh: number; offset: number; whence: number }): number;
  copyFileRange(nodeid: number, what: CopyRequest): number;
  release(nodeid: number, what: ReleaseRequest): void;
  /** Whether it may change without the kernel's knowing that it does. */
  changesUnseen(nodeid: number): boolean;
}

interface OpenedParts {
  readonly union: Union;
  readonly connection: Connection;
  readonly journal: Journal;
  /** See OpenModes. */
  readonly cache: "keep" | "drop";
  /** Opened by a server before, by handle. */
  readonly known: ReadonlyMap<number, KnownFile> | undefined;
}

/** The kernel opens and closes each file. */
export class OpenedFiles implements Files {
  readonly #union: Union;
  readonly #modes: OpenModes;
  readonly #journal: Journal;
  /** Opened by the server before, for a request that it perhaps didn't answer: it is sent again then. */
  #unsure: { readonly fh: number; readonly nodeid: number; readonly request: number } | undefined;

  constructor({ union, connection, journal, cache, known }: OpenedParts) {
    this.#union = union;
    this.#modes = new OpenModes(union, connection, cache, known);
    this.#journal = journal;
    const { handle: fh = 0, request = 0 } = journal.lastOpened ?? {};
    const nodeid = known?.get(fh)?.nodeid;
    if (nodeid !== undefined) this.#unsure = { fh, nodeid, request };
  }

  open(nodeid: number, { flags }: FileFlags, request: number): Opened {
    return this.#opened(nodeid, this.#union.open(nodeid, flags), { flags }, request);
  }

  made(
    nodeid: number,
    handle: number,
    how: { readonly flags: number; readonly mode: number },
    request: number,
  ): Opened {
    return this.#opened(nodeid, handle, how, request);
  }

  madeBefore(nodeid: number, how: FileFlags, request: number): Opened {
    return this.open(nodeid, how, request);
  }

  retry(request: number): void {
    const handle = this.#unsure;
    if (handle?.request !== request) return;
    this.#unsure = undefined;
    this.release(handle.nodeid, handle);
  }

  read(_nodeid: number, from: ReadRequest, into: Uint8Array): number {
    return this.#union.read(from.fh, into, from.offset);
  }

  write(_nodeid: number, to: WriteRequest, data: Uint8Array): number {
    return this.#union.write(to.fh, data, to.offset);
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

  release(nodeid: number, { fh }: Pick<ReleaseRequest, "fh">): void {
    this.#modes.release(nodeid, fh);
    this.#union.release(fh);
    this.#journal.close(fh);
  }

  changesUnseen(nodeid: number): boolean {
    return this.#modes.isMapping(nodeid);
  }

  #opened(
    nodeid: number,
    handle: number,
    { flags, mode }: { readonly flags: number; readonly mode?: number },
    request: number,
  ): Opened {
    const opened = this.#modes.open(nodeid, handle, flags, mode);
    this.#journal.open(handle, { nodeid, flags, backingId: opened.backingId ?? 0 }, request);
    return opened;
  }
}

const unopened: Opened = { fh: 0, flags: FOPEN.KEEP_CACHE | FOPEN.NOFLUSH };

/**
 * The kernel sends neither OPEN nor RELEASE: a file that it has in its caches costs no request at all. All data that it
 * hasn't goes through the server, and whatever it remembers may be open.
 */
export class UnopenedFiles implements Files {
  readonly #union: Union;

  constructor(union: Union) {
    this.#union = union;
  }

  open(): number {
    return -E.NOSYS;
  }

  made(): Opened {
    return unopened;
  }

  madeBefore(): Opened {
    return unopened;
  }

  retry(): void {}

  read(nodeid: number, { flags, offset }: ReadRequest, into: Uint8Array): number {
    return this.#union.contents.read(nodeid, flags, into, offset);
  }

  write(nodeid: number, { flags, offset }: WriteRequest, data: Uint8Array): number {
    return this.#union.contents.write(nodeid, flags, data, offset);
  }

  fsync(nodeid: number, _fh: number, what: "all" | "data"): void {
    this.#union.contents.fsync(nodeid, what);
  }

  fallocate(nodeid: number, range: { offset: number; length: number; mode: number }): void {
    this.#union.contents.fallocate(nodeid, range.mode, range.offset, range.length);
  }

  lseek(nodeid: number, { offset, whence }: { offset: number; whence: number }): number {
    return this.#union.contents.lseek(nodeid, offset, whence);
  }

  copyFileRange(nodeid: number, { offset, toNodeid, toOffset, length }: CopyRequest): number {
    return this.#union.contents.copyRange(nodeid, offset, toNodeid, toOffset, length);
  }

  /** Some versions of Linux send it for a file that was made. */
  release(): void {}

  changesUnseen(): boolean {
    return false;
  }
}
