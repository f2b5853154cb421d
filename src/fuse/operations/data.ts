import { readCopy, readIoctl, readPoll, readRead, readWrite, readWriteData } from "../wire/bodies.ts";
import { readI64, readU64, writeU64 } from "../wire/numbers.ts";
import { IN_HEADER_SIZE as B, OPCODE, OUT_HEADER_SIZE } from "../wire/protocol.ts";
import type { ReplyBuffer } from "../wire/reply.ts";
import type { IoctlReply } from "../wire/types.ts";
import { type Definitions, encodeCount, encodeNothing } from "./define.ts";

/** What reads, changes and asks after the data of open files. */
export function defineData(operations: Definitions): void {
  const fs = operations.fileSystem;
  operations.define(
    OPCODE.READ,
    fs.read?.bind(fs),
    (read, request) => {
      const from = readRead(request);
      return read(request.nodeid, from, operations.reply.body(from.size), request);
    },
    // A number says how much stands in the reply's body already; bytes come from a deferred answer.
    (reply, result: number | Uint8Array) => (typeof result === "number" ? result : reply.writeBytes(result)),
  );
  operations.define(
    OPCODE.WRITE,
    fs.write?.bind(fs),
    (write, request) => write(request.nodeid, readWrite(request), readWriteData(request), request),
    encodeCount,
  );
  operations.define(
    OPCODE.FALLOCATE,
    fs.fallocate?.bind(fs),
    (fallocate, request) => {
      const { view, nodeid } = request;
      const [fh, offset, length] = [readU64(view, B), readU64(view, B + 8), readU64(view, B + 16)];
      return fallocate(nodeid, { fh, offset, length, mode: view.getUint32(B + 24, true) }, request);
    },
    encodeNothing,
  );
  operations.define(
    OPCODE.LSEEK,
    fs.lseek?.bind(fs),
    (lseek, request) => {
      const { view, nodeid } = request;
      const from = { fh: readU64(view, B), offset: readI64(view, B + 8), whence: view.getUint32(B + 16, true) };
      return lseek(nodeid, from, request);
    },
    encodeLong,
  );
}

/** What goes from file to file, and what only the file system understands. */
export function defineRest(operations: Definitions): void {
  const fs = operations.fileSystem;
  const copy = fs.copyFileRange?.bind(fs);
  operations.define(
    OPCODE.COPY_FILE_RANGE,
    copy,
    (copy, request) => copy(request.nodeid, readCopy(request), request),
    encodeCount,
  );
  operations.define(
    OPCODE.COPY_FILE_RANGE_64,
    copy,
    (copy, request) => copy(request.nodeid, readCopy(request), request),
    encodeLong,
  );
  operations.define(
    OPCODE.IOCTL,
    fs.ioctl?.bind(fs),
    (ioctl, request) => {
      const what = readIoctl(request);
      request.limit = what.outputSize;
      return ioctl(request.nodeid, what, request);
    },
    encodeIoctl,
  );
  operations.define(
    OPCODE.POLL,
    fs.poll?.bind(fs),
    (poll, request) => poll(request.nodeid, readPoll(request), request),
    encodeCount,
  );
}

/** struct fuse_lseek_out, struct fuse_copy_file_range_out */
function encodeLong(reply: ReplyBuffer, value: number): number {
  writeU64(reply.view, OUT_HEADER_SIZE, value);
  return 8;
}

/** struct fuse_ioctl_out, and the data that the command gives */
function encodeIoctl(reply: ReplyBuffer, { result, output }: IoctlReply, limit: number): number {
  const data = output?.subarray(0, limit) ?? new Uint8Array(0);
  reply.bytes.fill(0, OUT_HEADER_SIZE, OUT_HEADER_SIZE + 16);
  reply.view.setInt32(OUT_HEADER_SIZE, result, true);
  reply.bytes.set(data, OUT_HEADER_SIZE + 16);
  return 16 + data.length;
}
