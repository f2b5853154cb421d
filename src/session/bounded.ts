import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { KernelError } from "../kernel/error.ts";
import { Fd } from "../kernel/fd.ts";
import { openAt, openDirectory, readAll, writeAll } from "../kernel/file.ts";
import { makeMemoryFile } from "../kernel/memory.ts";
import { become, type Program, restoreFileLimit, type Surroundings } from "../kernel/process.ts";
import { boundCapabilities, exitNow } from "../kernel/self.ts";
import { boundedCapabilities } from "./bounds.ts";
import type { PidSpace } from "./init.ts";
import type { Path } from "./run.ts";

const orderVariable = "FALLTHRU_BOUNDED";

/** What is handed over; paths, words and variables are bytes in base64. */
interface Order {
  /** The first process of the pid name space. */
  readonly first: number;
  readonly where: Pick<Surroundings, "credentials" | "network" | "hostname"> & { readonly directories: string[] };
  readonly file: string;
  readonly argv: string[];
  readonly env: readonly (readonly [string, string])[];
  readonly fileLimit: number | undefined;
}

/** What the process says in the order's own file, behind the order. */
type Note = { readonly kind: "ready" } | { readonly kind: "refused"; syscall: string; path: string; errno: string };

/**
 * A command whose root is bound: it is started as this program, which takes from itself for good what root isn't to have, and then
 * becomes the command. The bounds are a thread's own and can't be taken off, so whoever starts it can't have them for a moment.
 */
export class BoundedCommand implements Disposable {
  readonly where: Surroundings;
  readonly program: Program;
  readonly #file = makeMemoryFile("order");
  readonly #hostRoot = openDirectory("/");
  readonly #length: number;

  constructor(space: PidSpace, where: Surroundings, program: Program, fileLimit: number | undefined) {
    const { credentials, network, hostname, directories } = where;
    const order: Order = {
      first: space.first,
      where: { credentials, network, hostname, directories: directories.map(encode) },
      file: encode(program.file),
      argv: program.argv.map(encode),
      env: Object.entries(program.env).map(([name, value]) => [name, encode(value)]),
      fileLimit,
    };
    const bytes = Buffer.from(`${JSON.stringify(order)}\n`);
    this.#length = bytes.length;
    writeAll(this.#file, bytes);
    const root = { uid: 0, gid: 0, groups: [] };
    this.where = {
      root: this.#hostRoot,
      credentials: root,
      directories: ["/"],
      network: "host",
      pidSpace: space.processes,
    };
    const env = { [orderVariable]: String(this.#file.number) };
    this.program = { file: process.execPath, argv: [process.execPath, "bounded"], env, inherits: this.#file };
  }

  /** To be called when it has ended. @throws {KernelError} as spawn() does; {UserError} failed, where this program didn't start */
  checkStarted(): void {
    const notes = readNotes(this.#file, this.#length);
    const refused = notes.find((note) => note.kind === "refused");
    if (refused !== undefined) throw new KernelError(refused);
    if (notes.length > 0) return;
    throw new UserError("failed", "our own program was ended before it was your shell", {
      hint: "a limit on memory or address space may be too low",
    });
  }

  [Symbol.dispose](): void {
    this.#file.close();
    this.#hostRoot.close();
  }
}

function encode(text: Path): string {
  return Buffer.from(text).toString("base64");
}

function decode(text: string): Buffer {
  return Buffer.from(text, "base64");
}

function readNotes(file: Fd, from: number): Note[] {
  using anew = openAt(null, file.procPath, O.RDONLY);
  const lines = readAll(anew).subarray(from).toString("utf8").split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Note);
}

/** What such a command begins as: with root's rights, the client's descriptors, and nothing else of the client's. */
export function runBounded(): never {
  using file = new Fd(Number(process.env[orderVariable]), "order");
  const note = (what: Note): void => writeAll(file, Buffer.from(`${JSON.stringify(what)}\n`));
  try {
    using anew = openAt(null, file.procPath, O.RDONLY);
    const order = JSON.parse(readAll(anew).toString("utf8")) as Order;
    const place = `/proc/${order.first}`;
    const where: Surroundings = {
      ...order.where,
      root: openAt(null, `${place}/root`, O.PATH | O.DIRECTORY),
      mountSpace: openAt(null, `${place}/ns/mnt`, O.RDONLY),
      directories: order.where.directories.map(decode),
    };
    const program: Program = {
      file: decode(order.file),
      argv: order.argv.map(decode),
      env: Object.fromEntries(order.env.map(([name, value]) => [name, decode(value)])),
    };
    // Our parent is in another pid name space: nobody else says what it was.
    restoreFileLimit(order.fileLimit);
    boundCapabilities(boundedCapabilities);
    note({ kind: "ready" });
    become(where, program);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const { syscall, path, errno } = error;
    note({ kind: "refused", syscall, path, errno });
    exitNow(127);
  }
}
