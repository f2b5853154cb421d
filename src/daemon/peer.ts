import { groupNameOf } from "../session/accounts.ts";
import type { User } from "../session/user.ts";
import type { Ahead, CommandEnd, News, ServedCaller } from "../frontend/schroot/caller.ts";
import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU } from "../kernel/abi/process.ts";
import type { Fd } from "../kernel/fd.ts";
import { openAt } from "../kernel/file.ts";
import { unless } from "../kernel/error.ts";
import { helperEnvironment, startHelper } from "../kernel/helper.ts";
import type { Path } from "../kernel/libc.ts";
import { verbatimValue, verbatimWords } from "../kernel/own.ts";
import { type Limits, limitsOf, completeLimits } from "../kernel/limits.ts";
import { waitUntilReady } from "../kernel/poll.ts";
import { nicenessOf, setNiceness } from "../kernel/nice.ts";
import type { Program, Surroundings } from "../kernel/process.ts";
import { spawn } from "../kernel/spawn.ts";
import { ignoreSignals } from "../kernel/self.ts";
import { openPeer, type Peer } from "../kernel/socket.ts";
import type { Attachment } from "../kernel/stdio.ts";
import {
  isTerminalOf,
  leaveTerminal,
  readSettings,
  type Settings,
  showOn,
  takeTerminal,
  terminalPathOf,
  writeSettings,
} from "../kernel/terminal.ts";
import { killChild } from "../kernel/wait.ts";
import { attend, isEnding } from "./command.ts";
import type { Asked, Connection } from "./connection.ts";
import type { ClientMessage } from "./protocol.ts";

/** Who doesn't answer for this long that they have shown what was said gets the command's output into the midst of it. */
const showMs = 3000;
/** A command whose client went away has this long to end by itself. */
const patienceMs = 5000;
/** A shell after its window was closed or its network is gone: nothing of the login is to be there soon after. */
const loginPatienceMs = 1500;

/**
 * Who is at the other end of a connection, for the front end. Ids and groups are the kernel's words; what the client
 * says of itself only reaches its own command.
 */
export class PeerCaller implements ServedCaller, Disposable {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly name: string;
  readonly home: string;
  readonly shell: string;
  readonly environment: Readonly<Record<string, Path>>;
  readonly directory: Path | undefined;
  readonly #connection: Connection;
  readonly #words: readonly Uint8Array[];
  readonly #attachment: Attachment;
  readonly #nothing: Fd;
  readonly #opened: readonly Fd[];
  readonly #niceness: number | undefined;
  /** A login's, as PAM made them. */
  readonly #limits: Limits | undefined;
  readonly #patienceMs: number;
  readonly #hasTerminal: boolean;
  readonly #waitsForStart: boolean;
  #hadTerminal = false;
  /** What the terminal was like before the first command. */
  #settings: Settings | undefined;
  #wasTold = false;
  /** A signal that came while there was no command: the next one isn't started then. */
  #early: number | undefined;

