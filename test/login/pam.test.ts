// deadline: 200
// PAM's session lines: opening counts a login, closing ends what is over; written and taken away by enable and disable.
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryDirectory } from "../support/directories.ts";
import { fallthru, run } from "../support/fallthru.ts";
import {
  alice,
  coverPrograms,
  describeLogin,
  makeMachine,
  ownProcesses,
  sessions,
  Sshd,
  startService,
  uncoverDirectory,
  unmakeMachine,
  untilNothingIsLeft,
} from "../support/logins.ts";
import { tinyRoot } from "../support/roots.ts";
import { Terminal } from "../support/terminal.ts";

const line = "session optional pam_exec.so seteuid quiet /usr/bin/fallthru login-pam";
/** For services whose people set variables of their own before they close. */
const opening = "session optional pam_exec.so type=open_session seteuid quiet /usr/bin/fallthru login-pam";
const service = "/etc/pam.d/fallthru-test";
const seen = join(temporaryDirectory("pam"), "seen");
let before: string;

beforeAll(async () => {
  makeMachine("/bin/bash");
  coverPrograms();
  describeLogin("lab", tinyRoot(), ["setup.nssdatabases="]);
  describeLogin("apart", tinyRoot(), ["login.users=carol", "login.session=login", "setup.nssdatabases="]);
  before = readFileSync("/etc/pam.d/su-l", "utf8");
  await startService();
  const enabled = ["login", "enable", "--user", "alice", "--chroot", "lab", "--pam", "sshd", "--pam", "su-l", "--yes"];
  const { stdout } = await fallthru(enabled);
  expect(stdout).toContain(`+++ /etc/pam.d/su-l\n`);
  expect(stdout).toContain(`+${line}\n`);
  expect(readFileSync("/etc/pam.d/sshd", "utf8")).toContain(`\n${opening}\n`);
  // What is there after ours have been run.
  const look = `session optional pam_exec.so seteuid /bin/sh -c "echo $PAM_TYPE $(ls /var/lib/fallthru/sessions) >>${seen}"`;
  writeFileSync(service, `auth required pam_permit.so\naccount required pam_permit.so\n${line}\n${bracketed(look)}\n`);
});

/** PAM takes words with blanks in brackets. */
function bracketed(text: string): string {
  return text.replace(/"(.*)"/, (_, script: string) => `[${script}]`);
}

afterEach(() => untilNothingIsLeft());

afterAll(async () => {
  uncoverDirectory("/usr/bin");
  await unmakeMachine();
});

function pamtester(user: string, ...operations: readonly string[]): ReturnType<typeof run> {
  return run(["pamtester", "fallthru-test", user, ...operations], { directory: "/" });
}

test("pamtester: open begins the session, close ends it before it returns; of others nothing is begun", async () => {
  expect(await pamtester("alice", "open_session", "close_session")).toMatchObject({ status: 0 });
  await untilNothingIsLeft();
  for (const user of ["bob", "carol", "root"]) {
    expect(await pamtester(user, "open_session", "close_session")).toMatchObject({ status: 0 });
  }
  const [opened, closed, ...others] = readFileSync(seen, "utf8").trim().split("\n");
  expect([opened, closed]).toEqual(["open_session lab-login-7001", "close_session"]);
  expect(others).toEqual([
    "open_session",
    "close_session",
    "open_session",
    "close_session",
    "open_session",
    "close_session",
  ]);
});

test("two are counted: the session outlives the first close, and is gone after all; one without an open does nothing", async () => {
  rmSync(seen);
  const operations = ["open_session", "open_session", "close_session", "close_session", "close_session"];
  expect(await pamtester("alice", "close_session", ...operations)).toMatchObject({ status: 0 });
  expect(readFileSync(seen, "utf8").trim().split("\n")).toEqual([
    "close_session",
    "open_session lab-login-7001",
    "open_session lab-login-7001",
    "close_session lab-login-7001",
    "close_session",
    "close_session",
  ]);
  expect(ownProcesses("login-count")).toEqual([]);
});

/** Shell's words: PAM's module called by this very shell, as a program that opens and closes does. */
const pam = (type: "open" | "close", user: string): string =>
  `PAM_TYPE=${type}_session PAM_USER=${user} /usr/bin/fallthru login-pam`;

