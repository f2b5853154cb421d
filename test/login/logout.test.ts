// deadline: 200
// The ways in which schroot's logouts leak (a signal to the terminal's whole group, a kill of what begins or ends the session, a
// command that minds no signal), at many moments of a login: ours leave nothing, and the next login works.
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../support/fallthru.ts";
import {
  alice,
  describeLogin,
  makeMachine,
  program,
  startService,
  unmakeMachine,
  untilNothingIsLeft,
  workers,
} from "../support/logins.ts";
import { tinyRoot } from "../support/roots.ts";

const login = [
  "setpriv",
  `--reuid=${alice.uid}`,
  `--regid=${alice.uid}`,
  "--clear-groups",
  "--",
  program,
  "login",
  "--",
];
/** From before the session's begin to after its end, where nothing else runs; later where much does. */
const momentsMs = [0, 10, 20, 30, 40, 55, 70, 90, 120, 160];

beforeAll(async () => {
  makeMachine();
  describeLogin("tiny", tinyRoot(), ["login.users=alice", "setup.nssdatabases="]);
  await startService();
});

beforeEach(async () => {
  expect(await run([...login, "echo", "in"], { directory: "/" })).toMatchObject({ status: 0, stdout: "in\n" });
  await untilNothingIsLeft();
});

afterAll(unmakeMachine);

/** A login in a process group of its own, as a terminal's. */
function start(...command: readonly string[]): { readonly pid: number; readonly ended: Promise<unknown> } {
  const [file = "", ...words] = [...login, ...command];
  const child = spawn(file, words, { cwd: "/", stdio: "ignore", detached: true });
  return { pid: child.pid ?? 0, ended: new Promise((done) => child.on("exit", done)) };
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    expect(error).toMatchObject({ code: "ESRCH" });
  }
}

test.each(["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"] as const)("%s to the whole group", async (signal) => {
  for (const ms of momentsMs) {
    const { pid, ended } = start("sh", "-c", "sleep 0.03");
    await sleep(ms);
    signalGroup(pid, signal);
    await ended;
    expect({ signal, ms, left: await untilNothingIsLeft() }).toMatchObject({ signal, ms });
  }
});

test("kill -9 of what begins, serves or ends the session", async () => {
  for (const ms of momentsMs) {
    const { ended } = start("sh", "-c", "sleep 0.03");
    await sleep(ms);
    for (const pid of workers().filter(isServing)) process.kill(pid, "SIGKILL");
    await ended;
    expect({ ms, left: await untilNothingIsLeft() }).toMatchObject({ ms });
  }
});

function isServing(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("client");
  } catch {
    return false; // It has just ended.
  }
}

test("a command that minds neither TERM nor HUP, and what it left running, end with the login", async () => {
  for (const signal of ["SIGTERM", "SIGHUP", "SIGKILL"] as const) {
    const { pid, ended } = start(
      "sh",
      "-c",
      "trap '' TERM HUP; sh -c 'trap \"\" TERM HUP; sleep 1000' & sleep 1000; sleep 1000",
    );
    await sleep(200);
    signalGroup(pid, signal);
    signalGroup(pid, "SIGKILL");
    await ended;
    expect({ signal, left: await untilNothingIsLeft() }).toMatchObject({ signal });
  }
});
