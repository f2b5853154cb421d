// What a login costs as a session: `node_modules/.bin/bun bench/login.ts [--rounds=N] [--logins=N] [--root=DIR] [--sudo=yes]`.
// The same login without us, with us, and as people did it with schroot: a script that begins, runs in and ends a session.
import { spawn } from "node:child_process";
import { appendFileSync, chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as logins from "../test/support/logins.ts";
import {
  Clock,
  machine,
  markdown,
  numberOption,
  plainTable,
  run,
  type Row,
  shortTime,
  table,
  textOption,
} from "./measure.ts";
import { inPrivatePlace } from "./place.ts";
import { debianRoot } from "./roots.ts";

const { alice, bob, carol, dave, program, sessions, workers } = logins;
const { describeLogin, makeMachine, Sshd, startService, unmakeMachine, untilNothingIsLeft } = logins;

const rounds = numberOption("rounds", 21);
const count = numberOption("logins", 200);
const sudo = `login.sudo=${textOption("sudo") ?? "no"}`;

/** Four people: without us; a view of the machine; a chroot of ours; the same chroot by schroot's three commands. */
const kinds = [
  { person: carol, name: "a plain login" },
  { person: alice, name: "a view of this machine" },
  { person: bob, name: "a session of a chroot" },
  { person: dave, name: "schroot -b, -r, -e" },
] as const;

function layLogins(base: string, root: string): void {
  makeMachine("/bin/bash");
  const passwd = readFileSync("/etc/passwd", "utf8");
  const script = join(base, "schroot-login");
  writeFileSync(
    script,
    `#!/bin/sh\nid=$(/usr/bin/schroot -b -c chroot) || exit 1\n/usr/bin/schroot -d / -r -c "$id" -- /bin/sh "$@"\nstatus=$?\n/usr/bin/schroot -e -c "$id"\nexit $status\n`,
  );
  chmodSync(script, 0o755);
  const shells = [
    ["alice", program.replace(/fallthru$/, "fallthru-login")],
    ["dave", script],
  ] as const;
  const set = (text: string, [name, shell]: readonly [string, string]): string =>
    text.replace(new RegExp(`^(${name}:.*):[^:]*$`, "m"), `$1:${shell}`);
  writeFileSync("/etc/passwd", [...shells, ["bob", shells[0][1]] as const].reduce(set, passwd));
  appendFileSync("/etc/shells", `${script}\n`);
  describeLogin("machine", "/", ["login.users=alice", "login.shell=/bin/bash", sudo]);
  describeLogin("chroot", root, ["users=dave", "login.users=bob", "login.shell=/bin/sh", sudo]);
}

async function measure(command: (person: logins.Person) => readonly string[]): Promise<Clock> {
  let clock = new Clock();
  for (let round = 0; round <= rounds; round++) {
    for (const { person, name } of kinds) {
      clock.time(name, () => run(command(person)));
      await untilNothingIsLeft(20_000);
    }
    if (round === 0) clock = new Clock();
  }
  return clock;
}

function rowsOf(what: string, clock: Clock): Row[] {
  const [plain, view, chroot, schroot] = kinds.map(({ name }) => clock.get(name));
  if (plain === undefined || view === undefined || chroot === undefined || schroot === undefined) return [];
  return [
    { what: `${what}: ${kinds[1].name}, and without us`, ours: view, theirs: plain, ratio: "slower" },
    { what: `${what}: ${kinds[2].name}, and without us`, ours: chroot, theirs: plain, ratio: "slower" },
    ...(
      [
        [kinds[1].name, view],
        [kinds[2].name, chroot],
      ] as const
    ).map(([name, ours]): Row => {
      const title = `${what}: ${name}, less the plain one's time; schroot's way likewise`;
      return { what: title, ours: less(ours, plain), theirs: less(schroot, plain), ratio: "faster", wanted: 5 };
    }),
  ];
}

/** What is added to a plain login. */
function less(series: ReturnType<Clock["get"]>, plain: ReturnType<Clock["get"]>): ReturnType<Clock["get"]> {
  const without = (ms: number): number => ms - plain.median;
  return { median: without(series.median), min: without(series.min), max: without(series.max), count: series.count };
}

function client({ uid }: logins.Person, words: readonly string[]): string[] {
  return ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--", program, "login", "--", ...words];
}

/** All of them at once, until the last has ended; then until nothing is left. */
async function measureMany(): Promise<string> {
  const start = performance.now();
  const statuses = await Promise.all(
    Array.from({ length: count }, (_, index) => {
      const [file = "", ...args] = client(index % 2 === 0 ? alice : bob, ["/bin/true"]);
      const child = spawn(file, args, { cwd: "/", stdio: "ignore" });
      return new Promise<number | null>((done) => child.on("exit", done));
    }),
  );
  const all = performance.now() - start;
  const left = await untilNothingIsLeft(20_000);
  const failed = statuses.filter((status) => status !== 0).length;
  return `${count} logins of two people at once: ${failed} failed, the last ended after ${shortTime(all)} ms, nothing was left ${shortTime(left)} ms later`;
}

/** Kilobytes that are a process's alone, and its share of what others have too. @see proc_pid_smaps(5) */
function memoryOf(pid: number): { own: number; share: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const sum = (pattern: RegExp): number => [...text.matchAll(pattern)].reduce((total, [, kB]) => total + Number(kB), 0);
  return { own: sum(/^Private_\w+: +(\d+) kB$/gm), share: sum(/^Pss: +(\d+) kB$/gm) };
}

async function measureIdle(): Promise<string> {
  const logins = Array.from({ length: 20 }, () => {
    const [file = "", ...args] = client(alice, ["/bin/sleep", "1000"]);
    return spawn(file, args, { cwd: "/", stdio: "ignore" });
  });
  const isInside = (pid: number): boolean => readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("client");
  const busy = (): number[] => workers().filter(isInside);
  const sleepers = (): number =>
    readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && commandOf(pid) === "sleep").length;
  while (busy().length < logins.length || sleepers() < logins.length) await new Promise((done) => setTimeout(done, 50));
  await new Promise((done) => setTimeout(done, 1000));
  const mean = (pids: readonly number[], part: "own" | "share"): string =>
    (pids.reduce((sum, pid) => sum + memoryOf(pid)[part], 0) / pids.length / 1024).toFixed(1);
  const clients = logins.flatMap(({ pid }) => pid ?? []);
  const rows = [
    ["one of 20 idle logins", "its own, MiB", "with its share of what is common, MiB"],
    ["the client", mean(clients, "own"), mean(clients, "share")],
    ["what serves it", mean(busy(), "own"), mean(busy(), "share")],
  ];
  for (const login of logins) login.kill("SIGKILL");
  await untilNothingIsLeft(20_000);
  return markdown(rows);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return ""; // It has just ended.
  }
}

await inPrivatePlace(async ({ base }) => {
  console.log(`${machine()}\n`);
  layLogins(base, debianRoot("minbase", "minbase"));
  await startService();
  const sshd = await Sshd.start();
  run(["su", "-l", "alice", "-c", "true"]); // makes the state directory
  await untilNothingIsLeft(20_000);
  const ssh = await measure((person) => sshd.ssh(person, "true"));
  const su = await measure(({ name }) => ["su", "-l", name, "-c", "true"]);
  console.log(table("ours", "other", [...rowsOf("ssh", ssh), ...rowsOf("su -l", su)]));
  for (const [what, clock] of [
    ["ssh", ssh],
    ["su -l", su],
  ] as const) {
    console.log(`\n${plainTable(kinds.map(({ name }) => [`${what}: ${name}`, clock.get(name)]))}`);
  }
  console.log(`\n${await measureMany()}\n\n${await measureIdle()}`);
  await sshd[Symbol.asyncDispose]();
  if (sessions().length > 0) console.log(`left: ${sessions().join(" ")}`);
  await unmakeMachine();
});
