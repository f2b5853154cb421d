import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { RLIMIT_NOFILE, SIGCHLD, SIGHUP } from "../kernel/abi/process.ts";
import { isErrno } from "../kernel/error.ts";
import { Fd } from "../kernel/fd.ts";
import { openAt } from "../kernel/file.ts";
import { helperEnvironment, startHelper } from "../kernel/helper.ts";
import { limitsOf } from "../kernel/limits.ts";
import { makeSocketPair, sendDescriptor } from "../kernel/pass.ts";
import { type Watched, waitUntilReady } from "../kernel/poll.ts";
import { ignoreSignals } from "../kernel/self.ts";
import { acceptFrom, peerOf, receiveNow, sendAll } from "../kernel/socket.ts";
import { copyAbove } from "../kernel/stdio.ts";
import { log } from "./log.ts";
import { connectionTags, workerWords } from "./words.ts";

/**
 * How many of each may be at once; what is above waits, or is sent away. Somebody may have thousands of user ids without an
 * account (subuid(5)), each of which would get a worker of its own: all that aren't known share a few.
 */
const limits = { waiting: 1024, waitingOfOne: 256, workers: 1024, workersOfOne: 256, workersOfUnknown: 16 } as const;

/** So many connections are dropped together, or all of so much time. */
const dropped = { most: 64, withinMs: 1000 } as const;

/** A worker without work goes after this time. */
const idleMs = 10_000;

/** After this time a client that couldn't be handed over is tried again, where nothing else happens. */
const retryMs = 1000;

/** A worker's start takes a socket's two ends and copies of what is to be its descriptors 0 to 3; then one stays. */
const keptBack = 7;

interface Client {
  readonly socket: Fd;
  readonly uid: number;
  /** It has said something. */
  isReady: boolean;
}

interface Worker {
  readonly control: Fd;
  /** Whose: undefined until its first client. */
  uid: number | undefined;
  isBusy: boolean;
  /** It ends, as it said. */
  isDone: boolean;
  idleSince: number;
}

/** The worker that connections are dropped into. */
interface Grave {
  readonly control: Fd;
  readonly since: number;
  count: number;
}

/** What is done whenever a descriptor is readable. */
interface Other {
  readonly file: Fd;
  follow(): void;
}

/**
 * The service: hands each client to a process of its user's own, so that it never waits for any of them, does nothing with
 * what they say, and never has a user's id. It keeps nothing: killed at any moment it loses what wasn't handed over yet.
 */
export class Server {
  readonly #listening: Fd;
  readonly #workerCommand: readonly string[];
  readonly #clients = new Set<Client>();
  readonly #workers = new Set<Worker>();
  /** Who has an account, as their workers said. */
  readonly #known = new Set<number>();
  readonly #others: readonly Other[];
  readonly #nothing = openAt(null, "/dev/null", O.RDWR);
  readonly #buffer = Buffer.alloc(16);
  #grave: Grave | undefined;
  /**
   * Descriptors that no client gets, all of them or none: without a worker none of those who wait would ever go, also when they have
   * hung up long ago.
   */
  #kept: Fd[] = [];
  /** How many clients may wait: not so many that no descriptor is left for workers. */
  readonly #room = Math.min(limits.waiting, Math.max(8, Math.floor(((ownFileLimit() ?? 1024) - 64) / 2)));
  /** Nobody is let in before this moment, for want of descriptors or memory. */
  #acceptAt = 0;

  /**
   * @param workerCommand the program and arguments that make a worker of a process: work()
   * @param others what else is to be done
   */
  constructor(listening: Fd, workerCommand: readonly string[], others: readonly Other[] = []) {
    this.#others = others;
    this.#listening = listening;
    this.#workerCommand = workerCommand;
  }

