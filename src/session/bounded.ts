import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { CLONE } from "../kernel/abi/process.ts";
import { KernelError } from "../kernel/error.ts";
import { Fd } from "../kernel/fd.ts";
import { openAt, openDirectory, readAll, writeAll } from "../kernel/file.ts";
import { makeMemoryFile } from "../kernel/memory.ts";
import { makeFollower } from "../kernel/mount.ts";
import { makeSocketPair, receiveDescriptor, sendDescriptor } from "../kernel/pass.ts";
import { waitUntilReady } from "../kernel/poll.ts";
import {
  become,
  isolate,
  type Program,
  restoreFileLimit,
  type Surroundings,
  unshareThread,
} from "../kernel/process.ts";
import { boundCapabilities, exitNow, replaceRoot } from "../kernel/self.ts";
import { receiveNow, sendAll } from "../kernel/socket.ts";
import { takeStandardError } from "../kernel/stdio.ts";
import { boundedCapabilities, boundMounts, kernelSwitches, mountProc, openProc } from "./bounds.ts";
import { startFirst } from "./first.ts";
import { mountPointOf } from "./paths.ts";
import type { Path, Record } from "./run.ts";

const controlVariable = "FALLTHRU_BOUNDED";

/** The process has so long to be in the session, and no more where somebody stops it. */
const patienceMs = 20_000;

/** What it is told first: which session it is for. */
interface EnterOrder {
  readonly session: Pick<Record, "id" | "network" | "limits"> & { readonly hostname: string | undefined };
  /** The path of the terminal that its command is on. */
  readonly terminal: string | undefined;
}

/** And then: what it is to become. Paths, words and variables are bytes in base64. */
interface BecomeOrder {
  readonly where: Pick<Surroundings, "credentials"> & { readonly directories: string[] };
  readonly file: string;
  readonly argv: string[];
  readonly env: readonly (readonly [string, string])[];
  readonly fileLimit: number | undefined;
}

/** What it says. */
type Note =
  | { readonly kind: "inside" }
  | { readonly kind: "failed"; readonly message: string; readonly hint: string | undefined }
  | { readonly kind: "refused"; readonly syscall: string; readonly path: string; readonly errno: string };

/**
 * A command whose root is bound, in a pid and a mount name space of its own: it is started as this program, ahead of its session's begin, as
 * it takes as long as that. It then makes the session's tree one in which root reaches nothing of the machine's, takes from itself for
 * good what root isn't to have, and becomes the command. The bounds are a thread's own and can't be taken off, so whoever starts it
 * can't have them for a moment.
 */
export class BoundedCommand<Process extends Disposable> implements AsyncDisposable {
  readonly process: Process;
  readonly #control: Fd;
  readonly #undo: AsyncDisposableStack;

  private constructor(process: Process, control: Fd, undo: AsyncDisposableStack) {
    this.process = process;
    this.#control = control;
    this.#undo = undo;
  }

  /** @param start starts the process, which is gone when that is disposed of */
  static async start<Process extends Disposable>(
    start: (where: Surroundings, program: Program) => Process,
  ): Promise<BoundedCommand<Process>> {
    await using undo = new AsyncDisposableStack();
    const first = startFirst();
    undo.defer(() => first.end());
    const [control, theirs] = makeSocketPair();
    undo.use(control);
    using inherits = theirs;
    using root = openDirectory("/");
    const credentials = { uid: 0, gid: 0, groups: [] };
    const where = { root, credentials, directories: ["/"], network: "host", pidSpace: first.processes } as const;
    const env = { [controlVariable]: String(inherits.number) };
    const process_ = start(where, { file: process.execPath, argv: [process.execPath, "bounded"], env, inherits });
    undo.use(process_);
    return new BoundedCommand(process_, control, undo.move());
  }