  constructor(connection: Connection, peer: Peer, account: User, { request, files }: Asked) {
    this.pid = peer.pid;
    this.uid = peer.uid;
    this.gid = peer.gid;
    this.groups = peer.groups;
    this.name = account.name;
    this.home = account.home;
    this.shell = account.shell;
    this.environment = readEnvironment(request.environment);
    this.directory = request.directory;
    this.#connection = connection;
    this.#words = request.argv;
    const isLogin = request.program === "login";
    this.#niceness = ofLiving(connection.socket, nicenessOf(peer.pid));
    this.#limits = isLogin ? ofLiving(connection.socket, limitsOf(peer.pid)) : undefined;
    this.#patienceMs = isLogin ? loginPatienceMs : patienceMs;
    this.#hasTerminal = request.hasTerminal;
    this.#waitsForStart = isLogin || request.hasTerminal;
    const nothing = openAt(null, "/dev/null", O.RDWR);
    const descriptor = (number: number): Fd => files[request.descriptors.indexOf(number)] ?? nothing;
    this.#nothing = nothing;
    this.#opened = [nothing, ...files];
    this.#attachment = {
      descriptors: [descriptor(0), descriptor(1), descriptor(2)],
      leads: request.hasTerminal ? "foreground" : "session",
      umask: request.umask,
      fileLimit: request.fileLimit,
      limits: this.#limits,
    };
  }

  /** Whether this process is one that has had the client's terminal, and what ran there, in its session. */
  get hadTerminal(): boolean {
    return this.#hadTerminal;
  }

  verbatim(value: string): Path {
    return verbatimValue(value, this.#words);
  }

  get fileLimit(): number {
    return this.#attachment.fileLimit;
  }

  get terminal(): string | undefined {
    return this.#hasTerminal ? terminalPathOf(this.#attachment.descriptors[0]) : undefined;
  }

  get stdin(): Fd {
    return this.#attachment.descriptors[0];
  }

  get groupName(): string {
    return groupNameOf(this.gid);
  }

  /** Not into the client's own descriptors: to write there with our rights is more than it could do itself. */
  say(stream: 1 | 2, text: string): void {
    this.#connection.send({ kind: "say", stream, text: Buffer.from(text) });
    this.#wasTold = true;
  }

  run(where: Surroundings, program: Program, onStarted?: () => void, news?: News): Promise<CommandEnd> {
    const start = (): number => {
      if (this.#hasTerminal) this.#takeTerminal();
      this.#tellStarted();
      const pid = this.#spawn(where, { ...program, attachment: this.#attachment });
      this.#limit(pid);
      return pid;
    };
    return this.#follow(start, onStarted, news);
  }

  startAhead(where: Surroundings, program: Program): Ahead {
    if (this.#hasTerminal) this.#takeTerminal();
    // What our runtime says of itself where it can't start is nobody's business.
    const [input, output, standardError] = this.#attachment.descriptors;
    const descriptors = [input, output, this.#nothing] as const;
    const pid = this.#spawn(where, { ...program, attachment: { ...this.#attachment, descriptors } });
    let isCommand = false;
    const run: Ahead["run"] = (become, onStarted, news) => {
      const start = (): number => {
        this.#tellStarted();
        this.#limit(pid);
        become(standardError);
        isCommand = true;
        return pid;
      };
      return this.#follow(start, onStarted, news);
    };
    const abandon = (): void => {
      if (isCommand) return;
      killChild(pid);
      if (this.#hasTerminal) leaveTerminal(this.#attachment.descriptors[0]);
    };
    return { run, [Symbol.dispose]: abandon };
  }

  /** Not after its start: a client whose service is killed in between would have the command a second time, on the machine's own root. */
  #tellStarted(): void {
    if (this.#waitsForStart) this.#connection.send({ kind: "started" });
  }

  #spawn(where: Surroundings, program: Program): number {
    const argv = program.argv.every((word) => typeof word === "string")
      ? verbatimWords(program.argv, this.#words)
      : program.argv;
    const pid = spawn(where, { ...program, argv });
    if (this.#niceness !== undefined && this.#niceness !== 0) setNiceness(pid, this.#niceness);
    return pid;
  }

  #limit(pid: number): void {
    if (this.#limits !== undefined) completeLimits(pid, this.#limits);
  }

  async #follow(start: () => number, onStarted?: () => void, news?: News): Promise<CommandEnd> {
    this.#waitUntilShown();
    if (this.#connection.isGone) return { signal: SIGHUP };
    if (this.#early !== undefined) return { signal: this.#early };
    try {
      const pid = start();
      onStarted?.();
      const onLook = this.#teller(news);
      return await attend(pid, this.#connection, {
        tellsStops: this.#hasTerminal,
        patienceMs: this.#patienceMs,
        onLook,
      });
    } finally {
      if (this.#hasTerminal) leaveTerminal(this.#attachment.descriptors[0]);
    }
  }

  #teller(news: News | undefined): () => void {
    let isTold = !this.#hasTerminal || news === undefined;
    return () => {
      const text = isTold ? undefined : news?.();
      if (text !== undefined) isTold = showOn(this.#attachment.descriptors[0], `\r\n${text}\r\n`);
    };
  }

  /** This process leads a session, so that the command can be stopped and go on as a shell's job. */
  #takeTerminal(): void {
    const [terminal] = this.#attachment.descriptors;
    if (!isTerminalOf(terminal, this.uid)) throw new UserError("failed", "The terminal isn't the caller's own");
    // Whose window is closed hangs up on the leader of the session.
    ignoreSignals([SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU]);
    takeTerminal(terminal);
    this.#settings ??= readSettings(terminal);
    this.#hadTerminal = true;
  }

  get converse(): ServedCaller["converse"] {
    return this.#hasTerminal ? (words, untilMs) => this.#converse(words, untilMs) : undefined;
  }

  /** It isn't the terminal's foreground: no key of the terminal's is a signal to what has our rights. */
  async #converse(words: readonly string[], untilMs: number): Promise<number | undefined> {
    const [terminal] = this.#attachment.descriptors;
    const settings = this.#settings;
    if (settings !== undefined) {
      unless(["EIO"], () => {
        writeSettings(terminal, settings);
      });
    }
    const argv = [process.execPath, ...words];
    const pid = startHelper(process.execPath, argv, helperEnvironment, [terminal, terminal, terminal]);
    const end = await attend(pid, this.#connection, { tellsStops: false, patienceMs: 0, untilMs });
    return "status" in end ? end.status : undefined;
  }

  async authenticate(user: string): Promise<void> {
    const { authenticate } = await import("./authenticate.ts");
    await authenticate(user, this, this.#attachment.descriptors[0]);
  }

  interrupted(): Promise<number | undefined> {
    for (const message of this.#connection.receive()) this.#note(message);
    const signal = this.#connection.isGone ? SIGHUP : this.#early;
    return Promise.resolve(signal === undefined ? undefined : 128 + signal);
  }

  isHeard(): boolean {
    this.#waitUntilShown();
    return !this.#connection.isGone;
  }

  /** What was said before a command stands before its output. */
  #waitUntilShown(): void {
    for (const message of this.#connection.receive()) this.#note(message);
    if (!this.#wasTold) return;
    this.#wasTold = false;
    this.#connection.send({ kind: "show" });
    const deadline = Date.now() + showMs;
    for (let isShown = false; !isShown && !this.#connection.isGone && Date.now() < deadline;) {
      waitUntilReady([{ file: this.#connection.socket }], Math.max(0, deadline - Date.now()));
      for (const message of this.#connection.receive()) {
        this.#note(message);
        isShown ||= message.kind === "shown";
      }
    }
  }

  #note(message: ClientMessage): void {
    if (message.kind === "signal" && isEnding(message.signal)) this.#early ??= message.signal;
  }

  [Symbol.dispose](): void {
    for (const fd of this.#opened) fd.close();
  }
}

/** What was read of a client by its number: as long as it lives that is its own, and so was what we read. */
function ofLiving<T>(connection: Fd, value: T | undefined): T | undefined {
  if (value === undefined) return undefined;
  using process_ = openPeer(connection);
  return waitUntilReady([{ file: process_ }], 0).length > 0 ? undefined : value;
}

/** The last of several with the same name counts, as to getenv(3) in most programs the first: nobody sends two. */
function readEnvironment(pairs: readonly (readonly [Uint8Array, Uint8Array])[]): Record<string, Path> {
  const entries = pairs.map(([name, value]) => [Buffer.from(name).toString("utf8"), textOrBytes(value)] as const);
  return Object.fromEntries(entries.filter(([name]) => name !== "__proto__"));
}

/** Text where it is that, as the front end's own environment has it. */
function textOrBytes(bytes: Uint8Array): Path {
  const text = Buffer.from(bytes).toString("utf8");
  return text.includes("\uFFFD") ? bytes : text;
}