  /** Never returns: a signal that ends programs ends it. No promise may be waited for here. */
  run(): never {
    // The kernel buries the workers; a terminal that was closed isn't meant for a service.
    ignoreSignals([SIGCHLD, SIGHUP]);
    this.#ensureSpare();
    for (;;) {
      this.#keepBack();
      while (this.#kept.length === 0 && this.#dropOne()) this.#keepBack();
      const ready = new Set(waitUntilReady(this.#watched(), this.#timeout()));
      if (ready.has(this.#listening)) this.#accept();
      for (const worker of this.#workers) if (ready.has(worker.control)) this.#hear(worker);
      for (const client of this.#clients) if (ready.has(client.socket)) client.isReady = true;
      for (const client of this.#clients) if (client.isReady) this.#handOver(client);
      for (const other of this.#others) if (ready.has(other.file)) this.#follow(other);
      this.#dismissIdle();
      this.#closeGrave();
    }
  }

  /** Whatever that meets, people are served. */
  #follow(other: Other): void {
    try {
      other.follow();
    } catch (error) {
      log(error instanceof Error ? error.message : String(error));
    }
  }

  #watched(): Watched[] {
    const files = [...this.#silent().map(({ socket }) => socket), ...[...this.#workers].map(({ control }) => control)];
    for (const { file } of this.#others) files.push(file);
    if (this.#kept.length > 0 && this.#hasRoom() && Date.now() >= this.#acceptAt) files.push(this.#listening);
    return files.map((file) => ({ file }));
  }

  #silent(): Client[] {
    return [...this.#clients].filter(({ isReady }) => !isReady);
  }

  /** Who says nothing makes room for others. */
  #hasRoom(): boolean {
    return this.#clients.size < this.#room || this.#silent().length > 0;
  }

  #timeout(): number {
    const moments = [...this.#workers]
      .filter(({ isBusy, uid }) => !isBusy && uid !== undefined)
      .map(({ idleSince }) => idleSince + idleMs);
    if (this.#grave !== undefined) moments.push(this.#grave.since + dropped.withinMs);
    if ([...this.#clients].some(({ isReady }) => isReady) || this.#acceptAt > Date.now() || this.#kept.length === 0)
      moments.push(Date.now() + retryMs);
    return moments.length === 0 ? -1 : Math.max(0, Math.min(...moments) - Date.now());
  }

  #accept(): void {
    let socket: Fd | undefined;
    try {
      socket = acceptFrom(this.#listening);
    } catch (error) {
      if (!isShortage(error)) throw error;
      if (isErrno(error, "EMFILE") && this.#dropOne()) return;
      log(`nobody is let in for a moment: ${String(error)}`);
      this.#acceptAt = Date.now() + retryMs;
      return;
    }
    if (socket === undefined) return;
    const { uid } = peerOf(socket);
    const others = [...this.#clients].filter((client) => client.uid === uid).length;
    const client = { socket, uid, isReady: false };
    this.#clients.add(client);
    if (others >= limits.waitingOfOne) {
      log(`uid ${uid} was sent away: it has ${others} connections that say nothing`);
      this.#drop(client);
    } else if (this.#clients.size > this.#room) this.#dropOne();
  }

  /** Of those who say nothing, the longest there of whoever has most of them. @returns whether one has gone */
  #dropOne(): boolean {
    const [most] = [...Map.groupBy(this.#silent(), ({ uid }) => uid).values()].toSorted((a, b) => b.length - a.length);
    return most?.[0] !== undefined && this.#drop(most[0]);
  }

  /**
   * Closes a client's connection, but not here: open files that it has sent and nobody has taken are closed with it, and that may
   * take as long as the client likes (SO_LINGER). A process that ends waits for none of them. @see socket(7)
   */
  #drop(client: Client): boolean {
    this.#grave ??= this.#makeGrave();
    // Where none can be made, another time.
    if (this.#grave === undefined || !sendDescriptor(this.#grave.control, connectionTags.drop, client.socket.number))
      return false;
    this.#grave.count++;
    this.#clients.delete(client);
    client.socket.close();
    return true;
  }

  #makeGrave(): Grave | undefined {
    const spare = [...this.#workers].find(({ uid }) => uid === undefined) ?? this.#startWorker();
    if (spare === undefined) return undefined;
    this.#workers.delete(spare);
    return { control: spare.control, since: Date.now(), count: 0 };
  }

  #closeGrave(): void {
    if (this.#grave === undefined) return;
    if (this.#grave.count < dropped.most && Date.now() < this.#grave.since + dropped.withinMs) return;
    this.#grave.control.close();
    this.#grave = undefined;
    this.#ensureSpare();
  }

  /** A worker is done with its client, or has ended. */
  #hear(worker: Worker): void {
    const data = receiveNow(worker.control, this.#buffer);
    if (data === undefined) return;
    for (const word of data) this.#note(worker, word);
    if (data.length > 0) return;
    worker.control.close();
    this.#workers.delete(worker);
    if (worker.isBusy && !worker.isDone) this.#clearUp();
  }

  #note(worker: Worker, word: number): void {
    if (word === workerWords.known) {
      if (worker.uid !== undefined) this.#known.add(worker.uid);
      return;
    }
    if (word === workerWords.done) worker.isDone = true;
    else {
      worker.isBusy = false;
      worker.idleSince = Date.now();
    }
    if (word === workerWords.unused) worker.uid = undefined;
  }

  /** A worker was killed while it served somebody: the session that it held is to go now, and not with the next one's begin. */
  #clearUp(): void {
    const [file = ""] = this.#workerCommand;
    const stdio = [this.#nothing, this.#nothing, new Fd(2, "standard error")];
    try {
      this.#withKept(() => startHelper(file, [file, "recover", "--quiet"], helperEnvironment, stdio));
    } catch (error) {
      if (!isShortage(error)) throw error;
      log(`what a worker has left isn't cleared up: ${String(error)}`);
    }
  }

  /** Where all workers that this user may have are busy, the client waits. */
  #handOver(client: Client): void {
    const workers = [...this.#workers];
    const own = workers.filter(({ uid }) => uid === client.uid);
    const idle = own.find(({ isBusy }) => !isBusy);
    if (idle === undefined && !this.#mayHaveAnother(client.uid)) return;
    const worker = idle ?? workers.find(({ uid }) => uid === undefined) ?? this.#startWorker();
    // One that was killed just now takes no client: that it has gone is heard of next, and the client gets another.
    if (worker === undefined || !sendDescriptor(worker.control, connectionTags.serve, client.socket.number)) return;
    this.#clients.delete(client);
    worker.uid = client.uid;
    worker.isBusy = true;
    // The worker waits for the word: whoever closes a connection last waits for what a client has sent with it (see #drop()).
    client.socket.close();
    sendAll(worker.control, Uint8Array.of(0));
    this.#ensureSpare();
  }

  #mayHaveAnother(uid: number): boolean {
    const busy = [...this.#workers].filter((worker) => worker.uid !== undefined);
    if (busy.filter((worker) => worker.uid === uid).length >= limits.workersOfOne) return false;
    if (this.#known.has(uid)) return true;
    return busy.filter((worker) => !this.#known.has(worker.uid ?? uid)).length < limits.workersOfUnknown;
  }

  /** One is always there that nobody has used yet, so that nobody waits for its start. */
  #ensureSpare(): void {
    if (![...this.#workers].some(({ uid }) => uid === undefined)) this.#startWorker();
  }

  #startWorker(): Worker | undefined {
    if (this.#workers.size >= limits.workers) return undefined;
    const [file] = this.#workerCommand;
    if (file === undefined) throw new UserError("usage", "no command for workers");
    try {
      const control = this.#withKept(() => this.#startProcess(file));
      const worker: Worker = { control, uid: undefined, isBusy: false, isDone: false, idleSince: 0 };
      this.#workers.add(worker);
      return worker;
    } catch (error) {
      if (!isShortage(error)) throw error;
      log(`a worker can't be started: ${String(error)}`);
      return undefined;
    }
  }

  /** @returns our end of its socket */
  #startProcess(file: string): Fd {
    using undo = new DisposableStack();
    const [control, theirs] = makeSocketPair();
    undo.use(control);
    using socket = theirs;
    const stdio = [this.#nothing, this.#nothing, new Fd(2, "standard error")];
    startHelper(file, this.#workerCommand, helperEnvironment, [...stdio, socket]);
    undo.move();
    return control;
  }

  #keepBack(): void {
    if (this.#kept.length > 0) return;
    try {
      this.#kept = copyAbove(Array<Fd>(keptBack).fill(this.#nothing), 3);
    } catch (error) {
      if (!isShortage(error)) throw error;
    }
  }

  /** Does what needs the descriptors that were kept back. */
  #withKept<Result>(start: () => Result): Result {
    for (const file of this.#kept.splice(0)) file.close();
    try {
      return start();
    } finally {
      this.#keepBack();
    }
  }

  #dismissIdle(): void {
    const since = Date.now() - idleMs;
    let spares = 0;
    for (const worker of this.#workers) {
      if (worker.uid === undefined ? ++spares <= 1 : worker.isBusy || worker.idleSince > since) continue;
      worker.control.close();
      this.#workers.delete(worker);
    }
  }
}

/** What others on the machine may bring about, and what passes. */
function isShortage(error: unknown): boolean {
  return isErrno(error, "EAGAIN", "ENOMEM", "EMFILE", "ENFILE", "ENOBUFS");
}

function ownFileLimit(): number | undefined {
  const soft = limitsOf(process.pid)?.[RLIMIT_NOFILE]?.soft;
  return soft === undefined ? undefined : Number(soft);
}
