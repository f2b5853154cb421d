// `login enable`, `disable` and `status` on a machine's real files, as administrators use them.
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { executable, fallthru, run, type RunResult } from "../support/fallthru.ts";
import {
  coverDirectory,
  coverPrograms,
  describeLogin,
  makeMachine,
  Sshd,
  alice,
  bob,
  startService,
  uncoverDirectory,
  unmakeMachine,
  untilNothingIsLeft,
} from "../support/logins.ts";
import { tinyRoot } from "../support/roots.ts";
import { Terminal } from "../support/terminal.ts";

const lab = "/etc/schroot/chroot.d/lab.conf";
const dropIn = "/etc/ssh/sshd_config.d/fallthru-user-alice.conf";
const watched = ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/shells", lab];

beforeAll(async () => {
  makeMachine("/bin/bash");
  coverPrograms();
  mkdirSync("/run/sshd", { recursive: true });
  execFileSync("ssh-keygen", ["-A"], { stdio: "ignore" });
  // The tests' machine begins without our shell.
  writeFileSync("/etc/shells", "# /etc/shells\n/bin/sh\n/bin/bash\n");
  describeLogin("lab", tinyRoot(), ["setup.nssdatabases="]);
  await startService();
});

afterAll(async () => {
  await untilNothingIsLeft();
  uncoverDirectory("/usr/bin");
  await unmakeMachine();
});

beforeEach(() => {
  chmodSync("/etc/shells", 0o640);
});

function contents(): string[] {
  return watched.map((file) => `${readFileSync(file, "latin1")}${statSync(file).mode} ${statSync(file).uid}`);
}

function enable(...words: readonly string[]): Promise<RunResult> {
  return fallthru(["login", "enable", "--chroot", "lab", ...words]);
}

test("by the shell: shown, written, used, and taken away to the last byte", async () => {
  const before = contents();
  const shown = await enable("--user", "alice", "--dry-run");
  expect(shown.stdout).toContain(
    "-alice:x:7001:7001:alice:/home/alice:/bin/bash\n+alice:x:7001:7001:alice:/home/alice:/usr/bin/fallthru-login\n",
  );
  expect(shown.stdout).toContain("+login.users=alice\n");
  expect(contents()).toEqual(before);
  expect(await enable("--user", "alice")).toMatchObject({ status: 2, stdout: "" });
  expect(contents()).toEqual(before);
  expect(await enable("--user", "alice", "--yes")).toMatchObject({ status: 0, stdout: shown.stdout });
  expect(await enable("--user", "alice", "--yes")).toMatchObject({ status: 0, stdout: "nothing to change\n" });
  expect(await run(["su", "-l", "alice", "-c", "echo $SHELL $FALLTHRU_SESSION"], { directory: "/" })).toMatchObject({
    stdout: "/bin/sh lab-login-7001\n",
  });
  const { stdout } = await fallthru(["login", "status"]);
  expect(stdout).toBe("lab: alice\nalice: by their shell, which was /bin/bash\n");
  expect(await fallthru(["login", "disable", "--user", "alice", "--yes"])).toMatchObject({ status: 0 });
  expect(contents()).toEqual(before);
});

test("a display manager's file comes with the first and goes with the last", async () => {
  const before = contents();
  const file = "/etc/lightdm/lightdm.conf.d/50-fallthru.conf";
  const words = ["--user", "alice", "--display-manager", "lightdm", "--yes"];
  const missing = await enable(...words);
  expect([missing.status, missing.stderr]).toEqual([3, expect.stringContaining("lightdm isn't installed")]);
  mkdirSync("/etc/lightdm");
  expect((await enable(...words)).stderr).toContain("there is no /usr/share/fallthru/Xsession");
  coverDirectory("/usr/share");
  mkdirSync("/usr/share/fallthru", { recursive: true });
  writeFileSync("/usr/share/fallthru/Xsession", "#!/bin/sh\n", { mode: 0o755 });
  expect(await enable(...words)).toMatchObject({ status: 0 });
  expect(readFileSync(file, "utf8")).toBe("[Seat:*]\nsession-wrapper=/usr/share/fallthru/Xsession\n");
  expect((await fallthru(["login", "status"])).stdout).toContain("desktops: by lightdm\n");
  expect(await fallthru(["login", "disable", "--user", "alice", "--yes"])).toMatchObject({ status: 0 });
  uncoverDirectory("/usr/share");
  expect(contents()).toEqual(before);
  expect(existsSync(file)).toBe(false);
});