test("close ends only what its own program opened, for its own user, and as root", async () => {
  const look = "ls /var/lib/fallthru/sessions";
  const other = `sh -c '${pam("close", "alice")}; :'`;
  const asAlice = `setpriv --reuid=7001 --regid=7001 --clear-groups -- sh -c '${pam("close", "alice")}' 2>&1`;
  const words = [pam("open", "alice"), pam("close", "bob"), other, `${asAlice} || echo status $?`, look];
  const script = [...words, pam("close", "alice"), look, "echo end"].join("; ");
  expect(await run(["sh", "-c", script], { directory: "/" })).toMatchObject({
    status: 0,
    stderr: "",
    stdout:
      "fallthru: PAM has to call this with root's rights\nhint: write seteuid into its line: docs/login.md\nstatus 1\nlab-login-7001\nend\n",
  });
});

test("close after what counts was killed, and closes that are killed, leave nothing", async () => {
  const count = "$(pgrep -f '^[^ ]*fallthru login-count')";
  const killed = `${pam("open", "alice")}; kill -9 ${count}; ${pam("close", "alice")}; echo $?; ls -A /run/fallthru/counted`;
  expect(await run(["sh", "-c", killed], { directory: "/" })).toMatchObject({ stdout: "0\n" });
  // Nobody is left whose leaving would end it: the next login or recover does.
  await fallthru(["recover"]);
  for (const ms of ["0.003", "0.01", "0.02", "0.04", "0.08"]) {
    const script = `${pam("open", "alice")}; ${pam("close", "alice")} & sleep ${ms}; kill -9 $!; ${pam("close", "alice")}`;
    await run(["sh", "-c", script], { directory: "/" });
    await untilNothingIsLeft();
  }
  expect(readdirSync("/run/fallthru/counted")).toEqual([]);
});

test("close waits for what minds no signal, and that is killed", async () => {
  const inside = `fallthru run @lab-login-7001 -- sh -c 'trap "" TERM HUP; sleep 1000' >/dev/null 2>&1 </dev/null &`;
  const script = `${pam("open", "alice")}; ${inside} sleep 0.5; ${pam("close", "alice")}; ls /var/lib/fallthru/sessions; echo end`;
  expect(await run(["sh", "-c", script], { directory: "/" })).toMatchObject({ stdout: "end\n" });
});

test("who never closes, as they end or are killed, leaves nothing", async () => {
  expect(await pamtester("alice", "open_session")).toMatchObject({ status: 0 });
  await untilNothingIsLeft();
  const script = "pamtester fallthru-test alice open_session open_session; kill -9 $$";
  expect(await run(["sh", "-c", script], { directory: "/" })).toMatchObject({ signal: "SIGKILL" });
});

test("a connection's commands have one session together, which goes with the connection", async () => {
  await using sshd = await Sshd.start();
  const control = join(temporaryDirectory("control"), "socket");
  const master = spawn("ssh", [...sshd.options(), "-M", "-S", control, "-N", "alice@127.0.0.1"], { stdio: "ignore" });
  while (!existsSync(control)) await sleep(10);
  const inside = (command: string): ReturnType<typeof run> =>
    run(["ssh", ...sshd.options(), "-S", control, "alice@127.0.0.1", command]);
  expect(await inside("echo here >~/file; echo $FALLTHRU_SESSION")).toMatchObject({ stdout: "lab-login-7001\n" });
  expect(await inside("cat ~/file")).toMatchObject({ stdout: "here\n" });
  expect(sessions()).toEqual(["lab-login-7001"]);
  master.kill("SIGTERM");
  await untilNothingIsLeft();
  expect(existsSync("/home/alice/file")).toBe(false);
});

