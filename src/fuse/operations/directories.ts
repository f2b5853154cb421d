import { readOpen, readRead, readRelease } from "../wire/bodies.ts";
import { readU64 } from "../wire/numbers.ts";
import { IN_HEADER_SIZE as B, OPCODE } from "../wire/protocol.ts";
import { type Definitions, encodeNothing, encodeOpened, syncKind } from "./define.ts";

/** What concerns open directories. */
export function defineDirectories(operations: Definitions): void {
  const fs = operations.fileSystem;
  operations.define(
    OPCODE.OPENDIR,
    fs.opendir?.bind(fs),
    (opendir, request) => opendir(request.nodeid, readOpen(request), request),
    encodeOpened,
  );
  for (const [opcode, method] of [
    [OPCODE.READDIR, fs.readdir?.bind(fs)],
    [OPCODE.READDIRPLUS, fs.readdirplus?.bind(fs)],
  ] as const) {
    operations.define(
      opcode,
      method,
      (readdir, request) => {
        const { fh, offset, size } = readRead(request);
        operations.writer.reset(size);
        return readdir(request.nodeid, fh, offset, operations.writer, request);
      },
      () => operations.writer.length,
    );
  }
  operations.define(
    OPCODE.RELEASEDIR,
    fs.releasedir?.bind(fs) ?? (() => {}),
    (releasedir, request) => releasedir(request.nodeid, readRelease(request), request),
    encodeNothing,
  );
  operations.define(
    OPCODE.FSYNCDIR,
    fs.fsyncdir?.bind(fs),
    (fsyncdir, request) => fsyncdir(request.nodeid, readU64(request.view, B), syncKind(request), request),
    encodeNothing,
  );
}
