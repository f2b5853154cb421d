import { Connection } from "../../fuse/connection.ts";
import { serve } from "../../fuse/serve.ts";
import type { Feature } from "../../fuse/wire/protocol.ts";
import { SIGKILL } from "../../kernel/abi/process.ts";
import { MOUNT_ATTR } from "../../kernel/abi/mount.ts";
import { Fd } from "../../kernel/fd.ts";
import { writeAll } from "../../kernel/file.ts";
import { isCompiled } from "../../kernel/libc.ts";
import { Union } from "../../union/union.ts";
import { UnionFileSystem } from "./filesystem.ts";
import { Journal } from "./journal.ts";
import { Keeper } from "./keeper.ts";
import { inheritLayers, layersOf } from "./layers.ts";
import { log } from "./log.ts";
import { OpenModes } from "./modes.ts";
import { readState, writeTermsOf } from "./state.ts";

/** The server's descriptors, beside 0 to 2: see startServer(). */
const descriptors = { device: 3, state: 4, journal: 5, ready: 6, keep: 7, kept: 8, layers: 9 } as const;

/**
 * What differs from the defaults of fuse/features.ts.
 * POSIX_ACL: the kernel asks for ACLs as attributes, and checks them. HANDLE_KILLPRIV_V2: it needn't ask for
 * `security.capability` before each write; clearing bits is ours then.
 */
const features: Readonly<Partial<Record<Feature, boolean>>> = {
  PASSTHROUGH: true,
  POSIX_ACL: true,
  HANDLE_KILLPRIV_V2: true,
  ATOMIC_O_TRUNC: true,
  CACHE_SYMLINKS: true,
  EXPORT_SUPPORT: true,
  EXPLICIT_INVAL_DATA: true,
  // What a directory has is wanted with attributes, all of it: the kernel would ask for them one by one.
  READDIRPLUS_AUTO: false,
};

/**
 * The whole life of a server's process: opens the layers, says so, and answers until the mount is gone.
 * @returns its exit status
 */
export function runServer(): number {
  const inherited = takeInherited();
  const { order, terms, state, ready, journal, connection } = inherited;
  const say = (line: string): void => log(`${order.target}: ${line}`);
  let fileSystem: UnionFileSystem;
  try {
    fileSystem = openLayers(inherited, say);
  } catch (error) {
    writeAll(ready, Buffer.from(JSON.stringify(describe(error))));
    return 1;
  }
  const wasKilled = process.env["FALLTHRU_ENDED"] === String(128 + SIGKILL);
  if (terms !== undefined) connection.notify({ kind: "resend" });
  serve(connection, fileSystem, {
    features,
    // A request that each server crashes at isn't tried for ever. Being killed says nothing of the request.
    retries: { start: () => wasKilled || journal.startRetry() <= 3, end: () => journal.endRetry() },
    // Nobody else writes to the layers, and all that is done here is known to the kernel.
    entryTimeoutMs: Number.POSITIVE_INFINITY,
    attrTimeoutMs: Number.POSITIVE_INFINITY,
    negativeTimeoutMs: Number.POSITIVE_INFINITY,
    onReady: (agreed) => {
      writeTermsOf(state, agreed);
      writeAll(ready, Buffer.from("ready"));
      ready.close();
    },
    onError: (error) => say(error instanceof Error ? (error.stack ?? error.message) : String(error)),
  });
  return 0;
}

/** What startServer() and the servers before have left; without terms, this one is the first. */
type Inherited = ReturnType<typeof takeInherited>;

function takeInherited() {
  const state = new Fd(descriptors.state, "the server's state");
  const { order, terms } = readState(state);
  const journal = new Journal(new Fd(descriptors.journal, "the server's journal"), terms === undefined);
  const keeper = new Keeper(new Fd(descriptors.keep, "socket"), new Fd(descriptors.kept, "socket"));
  const known = terms === undefined ? undefined : { ...journal.replay(), pins: keeper.restore() };
  const connection = new Connection(new Fd(descriptors.device, "/dev/fuse"), terms);
  return { state, order, terms, journal, keeper, known, connection, ready: new Fd(descriptors.ready, "pipe") };
}

function openLayers(
  { order, journal, keeper, known, connection }: Inherited,
  log: (line: string) => void,
): UnionFileSystem {
  // Nobody who waits for us holds what these wait for: attributes need nothing, a directory's entries a moment's lock.
  const invalidate = (nodeid: number, offset: -1 | 0): void => {
    connection.notify({ kind: "invalidate-inode", nodeid, offset, length: 0 });
  };
  const onCopyUp = (nodeid: number): void => {
    invalidate(nodeid, -1);
    fileSystem.copiedUp(nodeid);
  };
  const layers = layersOf(order.mount);
  const open = inheritLayers(layers, descriptors.layers);
  const union = new Union({ ...layers, open, ...(known && { known }), onCopyUp, log });
  const isStrict = (order.mount.attributes & MOUNT_ATTR.STRICTATIME) !== 0;
  const modes = new OpenModes(union, connection, isStrict ? "drop" : "keep", known?.files);
  const forgetListing = (nodeid: number): void => invalidate(nodeid, 0);
  const fileSystem = new UnionFileSystem({ union, modes, journal, keeper, forgetListing, known });
  return fileSystem;
}

/** What mountFallthru() makes an error of again. */
export interface ServerError {
  readonly code: string | undefined;
  readonly message: string;
  readonly hint: string | undefined;
}

function describe(error: unknown): ServerError {
  const fields = error as Partial<ServerError>;
  return { code: fields.code, message: error instanceof Error ? error.message : String(error), hint: fields.hint };
}

// Where there is no executable that is this program, this file is started by itself.
if (!isCompiled && process.argv[1] === import.meta.filename) {
  process.exit(runServer());
}