test("variables that people set for their sessions don't reach what has root's rights", async () => {
  await using sshd = await Sshd.start();
  // The loader would write, as whoever it starts.
  const variables = "LD_DEBUG DEFAULT=files\nLD_DEBUG_OUTPUT DEFAULT=/home/alice/loaded\nPROBE DEFAULT=set\n";
  writeFileSync("/home/alice/.pam_environment", variables);
  chownSync("/home/alice/.pam_environment", alice.uid, alice.uid);
  expect(await sshd.run(alice, ["echo $PROBE"])).toMatchObject({ stdout: "set\n" });
  await untilNothingIsLeft();
  const owners = readdirSync("/home/alice").filter((name) => name.startsWith("loaded"));
  expect(owners.filter((name) => statSync(`/home/alice/${name}`).uid === 0)).toEqual([]);
  rmSync("/home/alice/.pam_environment");
  for (const name of owners) rmSync(`/home/alice/${name}`);
  const early = `auth required pam_env.so user_readenv=1\n`;
  writeFileSync("/etc/pam.d/early", early);
  const refused = await fallthru(["login", "enable", "--user", "bob", "--chroot", "lab", "--pam", "early", "--yes"]);
  expect([refused.status, readFileSync("/etc/pam.d/early", "utf8")]).toEqual([7, early]);
});

test("who is asked what to keep is asked when their last shell ends, though PAM still counts the login", async () => {
  describeLogin("asking", tinyRoot(), ["login.users=dave", "login.keep=ask", "setup.nssdatabases="]);
  execFileSync("usermod", ["--shell", "/usr/bin/fallthru-login", "dave"]);
  const terminal = new Terminal(["su", "-l", "dave"], { directory: "/" });
  await terminal.until("$ ");
  terminal.type("echo x >~/made; exit\n");
  await terminal.until("[d]rop everything? ");
  terminal.type("s\n");
  await terminal.ended;
  expect(readFileSync("/home/dave/made", "utf8")).toBe("x\n");
});

test("su -l twice: the first one's close leaves the second's session", async () => {
  const command = ["su", "-l", "alice", "-c", "echo mine >>~/file; sleep $0; cat ~/file", "1"];
  const [long, short] = await Promise.all([
    run(command, { directory: "/" }),
    run(["su", "-l", "alice", "-c", "echo mine >>~/file"], { directory: "/" }),
  ]);
  expect(long.stdout).toBe("mine\nmine\n");
  expect(short).toMatchObject({ status: 0, stderr: "" });
});

test("what counts is killed: the shell goes on, and nothing is left after it", async () => {
  const login = run(["su", "-l", "alice", "-c", "sleep 1; id -un"], { directory: "/" });
  let counting: number[] = [];
  for (let tries = 0; counting.length === 0 && tries < 3000; tries++) {
    await sleep(10);
    counting = ownProcesses("login-count");
  }
  expect(counting).toHaveLength(1);
  for (const pid of counting) process.kill(pid, "SIGKILL");
  expect(await login).toMatchObject({ status: 0, stdout: "alice\n" });
});

test("an unreadable description or a missing service keeps nobody from PAM's session", async () => {
  appendFileSync("/etc/schroot/chroot.d/lab.conf", "login.home=nowhere\n");
  expect(await pamtester("alice", "open_session", "close_session")).toMatchObject({ status: 0 });
  const text = readFileSync("/etc/schroot/chroot.d/lab.conf", "utf8");
  writeFileSync("/etc/schroot/chroot.d/lab.conf", text.replace("login.home=nowhere\n", ""));
});

test("status names the services; disable takes the lines away with the last login, to the byte", async () => {
  expect((await fallthru(["login", "status"])).stdout).toContain("counted by PAM: fallthru-test, sshd, su-l\n");
  writeFileSync(service, "");
  expect(await fallthru(["login", "enable", "--user", "bob", "--chroot", "lab", "--yes"])).toMatchObject({ status: 0 });
  await fallthru(["login", "disable", "--user", "alice", "--yes"]);
  expect(readFileSync("/etc/pam.d/su-l", "utf8")).toContain(line);
  // Carol's own chroot isn't one that enable wrote.
  await fallthru(["login", "disable", "--user", "bob", "--yes"]);
  await fallthru(["login", "disable", "--user", "carol", "--yes"]);
  await fallthru(["login", "disable", "--user", "dave", "--yes"]);
  expect(readFileSync("/etc/pam.d/su-l", "utf8")).toBe(before);
  const refused = await fallthru([
    "login",
    "enable",
    "--user",
    alice.name,
    "--chroot",
    "lab",
    "--pam",
    "../x",
    "--yes",
  ]);
  expect(refused).toMatchObject({ status: 3 });
  expect(refused.stderr).toContain('PAM has no service "../x"');
});
