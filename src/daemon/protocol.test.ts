import { expect, test } from "bun:test";
import {
  type ClientMessage,
  decodeClient,
  decodeService,
  encodeClient,
  encodeService,
  Inbox,
  messageLimit,
  ProtocolError,
  type Request,
  requestLimit,
  type ServiceMessage,
  VersionError,
} from "./protocol.ts";

/** Numbers from 0 to below `limit`, the same in each run. */
function seeded(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

function randomBytes(random: (limit: number) => number, most: number): Buffer {
  return Buffer.from(Array.from({ length: random(most) }, () => 1 + random(255)));
}

function randomRequest(random: (limit: number) => number): Request {
  const list = <T>(make: () => T): T[] => Array.from({ length: random(5) }, make);
  const descriptors = [0, 1, 2].filter(() => random(2) === 1);
  return {
    argv: list(() => randomBytes(random, 40)),
    environment: list(() => [Buffer.from(`NAME${random(9)}`), randomBytes(random, 40)] as const),
    directory: random(2) === 1 ? randomBytes(random, 40) : undefined,
    umask: random(0o1000),
    fileLimit: random(5000),
    descriptors,
    program: random(2) === 1 ? "login" : "schroot",
    hasTerminal: descriptors.includes(0) && random(2) === 1,
  };
}

/** What an inbox makes of bytes that come in pieces. */
function pieces(inbox: Inbox, data: Buffer, random: (limit: number) => number): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let at = 0; at < data.length;) {
    const end = Math.min(data.length, at + 1 + random(30));
    inbox.add(data.subarray(at, end));
    for (let next = inbox.next(); next !== undefined; next = inbox.next()) messages.push(next);
    at = end;
  }
  return messages;
}

test("decodeClient() reads what encodeClient() wrote, in whatever pieces it comes", () => {
  const random = seeded(1);
  for (let round = 0; round < 200; round++) {
    const sent: ClientMessage[] = [
      { kind: "request", request: randomRequest(random) },
      { kind: "signal", signal: random(65) },
      { kind: "shown" },
    ];
    const bytes = Buffer.concat(sent.map(encodeClient));
    expect(pieces(new Inbox(requestLimit), bytes, random).map(decodeClient)).toEqual(sent);
  }
});

test("decodeService() reads what encodeService() wrote", () => {
  const random = seeded(2);
  const sent: ServiceMessage[] = [
    { kind: "say", stream: 1, text: Buffer.from("one\n") },
    { kind: "say", stream: 2, text: Buffer.alloc(0) },
    { kind: "show" },
    { kind: "accepted" },
    { kind: "started" },
    { kind: "stopped" },
    { kind: "exit", status: 255 },
  ];
  const bytes = Buffer.concat(sent.map(encodeService));
  expect(pieces(new Inbox(requestLimit), bytes, random).map(decodeService)).toEqual(sent);
});

test("decodeClient() answers every damaged message with a ProtocolError, or with what it can only mean", () => {
  const random = seeded(3);
  let refused = 0;
  for (let round = 0; round < 3000; round++) {
    const bytes = encodeClient({ kind: "request", request: randomRequest(random) }).subarray(4);
    const damaged = Buffer.from(bytes.subarray(0, random(3) === 0 ? random(bytes.length) : bytes.length));
    for (let times = 1 + random(4); times > 0 && damaged.length > 0; times--) {
      damaged[random(damaged.length)] = random(256);
    }
    try {
      const message = decodeClient(new Uint8Array(damaged));
      if (message.kind !== "request") continue;
      const words = [...message.request.argv, ...message.request.environment.flat()];
      expect(words.every((word) => Buffer.isBuffer(word))).toBe(true);
      expect(words.some((word) => word.includes(0))).toBe(false);
    } catch (error) {
      expect(error).toBeInstanceOf(ProtocolError);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(1000);
});

test("Inbox refuses a message by its length, before it is there", () => {
  for (const length of [0, messageLimit + 1, 0xffffffff]) {
    const inbox = new Inbox(messageLimit);
    const head = Buffer.alloc(4);
    head.writeUInt32LE(length);
    inbox.add(head);
    expect(() => inbox.next()).toThrow(ProtocolError);
  }
});

test("decodeClient() refuses numbers that would take much memory, NULs, and variables without a name", () => {
  const request = {
    argv: [],
    environment: [],
    directory: undefined,
    umask: 0,
    fileLimit: 0,
    descriptors: [],
    program: "schroot" as const,
    hasTerminal: false,
  };
  const encode = (changes: Partial<Request>): Buffer =>
    Buffer.from(encodeClient({ kind: "request", request: { ...request, ...changes } })).subarray(4);
  const many = encode({});
  many.writeUInt32LE(0x10000001, 1 + 6 + 4 + 4);
  expect(() => decodeClient(many)).toThrow(ProtocolError);
  expect(() => decodeClient(encode({ argv: [Buffer.from("a\0b")] }))).toThrow("a word with a NUL");
  for (const name of ["", "A=B"]) {
    const environment = [[Buffer.from(name), Buffer.from("x")]] as const;
    expect(() => decodeClient(encode({ environment }))).toThrow("a variable without a name");
  }
  expect(() => decodeClient(Buffer.concat([encode({}), Buffer.of(0)]))).toThrow("more than belongs to it");
});

test("decodeClient() says so where a request is of another version", () => {
  const message = Buffer.from([1, 99, 0, 1, 2, 3]);
  expect(() => decodeClient(message)).toThrow(VersionError);
});
