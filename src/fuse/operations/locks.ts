import { readLock } from "../wire/bodies.ts";
import { OPCODE, OUT_HEADER_SIZE } from "../wire/protocol.ts";
import { type Definitions, encodeNothing } from "./define.ts";

/** Locks that the file system keeps itself; without these methods the kernel keeps them. */
export function defineLocks(operations: Definitions): void {
  const fs = operations.fileSystem;
  operations.define(
    OPCODE.GETLK,
    fs.getlk?.bind(fs),
    (getlk, request) => getlk(request.nodeid, readLock(request), request),
    (reply, lock) => reply.writeLock(OUT_HEADER_SIZE, lock ?? { type: "unlock", start: 0n, end: 0n, pid: 0 }),
  );
  const setlk = fs.setlk?.bind(fs);
  operations.define(
    OPCODE.SETLK,
    setlk,
    (setlk, request) => setlk(request.nodeid, readLock(request), "try", request),
    encodeNothing,
  );
  operations.define(
    OPCODE.SETLKW,
    setlk,
    (setlk, request) => setlk(request.nodeid, readLock(request), "wait", request),
    encodeNothing,
  );
}
