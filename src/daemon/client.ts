import { O } from "../kernel/abi/file.ts";
import {
  RLIMIT_NOFILE,
  SIGCONT,
  SIGHUP,
  SIGINT,
  SIGQUIT,
  SIGSTOP,
  SIGTERM,
  SIGUSR1,
  SIGUSR2,
  SIGWINCH,
} from "../kernel/abi/process.ts";
import { isErrno, unless } from "../kernel/error.ts";
import { Fd } from "../kernel/fd.ts";
import { openAt, writeAll } from "../kernel/file.ts";
import type { Path } from "../kernel/libc.ts";
import { limitsOf } from "../kernel/limits.ts";
import { fileLimitOfParent } from "../kernel/process.ts";
import { ownDirectory, ownEnvironment, verbatimArguments } from "../kernel/own.ts";
import { waitUntilReady } from "../kernel/poll.ts";
import { connectTo, receiveNow, sendAll, sendAllWith } from "../kernel/socket.ts";
import { kindOf } from "../kernel/terminal.ts";
import {
  type ClientMessage,
  decodeService,
  encodeClient,
  Inbox,
  type ProgramName,
  type Request,
  requestLimit,
  socketPath,
  type ServiceMessage,
} from "./protocol.ts";
import type { Relay } from "./relay.ts";

/** What most programs are started with. */
const usualFileLimit = 1024;

/** For who has nothing more to do. */
export { exitNow } from "../kernel/self.ts";

/** How late a signal may be heard of that came at the worst moment. */
const longestWaitMs = 500;

/**
 * Somebody who logs in waits so long for a service that hangs, or has too many to serve: of 200 at once, on a machine that other work
 * kept busy, 60 had to wait for more than 20 seconds. sshd gives a person twice as long (LoginGraceTime of sshd_config(5)).
 */
const patienceMs = 60_000;

/** Those that mean the command, where they reach us. */
const forwarded = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 } as const;

/** What somebody wants of the service. */
export interface Wish {
  readonly program: ProgramName;
  /** Without the program's name. */
  readonly argv: readonly Path[];
  readonly environment: Readonly<Record<string, Path>>;
}

/** The exit status, or that a shell on the machine's own root is all that there is. */
export type Outcome = number | "host";

/**
 * Has the service do what schroot(1) does, for this process: with its arguments, environment, working directory and
 * descriptors 0 to 2. Who it is the service sees by itself.
 * @param argv without the program's name
 * @returns the exit status
 */
export async function askService(argv: readonly string[], path: string = socketPath): Promise<number> {
  const wish: Wish = { program: "schroot", argv: verbatimArguments(argv), environment: ownEnvironment() };
  const outcome = await askFor(wish, path);
  return outcome === "host" ? 1 : outcome;
}

/**
 * The same for any of its programs.
 * @param onUnreachable called in the place of an answer: where nobody answers in time, or nobody is there any more before the command
 *   was started. Without it there is no hurry
 */
export async function askFor(wish: Wish, path: string = socketPath, onUnreachable?: Unreachable): Promise<Outcome> {
  const socket = connect(path, onUnreachable === undefined ? undefined : patienceMs);
  if (typeof socket === "string") return (onUnreachable ?? fail)(socket);
  using client = new Client(socket);
  const outcome = await client.ask(wish, onUnreachable).catch((error: unknown) => {
    // What fails on the way to a shell leaves a login without one; in the midst of one there is no other to be had.
    if (client.hasStarted || onUnreachable === undefined) throw error;
    client.leave();
    return onUnreachable(error instanceof Error ? error.message : String(error));
  });
  // With a status all that is left is to end, for which undoing this would take 0.1 ms.
  if (outcome === "host") client.leave();
  return outcome;
}

/** Why there is no answer. */
interface Failure {
  readonly why: string;
}

type Unreachable = (why: string) => Outcome | Promise<Outcome>;

/** @returns what is wrong, where nobody listens */
function connect(path: string, patience: number | undefined): Fd | string {
  try {
    return connectTo(path, patience);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ECONNREFUSED", "ENOTDIR"))
      return `The service isn't running: nobody listens on ${path}\nI: start it: systemctl start fallthrud.socket, or as root: fallthru daemon`;
    if (isErrno(error, "EAGAIN")) return hanging;
    return error instanceof Error ? error.message : String(error);
  }
}

const hanging =
  "The service doesn't answer: it hangs, or serves as many as it can\nI: try again later; or restart it: systemctl restart fallthrud";

function fail(message: string): number {
  show(2, encoder.encode(`E: ${message}\n`));
  return 1;
}

