import { UserError } from "../error.ts";
import { findHostUser } from "../session/accounts.ts";
import { workFor } from "../session/client.ts";
import type { User } from "../session/user.ts";
import type { Caller, ServedCaller } from "../frontend/schroot/caller.ts";
import { Fd } from "../kernel/fd.ts";
import { receiveDescriptor } from "../kernel/pass.ts";
import { waitUntilReady } from "../kernel/poll.ts";
import { exitNow, forgetKeys } from "../kernel/self.ts";
import { type Peer, peerOf, receiveNow, sendAll } from "../kernel/socket.ts";
import { buryChildren } from "../kernel/wait.ts";
import { type Asked, Connection, receiveRequest } from "./connection.ts";
import { log } from "./log.ts";
import { PeerCaller } from "./peer.ts";
import { protocolVersion, ProtocolError, VersionError } from "./protocol.ts";
import { connectionTags, workerWords } from "./words.ts";

/** What the service does for one caller: the whole of a program. */
export interface FrontEnds {
  readonly schroot: (argv: readonly string[], caller: Caller) => Promise<number>;
  readonly login: (argv: readonly Uint8Array[], caller: ServedCaller) => Promise<Answer>;
}

/** What came of it, and what is left to do when the client has been told. */
type Answer =
  | { readonly kind: "status"; readonly status: number; readonly afterwards?: () => Promise<void> }
  | { readonly kind: "host" };

/** What a worker gets as its descriptor 3: connections come through it, and a byte goes back for each that is done with. */
const workerSocket = 3;

/**
 * Serves one client after another, all of the same user: while it starts a command this process has the user's
 * real id, and so is open to the user's signals. It ends with the service that started it, or after a client whose terminal it took.
 */
export async function work(frontEnds: FrontEnds): Promise<void> {
  using control = new Fd(workerSocket, "the service");
  for (let isFirst = true; ; isFirst = false) {
    waitUntilReady([{ file: control }], -1);
    const received = receiveDescriptor(control);
    if (received === undefined) return;
    if (received.tag === connectionTags.drop) buryAll(control);
    if (!hears(control)) exitNow(0);
    using socket = new Fd(received.descriptor, "connection");
    const said = await serve(
      socket,
      frontEnds,
      isFirst ? () => sendAll(control, Uint8Array.of(workerWords.known)) : () => true,
    );
    socket.close();
    // What has been started to go on alone and is over.
    buryChildren();
    if (!sendAll(control, Uint8Array.of(workerWords[said]))) return;
    if (said === "done") return;
  }
}

/** Connections that the service closes: it has let go of them when it has closed this socket, and they of us when we end. */
function buryAll(control: Fd): never {
  do waitUntilReady([{ file: control }], -1);
  while (receiveDescriptor(control) !== undefined);
  exitNow(0);
}

/** @returns whether the service has closed the connection at its end: else it has ended, or given us up */
function hears(control: Fd): boolean {
  waitUntilReady([{ file: control }], -1);
  return (receiveNow(control, Buffer.alloc(1))?.length ?? 0) > 0;
}

type Said = "ready" | "done" | "unused";

/** Serves one client. Nothing that it says or does goes beyond its connection. @param onKnown called when it has an account */
async function serve(socket: Fd, frontEnds: FrontEnds, onKnown: () => void): Promise<Said> {
  const peer = peerOf(socket);
  const connection = new Connection(socket);
  // Before it has said anything: those without an account are many, and must not keep a process waiting.
  const account = findHostUser(peer.uid);
  if (account?.uid !== peer.uid) {
    log(`uid ${peer.uid} (process ${peer.pid}) was turned away: it has no account`);
    refuse(connection, `E: User ‘${peer.uid}’ not found\n`);
    return "unused";
  }
  onKnown();
  let asked: Asked | undefined;
  try {
    asked = receiveRequest(socket);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    log(`uid ${peer.uid} (process ${peer.pid}) was cut off: ${error.message}`);
    if (error instanceof VersionError) refuse(connection, otherVersion);
    return "ready";
  }
  if (asked === undefined) return "ready";
  workFor(peer.pid);
  if (asked.request.program === "login") connection.send({ kind: "accepted" });
  try {
    return await answer(connection, peer, account, asked, frontEnds);
  } finally {
    workFor(undefined);
  }
}

async function answer(
  connection: Connection,
  peer: Peer,
  account: User,
  asked: Asked,
  frontEnds: FrontEnds,
): Promise<Said> {
  const { program, argv } = asked.request;
  const words = [program, ...argv.map((word) => Buffer.from(word).toString("utf8"))].map(quoted).join(" ");
  try {
    // Not what the one who started the service has there, and not what an earlier command left.
    forgetKeys();
    const who = `${account.name} (uid ${peer.uid}, process ${peer.pid})`;
    log(`${who}: ${words}`);
    const { answered, hadTerminal } = await ask(new PeerCaller(connection, peer, account, asked), asked, frontEnds);
    log(`${who}: ${answered.kind === "host" ? "left to the host" : `status ${answered.status}`}: ${words}`);
    connection.send(answered.kind === "host" ? answered : { kind: "exit", status: answered.status });
    if (answered.kind === "status") await finish(answered.afterwards, `${who}: ${words}`);
    return hadTerminal ? "done" : "ready";
  } catch (error) {
    for (const file of asked.files) file.close();
    const message = error instanceof Error ? error.message : String(error);
    log(`uid ${peer.uid} (process ${peer.pid}): ${message}: ${words}`);
    const text = error instanceof UserError ? message : `the service met a bug of its own: ${message}`;
    connection.send({ kind: "say", stream: 2, text: Buffer.from(`E: ${text}\n`) });
    connection.send({ kind: "exit", status: 1 });
    return error instanceof UserError ? "ready" : "done";
  }
}

/** The caller's descriptors are closed then: nobody waits for the end of a pipe that is only open here. */
async function ask(
  made: PeerCaller,
  { request }: Asked,
  frontEnds: FrontEnds,
): Promise<{ answered: Answer; hadTerminal: boolean }> {
  using caller = made;
  if (request.program === "login") {
    return { answered: await frontEnds.login(request.argv, caller), hadTerminal: caller.hadTerminal };
  }
  const argv = request.argv.map((word) => Buffer.from(word).toString("utf8"));
  const status = await frontEnds.schroot(argv, caller);
  return { answered: { kind: "status", status }, hadTerminal: caller.hadTerminal };
}

/** What goes wrong now is the administrator's to know: the client has gone. */
async function finish(afterwards: (() => Promise<void>) | undefined, what: string): Promise<void> {
  try {
    await afterwards?.();
  } catch (error) {
    log(`${error instanceof Error ? error.message : String(error)}: ${what}`);
  }
}

const otherVersion = `E: The service speaks version ${protocolVersion} of its protocol only\nI: restart it: systemctl restart fallthrud\n`;

function refuse(connection: Connection, text: string): void {
  connection.send({ kind: "say", stream: 2, text: Buffer.from(text) });
  connection.send({ kind: "exit", status: 1 });
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
