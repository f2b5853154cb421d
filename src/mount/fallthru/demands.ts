import { readCopy, readOpen, readSetAttr } from "../../fuse/wire/bodies.ts";
import { readU64 } from "../../fuse/wire/numbers.ts";
import { IN_HEADER_SIZE, OPCODE } from "../../fuse/wire/protocol.ts";
import type { RequestBuffer } from "../../fuse/wire/request.ts";
import type { Name } from "../../kernel/at.ts";
import { isForWriting } from "../../union/open.ts";
import { O } from "../../kernel/abi/file.ts";
import type { Demand } from "../../union/remote.ts";

/** Where a request will look. */
interface Look {
  readonly nodeid: number;
  /** Below it; undefined: at the inode itself. */
  readonly name?: Name;
}

/** What a request will ask of lowers. */
export interface Needs {
  readonly looks: readonly Look[];
  /** Of what looking doesn't answer. */
  readonly demands: readonly Demand[];
}

const B = IN_HEADER_SIZE;

/** How long what stands before a new entry's name is, by the request's opcode. */
const nameOffsets: ReadonlyMap<number, number> = new Map([
  [OPCODE.SYMLINK, 0],
  [OPCODE.UNLINK, 0],
  [OPCODE.RMDIR, 0],
  [OPCODE.MKDIR, 8],
  [OPCODE.LINK, 8],
  [OPCODE.MKNOD, 16],
  [OPCODE.CREATE, 16],
]);

/** @returns undefined: it asks nothing of them */
export function needsOf(request: RequestBuffer): Needs | undefined {
  const { opcode, nodeid } = request;
  const nameOffset = nameOffsets.get(opcode);
  if (nameOffset !== undefined) return needsOfEntry(request, request.name(B + nameOffset));
  switch (opcode) {
    case OPCODE.LOOKUP: {
      const name = request.name(B);
      return { looks: [name === "." || name === ".." ? { nodeid } : { nodeid, name }], demands: [] };
    }
    case OPCODE.RENAME:
      return needsOfRename(request, B + 8);
    case OPCODE.RENAME2:
      return needsOfRename(request, B + 16);
    case OPCODE.COPY_FILE_RANGE:
    case OPCODE.COPY_FILE_RANGE_64: {
      const { toNodeid } = readCopy(request);
      return { looks: [{ nodeid }, { nodeid: toNodeid }], demands: [change(toNodeid, Infinity)] };
    }
    default: {
      const demands = demandsOfInode(request);
      return demands === undefined ? undefined : { looks: [{ nodeid }], demands };
    }
  }
}

function demandsOfInode(request: RequestBuffer): readonly Demand[] | undefined {
  const { opcode, nodeid } = request;
  switch (opcode) {
    case OPCODE.READ:
    case OPCODE.LSEEK:
      return [];
    case OPCODE.READDIR:
    case OPCODE.READDIRPLUS:
      return readU64(request.view, B + 8) === 0 ? [{ kind: "list", nodeid }] : [];
    case OPCODE.GETATTR:
    case OPCODE.STATX:
      return [{ kind: "attributes", nodeid }];
    case OPCODE.READLINK:
      return [{ kind: "readlink", nodeid }];
    case OPCODE.LISTXATTR:
      return [{ kind: "listxattr", nodeid }];
    case OPCODE.GETXATTR:
      return [{ kind: "getxattr", nodeid, attribute: request.name(B + 8) }];
    case OPCODE.SETATTR:
      return [change(nodeid, readSetAttr(request).size), { kind: "attributes", nodeid }];
    case OPCODE.SETXATTR:
    case OPCODE.REMOVEXATTR:
    case OPCODE.TMPFILE:
      return [change(nodeid, undefined)];
    case OPCODE.OPEN: {
      const { flags } = readOpen(request);
      return isForWriting(flags) ? [change(nodeid, (flags & O.TRUNC) === 0 ? Infinity : 0)] : [];
    }
    case OPCODE.WRITE:
    case OPCODE.FALLOCATE:
      return [change(nodeid, Infinity)];
    default:
      return undefined;
  }
}

/** An entry is made or removed: its directory changes. */
function needsOfEntry(request: RequestBuffer, name: Name): Needs {
  const { opcode, nodeid, view } = request;
  const demands: Demand[] = [change(nodeid, undefined)];
  if (opcode === OPCODE.RMDIR) demands.push({ kind: "empty", parent: nodeid, name });
  if (opcode !== OPCODE.LINK) return { looks: [{ nodeid, name }], demands };
  const old = readU64(view, B);
  return { looks: [{ nodeid, name }, { nodeid: old }], demands: [change(old, undefined), ...demands] };
}

function needsOfRename(request: RequestBuffer, at: number): Needs {
  const { nodeid, view } = request;
  const newParent = readU64(view, B);
  const name = request.name(at);
  const newName = request.name(request.nameEnd(at) + 1);
  return {
    looks: [
      { nodeid, name },
      { nodeid: newParent, name: newName },
    ],
    demands: [
      { kind: "change-name", parent: nodeid, name },
      { kind: "change-name", parent: newParent, name: newName },
      { kind: "empty", parent: newParent, name: newName },
      change(nodeid, undefined),
      change(newParent, undefined),
    ],
  };
}

function change(nodeid: number, upTo: number | undefined): Demand {
  return { kind: "change", nodeid, upTo };
}