test("a group's people, all or none", async () => {
  const before = contents();
  expect(await enable("--group", "students", "-y")).toMatchObject({ status: 0 });
  expect(readFileSync(lab, "utf8")).toContain("login.groups=students\n");
  expect(readFileSync("/etc/passwd", "utf8").match(/:\/usr\/bin\/fallthru-login$/gm)).toHaveLength(4);
  expect(await fallthru(["login", "disable", "--group", "students", "-y"])).toMatchObject({ status: 0 });
  expect(contents()).toEqual(before);
});

test("by sshd: a file that sshd has checked, and the person's shell stays", async () => {
  const before = contents();
  const done = await enable("--user", "alice", "--via", "force-command", "--yes");
  expect(done).toMatchObject({ status: 0, stderr: "" });
  expect(readFileSync(dropIn, "utf8")).toContain("Match User alice\n    ForceCommand /usr/bin/fallthru login\n");
  await using sshd = await Sshd.start(["Include /etc/ssh/sshd_config.d/*.conf"]);
  expect(await sshd.run(alice, ["echo $FALLTHRU_SESSION $0 $SSH_ORIGINAL_COMMAND."])).toMatchObject({
    stdout: "lab-login-7001 sh .\n",
  });
  expect(await sshd.run(bob, ["echo $FALLTHRU_SESSION."])).toMatchObject({ stdout: ".\n" });
  const terminal = new Terminal(sshd.ssh(alice, "-t"));
  await terminal.until("$ ");
  terminal.type("echo $0 $FALLTHRU_SESSION; exit\n");
  await terminal.until("-sh lab-login-7001");
  await terminal.ended;
  expect(await fallthru(["login", "disable", "--user", "alice", "--yes"])).toMatchObject({ status: 0 });
  expect(contents()).toEqual(before);
});

test("what sshd wouldn't take isn't written, and neither is anything else", async () => {
  const before = contents();
  const config = readFileSync("/etc/ssh/sshd_config", "utf8");
  writeFileSync("/etc/ssh/sshd_config", config.replace(/^Include.*$/m, ""));
  const unread = await enable("--user", "alice", "--via", "force-command", "--yes");
  expect(unread).toMatchObject({ status: 1 });
  expect(unread.stderr).toContain("Include /etc/ssh/sshd_config.d/*.conf");
  writeFileSync("/etc/ssh/sshd_config", `${config}\nNoSuchOption yes\n`);
  const refused = await enable("--user", "alice", "--via", "force-command", "--yes");
  writeFileSync("/etc/ssh/sshd_config", config);
  expect(refused.stderr).toContain("sshd refuses its configuration");
  expect(contents()).toEqual(before);
  expect(await run(["ls", dropIn])).toMatchObject({ status: 2 });
});

test("the last administrator isn't locked out", async () => {
  const before = contents();
  const root = await enable("--user", "root", "--yes");
  expect(root).toMatchObject({ status: 4 });
  expect(root.stderr).toContain("the superuser must be able to administer this machine");
  execFileSync("usermod", ["-aG", "sudo", "alice"]);
  const last = await enable("--user", "alice", "--yes");
  expect(last.stderr).toContain("nobody of sudo, admin, wheel could administer this machine any more");
  expect(await enable("--group", "sudo", "--yes")).toMatchObject({ status: 4 });
  execFileSync("usermod", ["-aG", "sudo", "bob"]);
  expect(await enable("--group", "students", "--yes")).toMatchObject({ status: 4 });
  expect(await enable("--user", "alice", "--yes")).toMatchObject({ status: 0 });
  expect(await enable("--user", "bob", "--yes")).toMatchObject({ status: 4 });
  await fallthru(["login", "disable", "--user", "alice", "--yes"]);
  for (const name of ["alice", "bob"]) execFileSync("gpasswd", ["-d", name, "sudo"], { stdio: "ignore" });
  expect(contents()).toEqual(before);
});

