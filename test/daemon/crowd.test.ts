import { expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { as, games, nobody, Service } from "../support/service.ts";

// Many connections at once, by somebody who wants nobody else to be served.

/** Connects `count` times and says `said`, each time as the uid that `uid` gives; holds all until it is killed. */
const connections = `
import os, socket, struct, sys, threading, time
path, kept = sys.argv[1], []
def connect(uid, said=b""):
    os.setresuid(-1, uid, -1)
    one = socket.socket(socket.AF_UNIX)
    one.connect(path)
    os.setresuid(-1, 0, -1)
    try:
        if said: one.send(said)
    except OSError: pass
    kept.append(one)
    return one
def hold():
    print("held", flush=True)
    time.sleep(1000)
`;

/** Runs a script behind these until `then` is done. */
async function during(service: Service, script: string, then: () => Promise<void>): Promise<void> {
  const crowd = spawn("/usr/bin/python3", ["-c", connections + script, service.path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<void>((done) => crowd.once("exit", () => done()));
  try {
    const held = new Promise<void>((done) => crowd.stdout.once("data", () => done()));
    await Promise.race([
      held,
      ended.then(() => {
        throw new Error("the crowd has gone");
      }),
    ]);
    await then();
  } finally {
    crowd.kill("SIGKILL");
    await ended;
  }
}

/** Somebody else is served, and not only when the crowd has gone. */
async function servesOthers(service: Service): Promise<void> {
  const served = await service.ask(as(games), ["say", "well"], { timeoutMs: 60_000 });
  expect(served).toMatchObject({ status: 0, stdout: "well\n" });
}

test("open files that are slow to close, sent with connections that are dropped, keep nobody waiting", async () => {
  await using service = await new Service().start();
  // A closed TCP connection waits as long as its owner likes for data that nobody takes.
  const script = `
for _ in range(256): connect(${nobody.uid})
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen(64)
for _ in range(30):
    slow = socket.create_connection(listening.getsockname())
    kept.append(listening.accept()[0])
    slow.setblocking(False)
    try:
        while slow.send(b"x" * 65536): pass
    except BlockingIOError: pass
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1000))
    try: socket.send_fds(connect(${nobody.uid}), [b"x"], [slow.fileno()])
    except OSError: pass
    threading.Thread(target=os.close, args=(slow.detach(),), daemon=True).start()
hold()`;
  await during(service, script, () => servesOthers(service));
});

test("people with thousands of user ids but no account have a few processes together, and lock nobody out", async () => {
  await using service = await new Service().start();
  await during(service, `for uid in range(700000, 700100): connect(uid, b"x")\nhold()`, async () => {
    await servesOthers(service);
    expect(service.workers().length).toBeLessThan(25);
  });
  await during(service, `for uid in range(700000, 701100): connect(uid)\nhold()`, () => servesOthers(service));
});

test("a service that may have few files open keeps some of them for those who say what they want", async () => {
  await using service = await new Service({}, ["prlimit", "--nofile=128:128", "--"]).start();
  await during(service, `for _ in range(250): connect(${nobody.uid})\nhold()`, () => servesOthers(service));
});

test("nor is anybody locked out where it may suddenly have fewer than it counts on", async () => {
  await using service = await new Service({}, ["prlimit", "--nofile=128:128", "--"]).start();
  execFileSync("prlimit", [`--pid=${service.processId}`, "--nofile=40:40"]);
  for (let round = 0; round < 3; round++) {
    await during(service, `for _ in range(300): connect(${nobody.uid})\nhold()`, () => servesOthers(service));
    await servesOthers(service);
  }
});
