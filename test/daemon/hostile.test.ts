import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { join } from "node:path";
import { Connection } from "../../src/daemon/connection.ts";
import { encodeClient, protocolVersion } from "../../src/daemon/protocol.ts";
import { O } from "../../src/kernel/abi/file.ts";
import { threadCallNumbers } from "../../src/kernel/abi/process.ts";
import { changeOwnerAt, openAt } from "../../src/kernel/file.ts";
import { makeTerminal } from "../../src/kernel/terminal.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { run } from "../support/fallthru.ts";
import { acceptFrom, connectTo, listenAt, receiveNow, sendAllWith } from "../../src/kernel/socket.ts";
import { waitUntilReady } from "../../src/kernel/poll.ts";
import { as, nobody, Service } from "../support/service.ts";

const request = {
  argv: [],
  environment: [],
  directory: undefined,
  umask: 0,
  fileLimit: 1024,
  descriptors: [],
  program: "schroot" as const,
  hasTerminal: false,
};

/** Sends bytes on a connection of its own, and waits until that is ended; returns what came back. */
function send(path: string, data: Uint8Array, then: "and wait" | "and no more" = "and wait"): Promise<string> {
  return new Promise((done) => {
    let answer = "";
    const socket = connect(path, () => (then === "and wait" ? socket.write(data) : socket.end(data)));
    socket.on("data", (text: Buffer) => (answer += text.toString("latin1")));
    socket.on("error", () => {});
    socket.on("close", () => {
      done(answer);
    });
  });
}

async function stillServes(service: Service): Promise<void> {
  expect(await service.ask(as(nobody), ["say", "well"])).toMatchObject({ status: 0, stdout: "well\n" });
}

test("malformed and huge messages cost only their connection", async () => {
  await using service = await new Service().start();
  let state = 7;
  const random = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const good = encodeClient({ kind: "request", request: { ...request, argv: [Buffer.from("say"), Buffer.from("x")] } });
  for (let round = 0; round < 150; round++) {
    const bad = Buffer.from(good);
    for (let times = 1 + random(5); times > 0; times--) bad[4 + random(bad.length - 4)] = random(256);
    // What is left may also be a good one; either way the connection comes to its end.
    await send(service.path, bad);
  }
  const huge = Buffer.alloc(1 << 20, 1);
  huge.writeUInt32LE(0x7fffffff, 0);
  expect(await send(service.path, huge)).toBe("");
  await stillServes(service);
});

test("what is cut, what is random, and what comes behind a request cost only their connection", async () => {
  await using service = await new Service().start();
  const words = ["status", "0"].map((word) => Buffer.from(word));
  const good = encodeClient({ kind: "request", request: { ...request, argv: words } });
  for (let length = 0; length < good.length; length++)
    await send(service.path, good.subarray(0, length), "and no more");
  for (let round = 0; round < 100; round++) {
    const noise = randomBytes(1 + (round % 60) * 7);
    // A length that may be right gets it past the first look.
    if (round % 2 === 0 && noise.length > 5) noise.writeUInt32LE(noise.length - 4 - (round % 3), 0);
    await send(service.path, round % 4 < 2 ? noise : Buffer.concat([good, noise]), "and no more");
  }
  await stillServes(service);
});

test("a client that has gone before it is answered is gone, and no mistake", () => {
  const path = join(temporaryDirectory("socket"), "socket");
  using listening = listenAt(path, 1);
  const client = connectTo(path);
  using accepted = acceptFrom(listening);
  if (accepted === undefined) throw new Error("nobody has connected");
  const connection = new Connection(accepted);
  client.close();
  connection.send({ kind: "exit", status: 1 });
  expect(connection.isGone).toBe(true);
});

test("a request of another version is told so", async () => {
  await using service = await new Service().start();
  const other = Buffer.from(encodeClient({ kind: "request", request }));
  other.writeUInt16LE(1, 5);
  expect(await send(service.path, other)).toContain(
    `E: The service speaks version ${protocolVersion} of its protocol only`,
  );
});

test("a connection that begins with anything but a request is ended", async () => {
  await using service = await new Service().start();
  expect(await send(service.path, encodeClient({ kind: "signal", signal: 9 }))).toBe("");
  await stillServes(service);
});

