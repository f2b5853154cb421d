import { UserError } from "../error.ts";
import { findHostUser } from "../session/accounts.ts";
import { workFor } from "../session/client.ts";
import type { Caller } from "../frontend/schroot/caller.ts";
import { Fd } from "../kernel/fd.ts";
import { receiveDescriptor } from "../kernel/pass.ts";
import { waitUntilReady } from "../kernel/poll.ts";
import { forgetKeys } from "../kernel/self.ts";
import { type Peer, peerOf, sendAll } from "../kernel/socket.ts";
import { type Asked, Connection, receiveRequest } from "./connection.ts";
import { log } from "./log.ts";
import { PeerCaller } from "./peer.ts";
import { protocolVersion, ProtocolError, VersionError } from "./protocol.ts";
import { workerWords } from "./words.ts";

/** What the service does for one caller: the whole of a program. */
export interface FrontEnds {
  readonly schroot: (argv: readonly string[], caller: Caller) => Promise<number>;
  readonly login: (argv: readonly Uint8Array[], caller: Caller) => Promise<Answer>;
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
  for (;;) {
    waitUntilReady([{ file: control }], -1);
    const received = receiveDescriptor(control);
    if (received === undefined) return;
    using socket = new Fd(received.descriptor, "connection");
    const state = await serve(socket, frontEnds);
    socket.close();
    if (!sendAll(control, Uint8Array.of(state === "ready" ? workerWords.ready : workerWords.done))) return;
    if (state === "used up") return;
  }
}

/** Serves one client. Nothing that it says or does goes beyond its connection. */
async function serve(socket: Fd, frontEnds: FrontEnds): Promise<"ready" | "used up"> {
  const peer = peerOf(socket);
  const connection = new Connection(socket);
  let asked: Asked | undefined;
  try {
    asked = receiveRequest(socket);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    log(`uid ${peer.uid} (process ${peer.pid}) was cut off: ${error.message}`);
    if (error instanceof VersionError) refuseVersion(connection);
    return "ready";
  }
  if (asked === undefined) return "ready";
  workFor(peer.pid);
  try {
    return await answer(connection, peer, asked, frontEnds);
  } finally {
    workFor(undefined);
  }
}

async function answer(
  connection: Connection,
  peer: Peer,
  asked: Asked,
  frontEnds: FrontEnds,
): Promise<"ready" | "used up"> {
  const { program, argv } = asked.request;
  const words = [program, ...argv.map((word) => Buffer.from(word).toString("utf8"))].map(quoted).join(" ");
  try {
    // Not what the one who started the service has there, and not what an earlier command left.
    forgetKeys();
    const account = findHostUser(peer.uid);
    if (account?.uid !== peer.uid) throw new UserError("not-found", `User ‘${peer.uid}’ not found`);
    const who = `${account.name} (uid ${peer.uid}, process ${peer.pid})`;
    log(`${who}: ${words}`);
    const { answered, hadTerminal } = await ask(new PeerCaller(connection, peer, account, asked), asked, frontEnds);
    log(`${who}: ${answered.kind === "host" ? "left to the host" : `status ${answered.status}`}: ${words}`);
    connection.send(answered.kind === "host" ? answered : { kind: "exit", status: answered.status });
    if (answered.kind === "status") await finish(answered.afterwards, `${who}: ${words}`);
    return hadTerminal ? "used up" : "ready";
  } catch (error) {
    for (const file of asked.files) file.close();
    const message = error instanceof Error ? error.message : String(error);
    log(`uid ${peer.uid} (process ${peer.pid}): ${message}: ${words}`);
    const text = error instanceof UserError ? message : `the service met a bug of its own: ${message}`;
    connection.send({ kind: "say", stream: 2, text: Buffer.from(`E: ${text}\n`) });
    connection.send({ kind: "exit", status: 1 });
    return error instanceof UserError ? "ready" : "used up";
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

function refuseVersion(connection: Connection): void {
  const text = `E: The service speaks version ${protocolVersion} of its protocol only\nI: restart it: systemctl restart fallthrud\n`;
  connection.send({ kind: "say", stream: 2, text: Buffer.from(text) });
  connection.send({ kind: "exit", status: 1 });
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
