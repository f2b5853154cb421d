import { readCreate, readOpen, readRelease } from "../wire/bodies.ts";
import { readU64 } from "../wire/numbers.ts";
import { IN_HEADER_SIZE as B, OPCODE, OUT_HEADER_SIZE } from "../wire/protocol.ts";
import type { ReplyBuffer } from "../wire/reply.ts";
import type { Created } from "../wire/types.ts";
import { type Definitions, encodeNothing, encodeOpened, syncKind } from "./define.ts";

/** What makes, opens and closes files. */
export function defineFiles(operations: Definitions): void {
  const fs = operations.fileSystem;
  operations.define(
    OPCODE.OPEN,
    fs.open?.bind(fs),
    (open, request) => open(request.nodeid, readOpen(request), request),
    encodeOpened,
  );
  operations.define(
    OPCODE.CREATE,
    fs.create?.bind(fs),
    (create, request) => create(request.nodeid, request.name(B + 16), readCreate(request), request),
    encodeCreated,
  );
  operations.define(
    OPCODE.TMPFILE,
    fs.tmpfile?.bind(fs),
    (tmpfile, request) => tmpfile(request.nodeid, readCreate(request), request),
    encodeCreated,
  );
  operations.define(
    OPCODE.FLUSH,
    fs.flush?.bind(fs),
    (flush, request) =>
      flush(request.nodeid, readU64(request.view, B), request.view.getBigUint64(B + 16, true), request),
    encodeNothing,
  );
  operations.define(
    OPCODE.RELEASE,
    fs.release?.bind(fs) ?? (() => {}),
    (release, request) => release(request.nodeid, readRelease(request), request),
    encodeNothing,
  );
  operations.define(
    OPCODE.FSYNC,
    fs.fsync?.bind(fs),
    (fsync, request) => fsync(request.nodeid, readU64(request.view, B), syncKind(request), request),
    encodeNothing,
  );
}

function encodeCreated(reply: ReplyBuffer, { entry, opened }: Created): number {
  const size = reply.writeEntry(OUT_HEADER_SIZE, entry);
  return size + reply.writeOpened(OUT_HEADER_SIZE + size, opened);
}
