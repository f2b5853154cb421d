import type { Fd } from "../kernel/fd.ts";
import { waitUntilReady } from "../kernel/poll.ts";
import { receiveNow, receiveNowWith, sendNow } from "../kernel/socket.ts";
import {
  type ClientMessage,
  decodeClient,
  encodeService,
  Inbox,
  messageLimit,
  ProtocolError,
  type Request,
  requestLimit,
  type ServiceMessage,
} from "./protocol.ts";

/** A client has this long to say all that it wants: it has nothing to wait for. */
const requestMs = 5000;
/** Who reads nothing for this long is as good as gone: the work for them may keep others waiting, as for a session's end. */
const unreadMs = 30_000;

/** A request, with the client's descriptors in the order in which it names them. */
export interface Asked {
  readonly request: Request;
  readonly files: readonly Fd[];
}

/**
 * Reads the request, which is the first thing on a connection.
 * @returns undefined where the client went away before it had said all
 * @throws {ProtocolError} and nothing of the client's stays open
 */
export function receiveRequest(socket: Fd): Asked | undefined {
  const inbox = new Inbox(requestLimit);
  const files: Fd[] = [];
  try {
    const message = collect(socket, inbox, files);
    if (message === undefined) return dropped(files);
    const decoded = decodeClient(message);
    if (decoded.kind !== "request") throw new ProtocolError(`a connection that begins with ${decoded.kind}`);
    const { request } = decoded;
    if (files.length !== request.descriptors.length)
      throw new ProtocolError(`${files.length} descriptors instead of ${request.descriptors.length}`);
    return { request, files };
  } catch (error) {
    dropped(files);
    if (error instanceof RangeError) throw new ProtocolError(error.message, { cause: error });
    throw error;
  }
}

function dropped(files: readonly Fd[]): undefined {
  for (const file of files) file.close();
  return undefined;
}

/** The first whole message; descriptors come with its first byte, or not at all. */
function collect(socket: Fd, inbox: Inbox, files: Fd[]): Uint8Array | undefined {
  const deadline = Date.now() + requestMs;
  const buffer = Buffer.allocUnsafe(16_384);
  for (let isFirst = true; ;) {
    const left = deadline - Date.now();
    if (left <= 0) throw new ProtocolError("a request that doesn't come to its end");
    if (waitUntilReady([{ file: socket }], left).length === 0) continue;
    const data = isFirst ? receiveFirst(socket, buffer, files) : receiveNow(socket, buffer);
    if (data === undefined) continue;
    if (data.length === 0) return undefined;
    isFirst = false;
    inbox.add(data);
    const message = inbox.next();
    if (message !== undefined) return message;
  }
}

function receiveFirst(socket: Fd, buffer: Uint8Array, files: Fd[]): Uint8Array | undefined {
  const received = receiveNowWith(socket, buffer, 3);
  files.push(...(received?.files ?? []));
  return received?.data;
}

/** The service's end of a connection, once the request has been read. */
export class Connection {
  readonly socket: Fd;
  readonly #inbox = new Inbox(messageLimit);
  readonly #buffer = Buffer.alloc(256);
  #isGone = false;

  constructor(socket: Fd) {
    this.socket = socket;
  }

  /** Whether nobody is at the other end any more. */
  get isGone(): boolean {
    return this.#isGone;
  }

  send(message: ServiceMessage): void {
    if (!this.#isGone && !this.#sendInTime(encodeService(message))) this.#isGone = true;
  }

  #sendInTime(data: Uint8Array): boolean {
    let deadline = Date.now() + unreadMs;
    for (let rest = data; ;) {
      const sent = sendNow(this.socket, rest);
      if (sent === undefined) return false;
      rest = rest.subarray(sent);
      if (rest.length === 0) return true;
      if (sent > 0) deadline = Date.now() + unreadMs;
      if (Date.now() >= deadline) return false;
      waitUntilReady([{ file: this.socket, for: "writing" }], deadline - Date.now());
    }
  }

  /** What the client has said since; one that doesn't keep to the protocol is gone by that. */
  receive(): ClientMessage[] {
    if (this.#isGone) return [];
    try {
      const data = receiveNow(this.socket, this.#buffer);
      if (data === undefined) return [];
      if (data.length === 0) this.#isGone = true;
      this.#inbox.add(data);
      const messages: ClientMessage[] = [];
      for (let next = this.#inbox.next(); next !== undefined; next = this.#inbox.next()) {
        messages.push(decodeClient(next));
      }
      return messages;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#isGone = true;
      return [];
    }
  }
}
