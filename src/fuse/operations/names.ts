import { readU64 } from "../wire/numbers.ts";
import { IN_HEADER_SIZE as B, OPCODE, OUT_HEADER_SIZE } from "../wire/protocol.ts";
import { type ReplyBuffer, unpackDevice } from "../wire/reply.ts";
import type { Entry } from "../wire/types.ts";
import { type Definitions, encodeEntry, encodeNothing, type Incoming } from "./define.ts";

const ENOENT = 2;

/** What leads to an inode: looking up and making names. */
export function defineNames(operations: Definitions): void {
  const fs = operations.fileSystem;
  operations.define(
    OPCODE.LOOKUP,
    fs.lookup.bind(fs),
    (lookup, request) => lookup(request.nodeid, request.name(B), request),
    encodeLookup,
  );
  operations.define(
    OPCODE.MKNOD,
    fs.mknod?.bind(fs),
    (mknod, request) => mknod(request.nodeid, request.name(B + 16), newNode(request), request),
    encodeEntry,
  );
  operations.define(
    OPCODE.MKDIR,
    fs.mkdir?.bind(fs),
    (mkdir, request) => {
      const node = { mode: request.view.getUint32(B, true), umask: request.view.getUint32(B + 4, true) };
      return mkdir(request.nodeid, request.name(B + 8), node, request);
    },
    encodeEntry,
  );
  operations.define(
    OPCODE.SYMLINK,
    fs.symlink?.bind(fs),
    (symlink, request) => symlink(request.nodeid, request.name(B), request.name(request.nameEnd(B) + 1), request),
    encodeEntry,
  );
}

/** What gives an inode another name, or takes one away. */
export function defineMoves(operations: Definitions): void {
  const fs = operations.fileSystem;
  operations.define(
    OPCODE.LINK,
    fs.link?.bind(fs),
    (link, request) => link(readU64(request.view, B), request.nodeid, request.name(B + 8), request),
    encodeEntry,
  );
  operations.define(
    OPCODE.UNLINK,
    fs.unlink?.bind(fs),
    (unlink, request) => unlink(request.nodeid, request.name(B), request),
    encodeNothing,
  );
  operations.define(
    OPCODE.RMDIR,
    fs.rmdir?.bind(fs),
    (rmdir, request) => rmdir(request.nodeid, request.name(B), request),
    encodeNothing,
  );
  operations.define(
    OPCODE.RENAME,
    fs.rename?.bind(fs),
    (rename, request) => callRename(rename, request, B + 8, 0),
    encodeNothing,
  );
  operations.define(
    OPCODE.RENAME2,
    fs.rename?.bind(fs),
    (rename, request) => callRename(rename, request, B + 16, request.view.getUint32(B + 8, true)),
    encodeNothing,
  );
}

/** Without a time-out for absent names, ENOENT: the kernel remembers nothing then. */
function encodeLookup(reply: ReplyBuffer, entry: Entry | undefined): number {
  if (entry === undefined && reply.timeouts.negativeTimeoutMs === 0) return -ENOENT;
  return reply.writeEntry(OUT_HEADER_SIZE, entry);
}

/** struct fuse_mknod_in */
function newNode({ view }: Incoming): { mode: number; umask: number; rdev: { major: number; minor: number } } {
  return {
    mode: view.getUint32(B, true),
    rdev: unpackDevice(view.getUint32(B + 4, true)),
    umask: view.getUint32(B + 8, true),
  };
}

type Rename = NonNullable<Definitions["fileSystem"]["rename"]>;

/** struct fuse_rename_in or fuse_rename2_in, and two names */
function callRename(rename: Rename, request: Incoming, namesAt: number, flags: number): ReturnType<Rename> {
  const newName = request.name(request.nameEnd(namesAt) + 1);
  return rename(request.nodeid, request.name(namesAt), readU64(request.view, B), newName, flags, request);
}