  /**
   * Brings the process into the session. When this returns, its root is the session's.
   * @throws {UserError | KernelError} it is of no use then, and nothing has become of the command
   */
  enter({ id, network, hostname, limits }: Record, terminal: string | undefined): void {
    this.#give({ session: { id, network, hostname, limits }, terminal } satisfies EnterOrder);
    const deadline = Date.now() + patienceMs;
    const isReady = (): boolean => waitUntilReady([{ file: this.#control }], deadline - Date.now()).length > 0;
    while (!isReady())
      if (Date.now() >= deadline) throw new UserError("failed", "our own program was stopped before it was your shell");
    const note = this.#hear();
    if (note?.kind === "inside") return;
    throw note === undefined ? endedEarly() : errorOf(note);
  }

  /** Has it become the command, within the session. */
  become(
    where: Pick<Surroundings, "credentials" | "directories">,
    program: Program,
    { standardError, fileLimit }: { readonly standardError: Fd; readonly fileLimit: number | undefined },
  ): void {
    this.#give({
      where: { credentials: where.credentials, directories: where.directories.map(encode) },
      file: encode(program.file),
      argv: program.argv.map(encode),
      env: Object.entries(program.env).map(([name, value]) => [name, encode(value)]),
      fileLimit,
    } satisfies BecomeOrder);
    sendDescriptor(this.#control, 0, standardError.number);
  }

  /** To be called when it has ended. @throws {KernelError} as spawn() does, where the command couldn't be executed */
  checkStarted(): void {
    const note = this.#hear();
    if (note !== undefined && note.kind !== "inside") throw errorOf(note);
  }

  /** One that has ended meanwhile is found out by what it doesn't say. */
  #give(order: EnterOrder | BecomeOrder): void {
    using file = makeMemoryFile("order");
    writeAll(file, Buffer.from(JSON.stringify(order)));
    using anew = openAt(null, file.procPath, O.RDONLY);
    sendDescriptor(this.#control, 0, anew.number);
  }

  #hear(): Note | undefined {
    const said = receiveNow(this.#control, Buffer.alloc(65_536));
    return said === undefined || said.length === 0 ? undefined : (JSON.parse(said.toString()) as Note);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#undo.disposeAsync();
  }
}

function endedEarly(): UserError {
  return new UserError("failed", "our own program was ended before it was your shell", {
    hint: "a limit on memory or address space may be too low",
  });
}

function errorOf(note: Exclude<Note, { kind: "inside" }>): Error {
  return note.kind === "refused" ? new KernelError(note) : new UserError("failed", note.message, { hint: note.hint });
}

function encode(text: Path): string {
  return Buffer.from(text).toString("base64");
}

function decode(text: string): Buffer {
  return Buffer.from(text, "base64");
}

/** What such a command begins as: with root's rights, the client's descriptors, and nothing else of the client's. */
export async function runBounded(): Promise<never> {
  using control = new Fd(Number(process.env[controlVariable]), "orders");
  const note = (what: Note): boolean => sendAll(control, Buffer.from(JSON.stringify(what)));
  try {
    await enter(receiveOrder(control) as EnterOrder);
    note({ kind: "inside" });
    // From here on no file may be read for our own sake (koffi): it would be the session's.
    const order = receiveOrder(control) as BecomeOrder;
    using standardError = receiveFile(control);
    takeStandardError(standardError);
    becomeOrdered(order);
  } catch (error) {
    if (error instanceof KernelError) note({ kind: "refused", ...fieldsOf(error) });
    else if (error instanceof Error) note({ kind: "failed", message: error.message, hint: hintOf(error) });
    exitNow(127);
  }
}

function fieldsOf({ syscall, path, errno }: KernelError): { syscall: string; path: string; errno: string } {
  return { syscall, path, errno };
}

function hintOf(error: Error): string | undefined {
  return error instanceof UserError ? error.hint : undefined;
}

function receiveOrder(control: Fd): unknown {
  using file = receiveFile(control);
  return JSON.parse(readAll(file).toString("utf8"));
}

/** Whoever started this and has ended, or wants no command any more, sends none. */
function receiveFile(control: Fd): Fd {
  while (waitUntilReady([{ file: control }], -1).length === 0);
  const received = receiveDescriptor(control);
  return received === undefined ? exitNow(127) : new Fd(received.descriptor, "order");
}

async function enter({ session, terminal }: EnterOrder): Promise<void> {
  const { id, limits } = session;
  const mountPoint = mountPointOf(id);
  if (Object.keys(limits).length > 0) {
    const { joinControlGroups } = await import("./cgroup.ts");
    joinControlGroups(id, limits, "stay");
  }
  isolate(session);
  unshareThread(CLONE.NEWNS);
  using everything = openDirectory("/");
  // What is shared goes on following what the host mounts there.
  makeFollower(everything);
  using root = openDirectory(mountPoint);
  using proc = openProc(root);
  mountProc(proc, kernelSwitches);
  boundMounts(root, mountPoint, terminal);
  replaceRoot(root);
}

function becomeOrdered({ where, file, argv, env, fileLimit }: BecomeOrder): never {
  const program: Program = {
    file: decode(file),
    argv: argv.map(decode),
    env: Object.fromEntries(env.map(([name, value]) => [name, decode(value)])),
  };
  const root = openDirectory("/");
  // Our parent is in another pid name space: nobody else says what it was.
  restoreFileLimit(fileLimit);
  boundCapabilities(boundedCapabilities);
  const directories = where.directories.map(decode);
  return become({ root, credentials: where.credentials, directories, network: "host" }, program);
}
