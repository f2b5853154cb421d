// deadline: 480
// The service's process that serves a login is killed at every system call by which it changes something: the person gets a
// message and what their policy says, and nothing is left after the next login.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryDirectory } from "../support/directories.ts";
import { executable } from "../support/fallthru.ts";
import {
  alice,
  carol,
  describeLogin,
  loginBy,
  makeMachine,
  startService,
  stopService,
  unmakeMachine,
  untilNothingIsLeft,
} from "../support/logins.ts";
import { tinyRoot } from "../support/roots.ts";

const socket = "/run/fallthrud/socket";
const tiny = tinyRoot();
const changing = [
  ..."mkdirat openat2 openat renameat2 linkat unlinkat write ftruncate flock fchownat fchmodat utimensat".split(" "),
  ..."fsopen fsmount open_tree move_mount mount_setattr umount2 sendto recvmsg".split(" "),
  ..."chroot fchdir unshare setgroups setresgid setresuid clone3 vfork".split(" "),
];

beforeAll(() => {
  makeMachine();
  describeLogin("strict", tiny, ["login.users=alice", "setup.nssdatabases="]);
  describeLogin("spare", tiny, ["login.users=carol", "setup.nssdatabases=", "login.on-failure=host"]);
});

afterAll(unmakeMachine);

/** A service of which strace(1) does this. */
async function traced(...options: readonly string[]): Promise<ChildProcess> {
  rmSync(socket, { force: true });
  const words = ["-f", "-qq", ...options, executable, "daemon", "--foreground"];
  const service = spawn("strace", words, { stdio: ["ignore", "ignore", "ignore"], detached: true });
  for (let tries = 0; tries < 3000 && !existsSync(socket); tries++) await sleep(10);
  // Its first worker is there then, and waits.
  await sleep(100);
  return service;
}

async function stop(service: ChildProcess): Promise<void> {
  const ended = new Promise((done) => service.on("exit", done));
  if (service.exitCode !== null || service.signalCode !== null) return;
  process.kill(-(service.pid ?? 0), "SIGKILL");
  await ended;
}

/** How often a worker makes each of these calls from when it has its client. */
async function pointsOf(): Promise<{ syscall: string; nth: number }[]> {
  const directory = temporaryDirectory("trace");
  const filter = `trace=${changing.map((name) => `?${name}`).join(",")}`;
  const service = await traced("-ff", "-o", join(directory, "trace"), "-e", "signal=none", "-e", filter);
  expect(await loginBy(alice)).toMatchObject({ status: 0, stdout: "inside\n" });
  await untilNothingIsLeft();
  await stop(service);
  const traces = readdirSync(directory).map((name) => readFileSync(join(directory, name), "utf8"));
  const worker = traces.find((trace) => trace.includes("SCM_RIGHTS") && trace.includes("move_mount("));
  const points: { syscall: string; nth: number }[] = [];
  const counts = new Map<string, number>();
  let isAsked = false;
  for (const line of worker?.split("\n") ?? []) {
    const syscall = /^\w+(?=\()/.exec(line)?.[0];
    if (syscall === undefined) continue;
    const nth = (counts.get(syscall) ?? 0) + 1;
    counts.set(syscall, nth);
    isAsked ||= line.includes("SCM_RIGHTS");
    const isLook = syscall.startsWith("openat") && !line.includes("O_CREAT");
    // Of what is made and deleted name by name, some are as good as all.
    const isDeletion = (syscall === "unlinkat" && nth > 5) || (syscall === "mkdirat" && nth > 12 && nth % 4 !== 0);
    if (isAsked && !isLook && !isDeletion) points.push({ syscall, nth });
  }
  return points;
}

test("killed at every step of a login", async () => {
  const points = await pointsOf();
  expect(points.length).toBeGreaterThan(60);
  let [refused, left] = [0, 0];
  for (const { syscall, nth } of points) {
    const at = `${syscall} ${nth}`;
    const what = ["-e", `trace=${syscall}`, "-e", `inject=${syscall}:signal=KILL:when=${nth}`];
    const service = await traced("-o", "/dev/null", ...what);
    const [strict, spare] = await Promise.all([loginBy(alice), loginBy(carol)]);
    await stop(service);
    const said = strict.stderr + spare.stderr;
    expect({ at, said, strict: strict.stdout }).toEqual({
      at,
      said,
      strict: strict.status === 0 ? "inside\n" : expect.not.stringContaining("outside"),
    });
    if (strict.stdout === "") {
      expect({ at, ...strict }).toMatchObject({
        at,
        status: 1,
        stderr: expect.stringMatching(/^fallthru: you can't log in here: |^E: The service ended the connection/m),
      });
      refused++;
    }
    // Once, whatever happens: whose shell may have been started gets no other.
    expect({ at, said, spare: spare.stdout }).toEqual({
      at,
      said,
      spare: expect.stringMatching(/^((in|out)side\n)?$/),
    });
    if (spare.stdout === "outside\n") {
      expect({ at, ...spare }).toMatchObject({
        at,
        status: 0,
        stderr: expect.stringMatching(/^fallthru: you are on this machine's own root: /m),
      });
      left++;
    } else if (spare.stdout === "")
      expect({ at, ...spare }).toMatchObject({
        at,
        status: 1,
        stderr: expect.stringContaining("The service ended the connection"),
      });
    rmSync(socket, { force: true });
    await startService();
    try {
      for (const person of [alice, carol])
        expect({ at, ...(await loginBy(person)) }).toMatchObject({ at, stdout: "inside\n" });
      await untilNothingIsLeft();
    } finally {
      await stopService();
    }
  }
  expect(Math.min(refused, left)).toBeGreaterThan(30);
});
