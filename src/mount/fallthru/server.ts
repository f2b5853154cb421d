import { Connection } from "../../fuse/connection.ts";
import { serve } from "../../fuse/serve.ts";
import type { Feature } from "../../fuse/wire/protocol.ts";
import { SIGKILL } from "../../kernel/abi/process.ts";
import { MOUNT_ATTR } from "../../kernel/abi/mount.ts";
import { Fd } from "../../kernel/fd.ts";
import { writeAll } from "../../kernel/file.ts";
import { isCompiled } from "../../kernel/libc.ts";
import { takeShortTurns } from "../../kernel/nice.ts";
import { serveThroughReclaim } from "../../kernel/self.ts";
import { Union } from "../../union/union.ts";
import { UnionFileSystem } from "./filesystem.ts";
import { LayerChanges } from "./changes.ts";
import { OpenedFiles, UnopenedFiles } from "./files.ts";
import { errandVariable, runErrands } from "./errands.ts";
import { Journal } from "./journal.ts";
import { Keeper } from "./keeper.ts";
import { ListingDropper } from "./listings.ts";
import { LayerStack } from "./stack.ts";
import { log } from "./log.ts";
import { type FallthruMount, opensFiles } from "./options.ts";
import { Rehearsal } from "./rehearsal.ts";
import { readState, writeState } from "./state.ts";

/** The server's descriptors, beside 0 to 2: see startServer(). */
const descriptors = {
  device: 3,
  state: 4,
  journal: 5,
  ready: 6,
  keep: 7,
  kept: 8,
  store: 9,
  stored: 10,
  layers: 11,
} as const;

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
  // mount(8)'s X-mount.idmap=: see callerOf().
  ALLOW_IDMAP: true,
  EXPLICIT_INVAL_DATA: true,
  // What a directory has is wanted with attributes, all of it: the kernel would ask for them one by one.
  READDIRPLUS_AUTO: false,
  // Linux leaves in its cache what was there when such a write began.
  ASYNC_DIO: false,
};

/**
 * The whole life of a server's process: opens the layers, says so, and answers until the mount is gone.
 * @returns its exit status
 */
export function runServer(): number {
  if (process.env[errandVariable] !== undefined) return runErrands();
  const inherited = takeInherited();
  const { order, terms, state, ready, journal, connection } = inherited;
  const say = (line: string): void => log(`${order.target}: ${line}`);
  let opened: ReturnType<typeof openLayers>;
  try {
    opened = openLayers(inherited, say);
  } catch (error) {
    writeAll(ready, Buffer.from(JSON.stringify(describe(error))));
    return 1;
  }
  serveThroughReclaim();
  takeShortTurns();
  const wasKilled = process.env["FALLTHRU_ENDED"] === String(128 + SIGKILL);
  if (terms !== undefined) connection.notify({ kind: "resend" });
  serve(connection, opened.fileSystem, {
    features: opensFiles(order.mount) ? features : { ...features, PASSTHROUGH: false, ATOMIC_O_TRUNC: false },
    ...(opened.ahead && { ahead: opened.ahead }),
    // A request that each server crashes at isn't tried for ever. Being killed says nothing of the request.
    retries: { start: () => wasKilled || journal.startRetry() <= 3, end: () => journal.endRetry() },
    // Nobody else writes to the layers, and all that is done here is known to the kernel.
    entryTimeoutMs: Number.POSITIVE_INFINITY,
    attrTimeoutMs: Number.POSITIVE_INFINITY,
    negativeTimeoutMs: Number.POSITIVE_INFINITY,
    onReady: (agreed) => {
      writeState(state, agreed);
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
  const { order, terms, lowers, announced } = readState(state);
  const journal = openJournal(order.target, terms === undefined);
  const keeper = new Keeper(new Fd(descriptors.keep, "socket"), new Fd(descriptors.kept, "socket"));
  const known = terms === undefined ? undefined : { inodes: journal, ...journal.told(), pins: keeper.restore() };
  const connection = new Connection(new Fd(descriptors.device, "/dev/fuse"), terms);
  const store = new Keeper(new Fd(descriptors.store, "socket"), new Fd(descriptors.stored, "socket"));
  const stack = new LayerStack({ mount: order.mount, lowers, store, first: descriptors.layers, state });
  if (lowers !== undefined && lowers.id !== announced) announce(connection, state, lowers.id, journal);
  return { stack, order, terms, state, journal, keeper, known, connection, ready: new Fd(descriptors.ready, "pipe") };
}

/** One that another version has written can't be read on: the mount ends, and recover mounts a session again. */
function openJournal(target: string, isNew: boolean): Journal {
  try {
    return new Journal(new Fd(descriptors.journal, "the server's journal"), isNew);
  } catch (error) {
    log(`${target}: ${error instanceof Error ? error.message : String(error)}`);
    throw error;
  }
}

/** The layers have changed: what the kernel has cached of names and directories may be out of date. */
function announce(connection: Connection, state: Fd, id: string, journal: Journal): void {
  connection.notify({ kind: "increment-epoch" });
  connection.notify({ kind: "invalidate-inode", nodeid: 1, offset: 0, length: 0 });
  for (const nodeid of journal.directories()) {
    connection.notify({ kind: "invalidate-inode", nodeid, offset: 0, length: 0 });
  }
  writeState(state, { announced: id });
}

function openLayers(
  { order, stack, journal, keeper, known, connection }: Inherited,
  log: (line: string) => void,
): { fileSystem: UnionFileSystem; ahead: Rehearsal | undefined } {
  const forgetAttributes = (nodeid: number): void => {
    connection.notify({ kind: "invalidate-inode", nodeid, offset: -1, length: 0 });
  };
  const onCopyUp = (nodeid: number): void => fileSystem.copiedUp(nodeid);
  const options = { ...stack.layers(), told: journal, ledger: journal, ...(known && { known }) };
  const union = new Union({ ...options, onCopyUp, log });
  const files = opensFiles(order.mount)
    ? new OpenedFiles({ union, connection, journal, cache: cacheOf(order.mount), known: known?.files })
    : new UnopenedFiles(union);
  const changes = new LayerChanges({ union, stack, connection, journal, keeper });
  const dropper = new ListingDropper(connection);
  // Where nothing is written the kernel knows of no access times.
  const dropListing = union.isReadOnly ? undefined : (nodeid: number): void => dropper.drop(nodeid);
  const fileSystem = new UnionFileSystem({
    union,
    files,
    journal,
    keeper,
    changes,
    forgetListing: (nodeid) => dropper.dropNow(nodeid),
    forgetAttributes,
    dropListing,
  });
  return { fileSystem, ahead: Rehearsal.open(union) };
}

function cacheOf({ attributes }: FallthruMount): "keep" | "drop" {
  return (attributes & MOUNT_ATTR.STRICTATIME) === 0 ? "keep" : "drop";
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
if (!isCompiled() && process.argv[1] === import.meta.filename) {
  process.exit(runServer());
}
