import type { Answer, FileSystem, Request } from "../filesystem.ts";
import { DirectoryWriter } from "../wire/dirent.ts";
import { FSYNC_FDATASYNC, IN_HEADER_SIZE, OUT_HEADER_SIZE } from "../wire/protocol.ts";
import type { ReplyBuffer } from "../wire/reply.ts";
import type { RequestBuffer } from "../wire/request.ts";
import type { Entry, Opened } from "../wire/types.ts";

/** The request at hand, with what the operations take from it. */
export type Incoming = RequestBuffer & Request & { limit: number };

/** One opcode: calls the file system's method with what the request holds, and lays what it returns into the reply. */
export interface Operation {
  call(request: Incoming): unknown;
  /**
   * @param limit how much the request has room for, where that counts
   * @returns the size of the reply's body, or a negative errno
   */
  encode(reply: ReplyBuffer, result: unknown, limit: number): number;
}

export interface Definitions {
  readonly fileSystem: FileSystem;
  readonly reply: ReplyBuffer;
  readonly writer: DirectoryWriter;
  /** Where `method` is undefined, the opcode stays undefined: ENOSYS. */
  define<M, T>(
    opcode: number,
    method: M | undefined,
    call: (method: M, request: Incoming) => Answer<T>,
    encode: (reply: ReplyBuffer, result: T, limit: number) => number,
  ): void;
}

export function startDefinitions(
  fileSystem: FileSystem,
  reply: ReplyBuffer,
): Definitions & { readonly table: (Operation | undefined)[] } {
  const table: (Operation | undefined)[] = Array.from({ length: 64 });
  return {
    fileSystem,
    reply,
    writer: new DirectoryWriter(reply),
    table,
    define(opcode, method, call, encode) {
      if (method === undefined) return;
      table[opcode] = {
        call: (request) => call(method, request),
        encode,
      };
    },
  };
}

export function encodeNothing(): number {
  return 0;
}

export function encodeEntry(reply: ReplyBuffer, entry: Entry): number {
  return reply.writeEntry(OUT_HEADER_SIZE, entry);
}

export function encodeOpened(reply: ReplyBuffer, opened: Opened): number {
  return reply.writeOpened(OUT_HEADER_SIZE, opened);
}

/** For POLL, WRITE and the older COPY_FILE_RANGE: struct fuse_poll_out, struct fuse_write_out */
export function encodeCount(reply: ReplyBuffer, count: number): number {
  reply.view.setUint32(OUT_HEADER_SIZE, count, true);
  reply.view.setUint32(OUT_HEADER_SIZE + 4, 0, true);
  return 8;
}

/** struct fuse_fsync_in */
export function syncKind({ view }: Incoming): "all" | "data" {
  return (view.getUint32(IN_HEADER_SIZE + 8, true) & FSYNC_FDATASYNC) === 0 ? "all" : "data";
}