test("more, fewer or other descriptors than a request names end its connection, and none stays open", async () => {
  await using service = await new Service().start();
  const message = encodeClient({ kind: "request", request: { ...request, descriptors: [0, 1] } });
  for (const count of [0, 1, 3, 4, 200]) {
    using file = openAt(null, "/dev/null", O.RDONLY);
    using socket = connectTo(service.path);
    sendAllWith(
      socket,
      message,
      Array.from({ length: count }, () => file),
    );
    while (waitUntilReady([{ file: socket }], -1).length === 0);
    expect(receiveNow(socket, Buffer.alloc(100))?.length).toBe(0);
  }
  const list = `ls -l /proc/$PPID/fd | grep -c /dev/null`;
  const { stdout } = await service.ask([], ["run", "sh", "-c", list]);
  // Its own 0 and 1, that of the one who asks (0), and what stands for descriptors that aren't there.
  expect(Number(stdout)).toBeLessThanOrEqual(5);
});

test("a signal that isn't a client's to send is not sent, and ends nobody", async () => {
  await using service = await new Service().start();
  const words = ["run", "sh", "-c", "echo $$; read word; echo on"].map((word) => Buffer.from(word));
  const asked = encodeClient({ kind: "request", request: { ...request, argv: words } });
  const kills = [9, 11, 64, 0].map((signal) => encodeClient({ kind: "signal", signal }));
  const exit = await send(service.path, Buffer.concat([asked, ...kills]));
  expect(exit.charCodeAt(exit.length - 2)).toBe(5); // exit, with status 0
  expect(exit.charCodeAt(exit.length - 1)).toBe(0);
  await stillServes(service);
});

test("a terminal that the caller hasn't made isn't given to a command", async () => {
  await using service = await new Service().start();
  const words = ["run", "true"].map((word) => Buffer.from(word));
  const message = { ...request, argv: words, descriptors: [0], hasTerminal: true };
  const { screen, line } = makeTerminal();
  changeOwnerAt(line, "", nobody.uid, nobody.gid);
  using file = openAt(null, "/dev/null", O.RDONLY);
  for (const descriptor of [file, screen, line]) {
    using socket = connectTo(service.path);
    sendAllWith(socket, encodeClient({ kind: "request", request: message }), [descriptor]);
    let answer = "";
    for (let data = receiveNow(socket, Buffer.alloc(1000)); data?.length !== 0;) {
      answer += Buffer.from(data ?? []).toString("latin1");
      waitUntilReady([{ file: socket }], -1);
      data = receiveNow(socket, Buffer.alloc(1000));
    }
    expect(answer).toContain("The terminal isn't the caller's own");
  }
  screen.close();
  line.close();
  await stillServes(service);
});

test("commands have an empty keyring of their own, neither the service's nor another command's", async () => {
  await using service = await new Service().start();
  const call = `print syscall(${threadCallNumbers().keyctl}, 0, -3, 0)`;
  const own = (await run(["perl", "-e", call])).stdout;
  const ids = [own];
  for (let round = 0; round < 2; round++) ids.push((await service.ask(as(nobody), ["run", "perl", "-e", call])).stdout);
  expect(ids.every((id) => Number(id) > 0)).toBe(true);
  expect(new Set(ids).size).toBe(3);
});

/** Asks from a process that ends before its last byte comes, and whose number is then another's, of another nice value. */
const reuse = `
import os, socket, sys, time
path, request = sys.argv[1], bytes.fromhex(sys.argv[2])
ours = socket.socket(socket.AF_UNIX)
client = os.fork()
if client == 0:
    ours.connect(path)
    socket.send_fds(ours, [request[:-1]], [0, 1, 2])
    os._exit(0)
os.waitpid(client, 0)
for _ in range(2000):
    with open("/proc/sys/kernel/ns_last_pid", "w") as last: last.write(str(client - 1))
    other = os.fork()
    if other == 0:
        if os.getpid() != client: os._exit(0)
        os.nice(11)
        time.sleep(100)
    if other == client: break
    os.waitpid(other, 0)
else: sys.exit("nobody got the number")
while os.getpriority(os.PRIO_PROCESS, client) != 11: time.sleep(0.01)
ours.sendall(request[-1:])
while ours.recv(4096): pass
os.kill(other, 9)
`;

test("who has got the number of a client that has ended isn't taken for it", async () => {
  await using service = await new Service().start();
  const words = ["run", "sh", "-c", "sleep 1; nice"].map((word) => Buffer.from(word));
  const asked = { ...request, argv: words, descriptors: [0, 1, 2] };
  const hex = Buffer.from(encodeClient({ kind: "request", request: asked })).toString("hex");
  const { stdout, stderr } = await run(["/usr/bin/python3", "-c", reuse, service.path, hex], { input: "" });
  expect([stdout, stderr]).toEqual(["0\n", ""]);
});
