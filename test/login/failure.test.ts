// deadline: 300
// What a person gets where a login fails, whatever it is that fails: a message and no shell, or a message and their shell on the
// machine's own root where the administrator chose that. Never another root than that, and nothing is left.
import { beforeAll, expect, test } from "bun:test";
import { chmodSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { leaveNothing } from "../support/loginhooks.ts";
import {
  alice,
  carol,
  describeLogin,
  loginBy,
  makeMachine,
  servicePid,
  startService,
  stopService,
  untilNothingIsLeft,
  workers,
} from "../support/logins.ts";
import { tinyRoot } from "../support/roots.ts";

const socket = "/run/fallthrud/socket";
const tiny = tinyRoot();
const [inside, outside] = ["inside\n", "outside\n"];

beforeAll(async () => {
  makeMachine();
  describeLogin("strict", tiny, ["login.users=alice", "setup.nssdatabases="]);
  describeLogin("spare", tiny, ["login.users=carol", "setup.nssdatabases=", "login.on-failure=host"]);
  await startService();
});

leaveNothing();

/** Both get what they are to, with a message. */
async function expectRefusal(what: RegExp, inner: readonly string[] = []): Promise<void> {
  const [strict, spare] = await Promise.all([loginBy(alice, { inner }), loginBy(carol, { inner })]);
  expect(strict).toMatchObject({ status: 1, stdout: "" });
  expect(strict.stderr).toMatch(/^fallthru: you can't log in here: /);
  expect(strict.stderr).toMatch(what);
  expect(spare).toMatchObject({ status: 0, stdout: outside });
  expect(spare.stderr).toMatch(/^fallthru: you are on this machine's own root: /);
  expect(spare.stderr).toMatch(what);
}

async function expectLogins(): Promise<void> {
  for (const person of [alice, carol]) expect(await loginBy(person)).toMatchObject({ status: 0, stdout: inside });
}

test("the service hangs (SIGSTOP): who logs in is told so in time, and in when it goes on", async () => {
  await expectLogins();
  process.kill(servicePid(), "SIGSTOP");
  const start = performance.now();
  try {
    // What the machine knows of the strict one's pipes it forgets when the service goes on.
    const refused = expectRefusal(
      /The service doesn't answer: it hangs, or serves as many as it can\nhint: try again later/,
    );
    await sleep(75_000);
    process.kill(servicePid(), "SIGCONT");
    await refused;
  } finally {
    process.kill(servicePid(), "SIGCONT");
  }
  expect(performance.now() - start).toBeLessThan(120_000);
  await untilNothingIsLeft();
  await expectLogins();
});

test("what would serve hangs, or is killed before it has a shell", async () => {
  for (const signal of ["SIGSTOP", "SIGKILL"] as const) {
    const stopped = workers();
    for (const pid of stopped) process.kill(pid, signal);
    if (signal === "SIGSTOP") {
      const refused = expectRefusal(/The service doesn't answer/);
      await sleep(75_000);
      for (const pid of stopped) process.kill(pid, "SIGCONT");
      await refused;
    }
    await untilNothingIsLeft();
    await expectLogins();
  }
});

test("nobody listens, the socket refuses, or who listens goes away or talks nonsense", async () => {
  chmodSync(socket, 0o600);
  await expectRefusal(/EACCES/);
  chmodSync(socket, 0o666);
  await stopService();
  await expectRefusal(/The service isn't running/);
  rmSync(socket);
  for (const [answer, what] of [
    [undefined, /The service ended the connection/],
    [Buffer.from([1, 0, 0, 0, 99]), /unknown kind 99/],
    [Buffer.from([255, 255, 255, 255]), /./],
  ] as const) {
    const server = createServer((client: Socket) => {
      client.on("error", () => {});
      client.once("data", () => (answer === undefined ? client.destroy() : client.end(answer)));
    });
    await new Promise<void>((done) => server.listen(socket, done));
    chmodSync(socket, 0o666);
    await expectRefusal(what);
    await new Promise((done) => server.close(done));
  }
  rmSync(socket, { force: true });
  await startService();
  await expectLogins();
});