test("on a terminal it asks, and what isn't confirmed isn't written", async () => {
  const before = contents();
  for (const [keys, status, last] of [
    ["n\n", 0, "nothing was written"],
    ["\x04", 0, "nothing was written"],
    ["\x03", 130, "interrupted: nothing was written"],
    ["y\n", 0, ""],
  ] as const) {
    const terminal = new Terminal([executable, "login", "enable", "--user", "alice", "--chroot", "lab"]);
    expect(await terminal.until("write this? [y/N] ")).toContain("+login.users=alice");
    terminal.type(keys);
    if (last !== "") await terminal.until(last);
    expect(await terminal.ended).toMatchObject({ status });
    if (last !== "") expect(contents()).toEqual(before);
    // What was shown before isn't shown again.
    else expect(terminal.output.split("+login.users=alice")).toHaveLength(2);
  }
  expect(readFileSync("/etc/passwd", "utf8")).toContain("alice:/usr/bin/fallthru-login");
  await fallthru(["login", "disable", "--user", "alice", "--yes"]);
  expect(contents()).toEqual(before);
});

test("status names what keeps people out, and what lets them past", async () => {
  expect(await enable("--user", "alice", "--yes")).toMatchObject({ status: 0 });
  const config = readFileSync("/etc/ssh/sshd_config", "utf8");
  writeFileSync(
    "/etc/ssh/sshd_config",
    config.replace(/^Subsystem.*$/m, "Subsystem sftp internal-sftp\nAcceptEnv GIT_* BUN_*\nPermitUserEnvironment yes"),
  );
  execFileSync("usermod", ["--shell", "/usr/bin/fallthru-login", "bob"]);
  const { status, stdout } = await fallthru(["login", "status"]);
  expect(status).toBe(1);
  expect(stdout).toContain("problem: bob can't log in: no chroot is their login\n");
  expect(stdout).toContain("problem: sshd serves files by itself");
  expect(stdout).toContain("problem: sshd takes AcceptEnv BUN_* from people: ");
  expect(stdout).not.toContain("GIT_*");
  expect(stdout).toContain("problem: sshd has PermitUserEnvironment: ");
  writeFileSync("/etc/ssh/sshd_config", config);
  execFileSync("usermod", ["--shell", "/bin/bash", "bob"]);
  await fallthru(["login", "disable", "--user", "alice", "--yes"]);
});

test.each([
  [["--chroot", "lab", "--yes"], 2, "whose login?"],
  [["--user", "alice", "--yes"], 2, "sessions of which chroot?"],
  [["--user", "nobody-such", "--chroot", "lab", "--yes"], 3, "no user nobody-such"],
  [["--user", "alice", "--chroot", "nowhere", "--yes"], 3, `no chroot "nowhere"`],
  [["--user", "a:b", "--chroot", "lab", "--yes"], 2, "is no name of a user or group"],
])("login enable %p is refused", async (words, status, message) => {
  const ended = await fallthru(["login", "enable", ...words]);
  expect(ended.status).toBe(status);
  expect(ended.stderr).toContain(message);
});

test("limits with which our program doesn't start are named, by file and line", async () => {
  writeFileSync(
    "/etc/security/limits.d/lab.conf",
    "# as\n@students hard as 2000000\n* - data unlimited\n* soft data 4000000\n* hard nproc 100\n",
  );
  const said =
    "/etc/security/limits.d/lab.conf:2: a limit of as below 3145728 (3 GiB) keeps our program from starting, and @students";
  const { stderr } = await enable("--user", "alice", "--dry-run");
  expect(stderr).toContain(`fallthru: warning: ${said}`);
  expect(stderr.match(/warning/g)).toHaveLength(1);
  expect((await enable("--user", "alice", "--yes")).status).toBe(0);
  const { status, stdout } = await fallthru(["login", "status"]);
  expect([status, stdout]).toEqual([1, expect.stringContaining(`problem: ${said}`)]);
  // It is so: with that little nothing of ours starts, and with a little more than is asked for it does.
  const start = (kib: number): Promise<RunResult> =>
    run(["sh", "-c", `ulimit -v ${kib}; exec "$0" --version`, executable]);
  expect((await start(2_000_000)).status).not.toBe(0);
  expect((await start(3_145_728)).status).toBe(0);
  writeFileSync("/etc/security/limits.d/lab.conf", "");
  expect((await fallthru(["login", "disable", "--user", "alice", "--yes"])).status).toBe(0);
});
