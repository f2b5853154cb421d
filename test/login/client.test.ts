// deadline: 240
// A login's client is killed at every system call from where it looks for the service: at most one shell, in the session, which ends
// with its client; and nothing is left. test/login/killed.test.ts does it to who serves it.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../support/directories.ts";
import { run, type RunResult } from "../support/fallthru.ts";
import {
  alice,
  bob,
  describeLogin,
  firstProcesses,
  loginBy,
  makeMachine,
  type Person,
  startService,
  tellWhere,
  unmakeMachine,
  untilNothingIsLeft,
} from "../support/logins.ts";
import { tinyRoot } from "../support/roots.ts";

beforeAll(async () => {
  makeMachine();
  const common = ["setup.nssdatabases=", "login.on-failure=host"];
  describeLogin("free", tinyRoot(), ["login.users=alice", ...common]);
  describeLogin("bound", tinyRoot(), ["login.users=bob", "login.sudo=yes", ...common]);
  await startService();
});

afterAll(unmakeMachine);

/** A login whose client strace(1) does this to. */
function login(person: Person, ...options: readonly string[]): Promise<RunResult> {
  return loginBy(person, { inner: ["strace", "-qq", ...options], script: `${tellWhere}; sleep 0.1` });
}

/** What is waited for and made ready in memory changes nothing that others see. */
const dull = /^(futex|madvise|mmap|munmap|mprotect|newfstatat|rt_sig\w+|brk|sched_\w+|lseek)$/;

async function pointsOf(person: Person): Promise<{ syscall: string; nth: number }[]> {
  const trace = join(temporaryDirectory("trace"), "trace");
  await run(["install", "-m", "666", "/dev/null", trace]);
  await run(["chmod", "755", join(trace, "..")]);
  expect(await login(person, "-o", trace, "-e", "signal=none")).toMatchObject({ status: 0, stdout: "inside\n" });
  await untilNothingIsLeft();
  const points: { syscall: string; nth: number }[] = [];
  const counts = new Map<string, number>();
  let isAsking = false;
  for (const line of readFileSync(trace, "utf8").split("\n")) {
    const syscall = /^\w+(?=\()/.exec(line)?.[0];
    if (syscall === undefined) continue;
    const nth = (counts.get(syscall) ?? 0) + 1;
    counts.set(syscall, nth);
    isAsking ||= syscall === "socket";
    if (isAsking && !dull.test(syscall)) points.push({ syscall, nth });
  }
  return points;
}

test.each([alice, bob])("the client of %o", async (person) => {
  const points = await pointsOf(person);
  expect(points.length).toBeGreaterThan(15);
  let inside = 0;
  for (const { syscall, nth } of points) {
    const at = `${syscall} ${nth}`;
    const killed = await login(person, "-o", "/dev/null", "-e", `inject=${syscall}:signal=KILL:when=${nth}`);
    expect({ at, ...killed }).toMatchObject({ at, stdout: expect.stringMatching(/^(inside\n)?$/) as string });
    if (killed.stdout !== "") inside++;
    await untilNothingIsLeft(10_000);
    expect(firstProcesses()).toEqual([]);
  }
  expect(inside).toBeGreaterThan(0);
  expect(await login(person, "-o", "/dev/null")).toMatchObject({ status: 0, stdout: "inside\n" });
  await untilNothingIsLeft();
});