/**
 * Words to a descriptor that may be closed: then they are for nobody.
 * @returns whether whoever reads it is still there, as far as one can know: false where it is a pipe that nobody reads
 */
function show(stream: 1 | 2, text: Uint8Array): boolean {
  try {
    writeAll(new Fd(stream, "output"), text);
  } catch (error) {
    if (!isErrno(error, "EPIPE", "EBADF", "EIO")) throw error;
    return !isErrno(error, "EPIPE");
  }
  return true;
}

class Client implements Disposable {
  readonly #socket: Fd;
  readonly #inbox = new Inbox(requestLimit);
  readonly #buffer = new Uint8Array(16_384);
  #relay: Relay | undefined;
  /** Whose window is closed has logged out: what minds no hang-up has its time from when we are gone. */
  #isLogin = false;
  #wasHungUp = false;
  /** Whether whoever reads what we print is there. */
  #isHeard = true;
  /** How far the service has come. */
  #stage: "asked" | "accepted" | "started" = "asked";

  constructor(socket: Fd) {
    this.#socket = socket;
  }

  async ask(wish: Wish, onUnreachable?: Unreachable): Promise<Outcome> {
    this.#isLogin = wish.program === "login";
    const open: Fd[] = [];
    const kinds: ReturnType<typeof kindOf>[] = [];
    for (const number of [0, 1, 2]) {
      const file = new Fd(number, "descriptor");
      kinds.push(kindOf(file));
      if (kinds[number] !== "closed") open.push(file);
    }
    let files = open;
    if (kinds[0] === "terminal" && kinds[1] === "terminal" && hasControllingTerminal()) {
      const { Relay: TerminalRelay } = await import("./relay.ts");
      this.#relay = new TerminalRelay();
      process.on("SIGCONT", this.#goOn);
      const { line } = this.#relay;
      files = open.map((file) => (kinds[file.number] === "terminal" ? line : file));
    }
    const request = makeRequest(wish, open, this.#relay !== undefined);
    const isSent = this.#sendRequest(encodeClient({ kind: "request", request }), files);
    this.#relay?.line.close();
    // Not before: the service begins meanwhile, and a signal that ends us here ends what it does for us.
    for (const signal of signalNames) process.on(signal, this.#forward);
    process.on("SIGTSTP", this.#stop);
    if (kinds.includes("terminal")) process.on("SIGWINCH", this.#resize);
    const outcome = isSent === true ? await this.#listen(onUnreachable === undefined ? Infinity : patienceMs) : isSent;
    if (typeof outcome === "number" || outcome === "host") return outcome;
    this.leave();
    return this.hasStarted || onUnreachable === undefined ? fail(outcome.why) : onUnreachable(outcome.why);
  }

  #sendRequest(request: Uint8Array, files: readonly Fd[]): true | Failure {
    try {
      if (sendAllWith(this.#socket, request, files)) return true;
      return { why: "The service sent us away: it has too many of our connections already" };
    } catch (error) {
      if (isErrno(error, "EAGAIN")) return { why: hanging };
      throw error;
    }
  }

  async #listen(patience: number): Promise<Outcome | Failure> {
    const deadline = performance.now() + patience;
    for (;;) {
      if (this.#stage === "asked" && performance.now() > deadline) return { why: hanging };
      const ready = await this.#untilReady();
      this.#relay?.pass();
      if (this.#relay?.isHungUp === true && !this.#wasHungUp) {
        // Linux tells the leader of the terminal's session alone, which may be neither we nor the command.
        this.#wasHungUp = true;
        if (this.#isLogin) return 128 + SIGHUP;
        this.#send({ kind: "signal", signal: SIGHUP });
      }
      if (!ready.includes(this.#socket)) continue;
      const data = receiveNow(this.#socket, this.#buffer);
      if (data === undefined) continue;
      if (data.length === 0) return { why: "The service ended the connection" };
      this.#inbox.add(data);
      for (let next = this.#inbox.next(); next !== undefined; next = this.#inbox.next()) {
        const status = this.#obey(decodeService(next));
        if (status !== undefined) return status;
      }
    }
  }

  /**
   * Waits in this thread: another's would cost a start 3 ms. A signal ends the waiting, and its handler runs in the pause;
   * one that came just before the waiting began is heard of at its end.
   */
  async #untilReady(): Promise<Fd[]> {
    const watched = [{ file: this.#socket }, ...(this.#relay?.watched() ?? [])];
    const ready = waitUntilReady(watched, this.#relay?.timeoutMs() ?? longestWaitMs);
    if (ready.length === 0) await new Promise((done) => setImmediate(done));
    return ready;
  }

  /** @returns the exit status, where that is what it was */
  #obey(message: ServiceMessage): Outcome | undefined {
    if (message.kind !== "accepted" && message.kind !== "started" && message.kind !== "stopped") this.#relay?.leave();
    switch (message.kind) {
      case "say": {
        const isRead = show(message.stream, message.text);
        if (message.stream === 1) this.#isHeard = isRead;
        return undefined;
      }
      case "show":
        // Whom nobody hears goes, and the service knows.
        if (!this.#isHeard) return 1;
        this.#send({ kind: "shown" });
        return undefined;
      case "accepted":
        this.#stage = "accepted";
        return undefined;
      case "started":
        this.#stage = "started";
        this.#relay?.enter();
        return undefined;
      case "stopped":
        this.#stopSelf();
        return undefined;
      case "host":
        return "host";
      case "exit":
        return message.status;
    }
  }

  /** The shell that started us sees us stopped; `fg` and `bg` wake both. */
  #stopSelf(): void {
    this.#relay?.pause();
    process.kill(process.pid, "SIGSTOP");
    this.#relay?.resume();
    this.#send({ kind: "signal", signal: SIGCONT });
  }

  #send(message: ClientMessage): void {
    sendAll(this.#socket, encodeClient(message));
  }

  readonly #forward = (name: NodeJS.Signals): void => {
    const signal = Object.entries(forwarded).find(([each]) => each === name)?.[1];
    if (signal !== undefined) this.#send({ kind: "signal", signal });
  };

  readonly #stop = (): void => {
    this.#send({ kind: "signal", signal: SIGSTOP });
    this.#stopSelf();
  };

  /** Whoever stopped us from outside left the terminal as the shell has it. */
  readonly #goOn = (): void => this.#relay?.resume();

  readonly #resize = (): void => {
    if (this.#relay === undefined) this.#send({ kind: "signal", signal: SIGWINCH });
    else this.#relay.resize();
  };

  /** Whether the service has begun to start a command of ours. */
  get hasStarted(): boolean {
    return this.#stage === "started";
  }

  /** Signals and the terminal are as they were. */
  leave(): void {
    this.#relay?.leave();
    for (const signal of signalNames) process.off(signal, this.#forward);
    process.off("SIGTSTP", this.#stop);
    process.off("SIGWINCH", this.#resize);
    process.off("SIGCONT", this.#goOn);
  }

  [Symbol.dispose](): void {
    this.#relay?.[Symbol.dispose]();
    this.#socket.close();
  }
}

const signalNames = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"] as const;

function hasControllingTerminal(): boolean {
  const terminal = unless(["ENXIO", "ENOENT", "EIO", "EACCES"], () =>
    openAt(null, "/dev/tty", O.RDONLY | O.NONBLOCK | O.NOCTTY),
  );
  terminal?.close();
  return terminal !== undefined;
}

function makeRequest({ program, argv, ...wish }: Wish, open: readonly Fd[], hasTerminal: boolean): Request {
  const environment: (readonly [Uint8Array, Uint8Array])[] = [];
  for (const name of Object.keys(wish.environment)) {
    if (name !== "" && !name.includes("=")) environment.push([bytesOf(name), bytesOf(wish.environment[name] ?? "")]);
  }
  const words: Uint8Array[] = [];
  for (const word of argv) words.push(bytesOf(word));
  const descriptors: number[] = [];
  for (const { number } of open) descriptors.push(number);
  const directory = ownDirectory();
  return {
    program,
    argv: words,
    environment,
    directory: directory === undefined ? undefined : bytesOf(directory),
    // oxlint-disable-next-line typescript/no-deprecated -- for a moment it is another, and there is nobody else here
    umask: process.umask(),
    fileLimit: Math.min(fileLimitOfParent() ?? parentsFileLimit() ?? usualFileLimit, 0xffffffff),
    descriptors,
    hasTerminal,
  };
}

// The first Buffer.from() of a text costs a start 0.1 ms, this 0.03.
const encoder = new TextEncoder();

function bytesOf(text: Path): Uint8Array {
  return typeof text === "string" ? encoder.encode(text) : text;
}

/** Of login(1) and su(1), whose children shells are: they are root's, and not ours to ask otherwise. */
function parentsFileLimit(): number | undefined {
  const soft = limitsOf(process.ppid)?.[RLIMIT_NOFILE]?.soft;
  return soft === undefined ? undefined : Number(soft);
}
