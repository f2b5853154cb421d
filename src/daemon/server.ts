import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { SIGCHLD, SIGHUP } from "../kernel/abi/process.ts";
import { isErrno } from "../kernel/error.ts";
import { Fd } from "../kernel/fd.ts";
import { openAt } from "../kernel/file.ts";
import { helperEnvironment, startHelper } from "../kernel/helper.ts";
import { makeSocketPair, sendDescriptor } from "../kernel/pass.ts";
import { type Watched, waitUntilReady } from "../kernel/poll.ts";
import { ignoreSignals } from "../kernel/self.ts";
import { acceptFrom, peerOf, receiveNow } from "../kernel/socket.ts";
import { log } from "./log.ts";
import { workerWords } from "./words.ts";

/** How many of each may be at once; what is above waits, or is sent away. */
const limits = { waiting: 1024, waitingOfOne: 256, workers: 1024, workersOfOne: 256 } as const;

/** A worker without work goes after this time. */
const idleMs = 10_000;

/** After this time a client that couldn't be handed over is tried again, where nothing else happens. */
const retryMs = 1000;

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

/**
 * The service: hands each client to a process of its user's own, so that it never waits for any of them, does nothing with
 * what they say, and never has a user's id. It keeps nothing: killed at any moment it loses what wasn't handed over yet.
 */
export class Server {
  readonly #listening: Fd;
  readonly #workerCommand: readonly string[];
  readonly #clients = new Set<Client>();
  readonly #workers = new Set<Worker>();
  readonly #nothing = openAt(null, "/dev/null", O.RDWR);
  readonly #buffer = Buffer.alloc(16);

  /** @param workerCommand the program and arguments that make a worker of a process: work() */
  constructor(listening: Fd, workerCommand: readonly string[]) {
    this.#listening = listening;
    this.#workerCommand = workerCommand;
  }

  /** Never returns: a signal that ends programs ends it. No promise may be waited for here. */
  run(): never {
    // The kernel buries the workers; a terminal that was closed isn't meant for a service.
    ignoreSignals([SIGCHLD, SIGHUP]);
    this.#ensureSpare();
    for (;;) {
      const ready = new Set(waitUntilReady(this.#watched(), this.#timeout()));
      if (ready.has(this.#listening)) this.#accept();
      for (const worker of this.#workers) if (ready.has(worker.control)) this.#hear(worker);
      for (const client of this.#clients) if (ready.has(client.socket)) client.isReady = true;
      for (const client of this.#clients) if (client.isReady) this.#handOver(client);
      this.#dismissIdle();
    }
  }

  #watched(): Watched[] {
    const idle = [...this.#clients].filter(({ isReady }) => !isReady);
    const files = [...idle.map(({ socket }) => socket), ...[...this.#workers].map(({ control }) => control)];
    if (this.#clients.size < limits.waiting) files.push(this.#listening);
    return files.map((file) => ({ file }));
  }

  #timeout(): number {
    const times = [...this.#workers]
      .filter(({ isBusy, uid }) => !isBusy && uid !== undefined)
      .map(({ idleSince }) => idleSince);
    if ([...this.#clients].some(({ isReady }) => isReady)) return retryMs;
    return times.length === 0 ? -1 : Math.max(0, Math.min(...times) + idleMs - Date.now());
  }

  #accept(): void {
    const socket = acceptFrom(this.#listening);
    if (socket === undefined) return;
    const { uid } = peerOf(socket);
    const others = [...this.#clients].filter((client) => client.uid === uid).length;
    if (others >= limits.waitingOfOne) {
      log(`uid ${uid} was sent away: it has ${others} connections that say nothing`);
      socket.close();
    } else this.#clients.add({ socket, uid, isReady: false });
  }

  /** A worker is done with its client, or has ended. */
  #hear(worker: Worker): void {
    const data = receiveNow(worker.control, this.#buffer);
    if (data === undefined) return;
    if (data.includes(workerWords.done)) worker.isDone = true;
    else if (data.length > 0) {
      worker.isBusy = false;
      worker.idleSince = Date.now();
    }
    if (data.length > 0) return;
    worker.control.close();
    this.#workers.delete(worker);
    if (worker.isBusy && !worker.isDone) this.#clearUp();
  }

  /** A worker was killed while it served somebody: the session that it held is to go now, and not with the next one's begin. */
  #clearUp(): void {
    const [file = ""] = this.#workerCommand;
    const stdio = [this.#nothing, this.#nothing, new Fd(2, "standard error")];
    try {
      startHelper(file, [file, "recover", "--quiet"], helperEnvironment, stdio);
    } catch (error) {
      if (!isErrno(error, "EAGAIN", "ENOMEM")) throw error;
      log(`what a worker has left isn't cleared up: ${String(error)}`);
    }
  }

  /** Where all workers that this user may have are busy, the client waits. */
  #handOver(client: Client): void {
    const workers = [...this.#workers];
    const own = workers.filter(({ uid }) => uid === client.uid);
    const idle = own.find(({ isBusy }) => !isBusy);
    if (idle === undefined && own.length >= limits.workersOfOne) return;
    const worker = idle ?? workers.find(({ uid }) => uid === undefined) ?? this.#startWorker();
    if (worker === undefined) return;
    this.#clients.delete(client);
    worker.uid = client.uid;
    worker.isBusy = true;
    // A worker that was killed just now takes this client with it: its socket is closed below.
    sendDescriptor(worker.control, 0, client.socket.number);
    client.socket.close();
    this.#ensureSpare();
  }

  /** One is always there that nobody has used yet, so that nobody waits for its start. */
  #ensureSpare(): void {
    if (![...this.#workers].some(({ uid }) => uid === undefined)) this.#startWorker();
  }

  #startWorker(): Worker | undefined {
    if (this.#workers.size >= limits.workers) return undefined;
    const [control, theirs] = makeSocketPair();
    using socket = theirs;
    const [file] = this.#workerCommand;
    if (file === undefined) throw new UserError("usage", "no command for workers");
    const stdio = [this.#nothing, this.#nothing, new Fd(2, "standard error")];
    try {
      startHelper(file, this.#workerCommand, helperEnvironment, [...stdio, socket]);
    } catch (error) {
      control.close();
      if (!isErrno(error, "EAGAIN", "ENOMEM")) throw error;
      log(`a worker can't be started: ${String(error)}`);
      return undefined;
    }
    const worker: Worker = { control, uid: undefined, isBusy: false, isDone: false, idleSince: 0 };
    this.#workers.add(worker);
    return worker;
  }

  #dismissIdle(): void {
    const since = Date.now() - idleMs;
    for (const worker of this.#workers) {
      if (worker.isBusy || worker.uid === undefined || worker.idleSince > since) continue;
      worker.control.close();
      this.#workers.delete(worker);
    }
  }
}
