import { readSetAttr } from "../wire/bodies.ts";
import { readU64 } from "../wire/numbers.ts";
import { GETATTR_FH, IN_HEADER_SIZE as B, OPCODE, OUT_HEADER_SIZE, SETXATTR_ACL_KILL_SGID } from "../wire/protocol.ts";
import type { ReplyBuffer } from "../wire/reply.ts";
import type { AttrReply, StatFs } from "../wire/types.ts";
import { type Definitions, encodeNothing, type Incoming } from "./define.ts";

const [ERANGE, ENODATA] = [34, 61];

/** What statfs(2) tells where the file system doesn't. */
const unknownStatFs: StatFs = {
  blocks: 0,
  freeBlocks: 0,
  availableBlocks: 0,
  files: 0,
  freeFiles: 0,
  blockSize: 4096,
  fragmentSize: 4096,
  nameLength: 255,
};

/** What concerns inodes: attributes, extended attributes, the file system's own. */
export function defineAttributes(operations: Definitions): void {
  const fs = operations.fileSystem;
  operations.define(
    OPCODE.GETATTR,
    fs.getattr.bind(fs),
    (getattr, request) => getattr(request.nodeid, handle(request), request),
    encodeAttr,
  );
  operations.define(
    OPCODE.SETATTR,
    fs.setattr?.bind(fs),
    (setattr, request) => setattr(request.nodeid, readSetAttr(request), request),
    encodeAttr,
  );
  operations.define(
    OPCODE.STATX,
    fs.statx?.bind(fs),
    (statx, request) => statx(request.nodeid, handle(request), request),
    (reply, result) => reply.writeStatx(OUT_HEADER_SIZE, result),
  );
  operations.define(
    OPCODE.ACCESS,
    fs.access?.bind(fs),
    (access, request) => access(request.nodeid, request.view.getUint32(B, true), request),
    encodeNothing,
  );
  operations.define(
    OPCODE.READLINK,
    fs.readlink?.bind(fs),
    (readlink, request) => readlink(request.nodeid, request),
    (reply, target: Uint8Array | string) => reply.writeBytes(target),
  );
  operations.define(
    OPCODE.STATFS,
    fs.statfs?.bind(fs) ?? (() => unknownStatFs),
    (statfs, request) => statfs(request.nodeid, request),
    (reply, stat) => reply.writeStatFs(OUT_HEADER_SIZE, stat),
  );
  operations.define(
    OPCODE.SYNCFS,
    fs.syncfs?.bind(fs),
    (syncfs, request) => syncfs(request.nodeid, request),
    encodeNothing,
  );
}

/** @param headSize struct fuse_setxattr_in's size: 16 with SETXATTR_EXT, else 8 */
export function defineXattrs(operations: Definitions, headSize: () => number): void {
  const fs = operations.fileSystem;
  operations.define(
    OPCODE.GETXATTR,
    fs.getxattr?.bind(fs),
    (getxattr, request) => {
      request.limit = request.view.getUint32(B, true);
      return getxattr(request.nodeid, request.name(B + 8), request);
    },
    encodeValue,
  );
  operations.define(
    OPCODE.LISTXATTR,
    fs.listxattr?.bind(fs),
    (listxattr, request) => {
      request.limit = request.view.getUint32(B, true);
      return listxattr(request.nodeid, request);
    },
    encodeValue,
  );
  operations.define(
    OPCODE.SETXATTR,
    fs.setxattr?.bind(fs),
    (setxattr, request) => {
      const { view, bytes } = request;
      const nameAt = B + headSize();
      const valueAt = request.nameEnd(nameAt) + 1;
      const value = bytes.subarray(valueAt, valueAt + view.getUint32(B, true));
      const killSetGid = nameAt > B + 8 && (view.getUint32(B + 8, true) & SETXATTR_ACL_KILL_SGID) !== 0;
      const how = { flags: view.getUint32(B + 4, true), killSetGid };
      return setxattr(request.nodeid, request.name(nameAt), value, how, request);
    },
    encodeNothing,
  );
  operations.define(
    OPCODE.REMOVEXATTR,
    fs.removexattr?.bind(fs),
    (removexattr, request) => removexattr(request.nodeid, request.name(B), request),
    encodeNothing,
  );
}

function encodeAttr(reply: ReplyBuffer, result: AttrReply): number {
  return reply.writeAttrReply(OUT_HEADER_SIZE, result);
}

/** struct fuse_getattr_in and fuse_statx_in begin alike. */
function handle({ view }: Incoming): number | undefined {
  return (view.getUint32(B, true) & GETATTR_FH) === 0 ? undefined : readU64(view, B + 8);
}

/** Who asks with a limit of 0 wants to know the size only: struct fuse_getxattr_out. */
function encodeValue(reply: ReplyBuffer, value: Uint8Array | undefined, limit: number): number {
  if (value === undefined) return -ENODATA;
  if (limit === 0) {
    reply.view.setUint32(OUT_HEADER_SIZE, value.length, true);
    reply.view.setUint32(OUT_HEADER_SIZE + 4, 0, true);
    return 8;
  }
  return value.length > limit ? -ERANGE : reply.writeBytes(value);
}
