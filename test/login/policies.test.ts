// deadline: 240
// What a login's policy says, each against the real thing: what is kept and shared, limits, time, network, who people are.
import { beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cgroups } from "../support/cgroup.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { fallthru, run, type RunResult } from "../support/fallthru.ts";
import { leaveNothing } from "../support/loginhooks.ts";
import {
  alice,
  closeTerminals,
  coverDirectory,
  describeLogin,
  loginOn,
  makeMachine,
  program,
  sessions,
  Sshd,
  startService,
  uncoverDirectory,
  untilNothingIsLeft,
} from "../support/logins.ts";
import { debianRoot, tinyRoot } from "../support/roots.ts";
import type { Terminal } from "../support/terminal.ts";

const home = "/home/alice";
const id = "policy-login-7001";
const shared = temporaryDirectory("shared");

beforeAll(async () => {
  makeMachine();
  chmodSync(shared, 0o777);
  await startService();
});

leaveNothing();

/** Alice's logins are from now on these. */
function policy(root: string, ...keys: readonly string[]): void {
  const shell = root === "/" ? "/bin/bash" : "/bin/sh";
  describeLogin("policy", root, ["login.users=alice", `login.shell=${shell}`, "setup.nssdatabases=", ...keys]);
}

/** A file of alice's own. */
function write(name: string, text: string): void {
  writeFileSync(`${home}/${name}`, text);
  chownSync(`${home}/${name}`, alice.uid, alice.uid);
}

function su(command: string, name = "alice"): Promise<RunResult> {
  return run(["su", "-l", name, "-c", command], { directory: "/", timeoutMs: 60_000 });
}

/** What a shell says to a command. */
async function ask(terminal: Terminal, command: string): Promise<string> {
  terminal.type(`${command}; echo do''ne\n`);
  return (await terminal.until("done\r\n")).replaceAll("\r\n", "\n");
}

test("home=real keeps, copy and tmpfs don't; a copy begins as what is there, tmpfs empty", async () => {
  const script = "cat ~/old || echo none; echo new >~/new";
  for (const [kind, found, isKept] of [
    ["real", "old\n", true],
    ["copy", "old\n", false],
    ["tmpfs", "none\n", false],
  ] as const) {
    for (const root of ["/", tinyRoot()]) {
      rmSync(`${home}/new`, { force: true });
      write("old", "old\n");
      policy(root, `login.home=${kind}`);
      expect({ kind, root, ...(await su(script)) }).toMatchObject({ kind, root, status: 0, stdout: found });
      await untilNothingIsLeft();
      expect({ kind, root, kept: existsSync(`${home}/new`) }).toEqual({ kind, root, kept: isKept });
    }
  }
});

test("upper in memory with a quota: who fills it is told so, and goes on; too small a one lets nobody in, with the reason", async () => {
  policy("/", "login.upper=tmpfs:4M");
  const script = "head -c 8000000 /dev/zero >/var/tmp/big; echo status $?; rm /var/tmp/big; echo on >~/on; cat ~/on";
  const { stdout, stderr } = await su(script);
  expect(stderr).toContain("No space left on device");
  expect(stdout).toBe("status 1\non\n");
  policy("/", "login.upper=tmpfs:4k");
  const refused = await su("id");
  expect(refused).toMatchObject({ status: 1, stdout: "" });
  expect(refused.stderr).toMatch(/^fallthru: you can't log in here: .*(ENOSPC|full)/m);
});

test("ttl: gc ends it when its time is over, not before", async () => {
  policy(tinyRoot(), "login.ttl=8s");
  const terminal = await loginOn();
  const start = performance.now();
  expect(JSON.parse((await fallthru(["gc", "--json"])).stdout)).toMatchObject({ ended: [] });
  expect(sessions()).toEqual([id]);
  await sleep(Math.max(0, 8100 - (performance.now() - start)) + 500);
  expect(JSON.parse((await fallthru(["gc", "--json"])).stdout)).toMatchObject({ ended: [id] });
  await terminal.ended;
  await untilNothingIsLeft();
  expect(await su("echo again")).toMatchObject({ stdout: "again\n" });
});

test("memory, pids and cpus are those of all of a person's logins together", async () => {
  policy("/", "login.memory=48M", "login.pids=30", "login.cpus=0.5");
  const terminal = await loginOn();
  const eat = `perl -e 'my $x = "a" x 100_000_000; print "ate\\n"'; echo status $?`;
  expect(await ask(terminal, eat)).toContain("status 137\n");
  const bomb = "for i in $(seq 40); do sleep 2 & done; echo never";
  expect((await su(bomb)).stderr).toContain("Resource temporarily unavailable");
  const groups = cgroups().filter((path) => path.includes(id));
  expect(groups.length).toBeGreaterThan(0);
  const info = JSON.parse((await fallthru(["info", `@${id}`, "--json"])).stdout) as { limits: object };
  expect(info.limits).toEqual({ memoryBytes: 48 << 20, pids: 30, cpus: 0.5 });
});

test("a limit or a disk that leaves no room for a shell: the reason, and no other root; with on-failure=host the machine's own", async () => {
  const full = join(temporaryDirectory("full"), "disk");
  mkdirSync(full);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=16k", "tmpfs", full]);
  try {
    writeFileSync(`${full}/all`, Buffer.alloc(1 << 14));
  } catch {
    // It is full.
  }
  try {
    for (const [key, what] of [
      [`login.upper=${full}`, /ENOSPC|full/],
      ["login.upper=tmpfs:4k", /ENOSPC|full/],
      ["login.memory=64k", /policy\.conf:\d+: \[policy\] login.memory: "64k" is less than a login needs: 16M/],
    ] as const) {
      policy("/", key);
      const refused = await su("test -e /run/fallthrud/socket && echo outside");
      expect({ key, ...refused }).toMatchObject({ key, stdout: "" });
      expect({ key, isZero: refused.status === 0 }).toEqual({ key, isZero: false });
      expect(refused.stderr).toMatch(/^fallthru: you can't log in here: /m);
      expect(refused.stderr).toMatch(what);
      await untilNothingIsLeft();
      // A description that can't be read says nothing of that either.
      if (key === "login.memory=64k") continue;
      policy("/", key, "login.on-failure=host");
      const host = await su("test -e /run/fallthrud/socket && echo outside");
      expect({ key, ...host }).toMatchObject({ key, status: 0, stdout: "outside\n" });
      expect(host.stderr).toMatch(/^fallthru: you are on this machine's own root: /m);
      await untilNothingIsLeft();
    }
  } finally {
    execFileSync("umount", [full]);
  }
});

test("network=none: no way to the machine or beyond", async () => {
  policy("/", "login.network=none");
  await using sshd = await Sshd.start();
  const script = `ls /sys/class/net 2>/dev/null | tr -d '\\n'; cut -d: -f1 /proc/self/net/dev | tail -n +3; (: </dev/tcp/127.0.0.1/${sshd.port}) 2>/dev/null || echo refused`;
  const { stdout } = await su(script);
  expect(stdout).toEndWith("refused\n");
  expect(stdout.split("\n").map((line) => line.trim())).not.toContain("eth0");
});

test("internal-sftp under ForceCommand is served in the session, and so is sshd's own server", async () => {
  policy("/", `login.share=${shared}`);
  execFileSync("usermod", ["--shell", "/bin/bash", "alice"]);
  const file = join(temporaryDirectory("sftp"), "file");
  writeFileSync(file, "content\n");
  for (const server of ["internal-sftp", "/usr/lib/openssh/sftp-server"]) {
    await using sshd = await Sshd.start([`Subsystem sftp ${server}`, `ForceCommand ${program} login`]);
    const batch = `put ${file} ${shared}/kept\nput ${file} ${home}/lost\nls ${home}/lost\n`;
    const sftp = await run(["sftp", ...sshd.options(), "-b", "-", "alice@127.0.0.1"], { input: batch });
    expect({ server, ...sftp }).toMatchObject({ server, status: 0 });
    expect(readFileSync(`${shared}/kept`, "utf8")).toBe("content\n");
    rmSync(`${shared}/kept`);
    await untilNothingIsLeft();
    expect(existsSync(`${home}/lost`)).toBe(false);
  }
  execFileSync("usermod", ["--shell", program.replace(/fallthru$/, "fallthru-login"), "alice"]);
});

/** Prints what inotify(7) says of its arguments: each one's number, then its events in hexadecimal (2 IN_MODIFY, 100 IN_CREATE). */
const watcher = `
$| = 1; my $inotify = syscall(294, 0);
syscall(254, $inotify, $_, 0x302) for @ARGV;
print "watching\\n";
open(my $in, "<&=", $inotify);
while (sysread($in, my $all, 4096)) {
  while (length $all) {
    my ($watch, $mask, $cookie, $length) = unpack("iIII", $all);
    printf "heard %d %x\\n", $watch, $mask;
    substr($all, 0, 16 + $length) = "";
  }
}`;

test.each([
  ["a view of the machine", "/", "overlay"],
  ["a chroot", "debian", "overlay"],
  ["a chroot on our own union", "debian", "fallthru"],
])("files from below in %s: watchers and tail -f hear what happens to them in the session", async (_, root, union) => {
  mkdirSync(`${home}/config`, { recursive: true });
  for (const [name, text] of [
    ["log", "first\n"],
    ["config/file", "old\n"],
    ["linked", "old\n"],
  ] as const)
    write(name, text);
  rmSync(`${home}/link`, { force: true });
  linkSync(`${home}/linked`, `${home}/link`);
  chownSync(`${home}/config`, alice.uid, alice.uid);
  policy(root === "/" ? root : await debianRoot(), `union-type=${union}`, `login.share=${shared}`);
  const terminal = await loginOn();
  const hear = async (command: string, event: string): Promise<void> => {
    terminal.type(`${command}\n`);
    await terminal.until(`heard ${event}\r\n`);
  };
  writeFileSync(`${shared}/watch`, watcher);
  terminal.type(`perl ${shared}/watch ~/log ~/config ~/linked ${shared} &\n`);
  await terminal.until("watching\r\n");
  // By copying up, and when that is done; under another name; what is made and replaced.
  for (const event of ["1 2", "1 2"]) await hear("echo more >>~/log", event);
  for (const event of ["2 2", "2 2"]) await hear("echo more >>~/config/file", event);
  await hear("touch ~/config/new", "2 100");
  await hear("echo more >>~/link", "3 2");
  writeFileSync(`${shared}/file`, "the machine's\n");
  await terminal.until("heard 4 100\r\n");
  rmSync(`${shared}/file`);
  terminal.type("kill %1; wait; tail -n 1 -f ~/log &\n");
  await terminal.until("more\r\n");
  terminal.type("echo third >>~/log\n");
  await terminal.until(" third\r\n");
  terminal.type("kill %2; exit\n");
  await terminal.ended;
  expect(readFileSync(`${home}/log`, "utf8")).toBe("first\n");
});

test("a log that the machine writes: tail -f shows it", async () => {
  write("log", "first\n");
  for (const [root, union] of [
    ["/", "overlay"],
    [await debianRoot(), "overlay"],
  ] as const) {
    policy(root, `union-type=${union}`);
    const terminal = await loginOn();
    terminal.type("tail -n 1 -f ~/log\n");
    await terminal.until("first\r\n");
    appendFileSync(`${home}/log`, "second\n");
    await terminal.until("second\r\n");
    terminal.hangUp();
    await untilNothingIsLeft();
    write("log", "first\n");
  }
});

test("what is mounted later below a shared place is there, and what is unmounted isn't kept busy", async () => {
  policy(tinyRoot(), `login.share=${shared}`);
  mkdirSync(`${shared}/stick`);
  execFileSync("mount", ["--bind", "--make-shared", shared, shared]);
  try {
    const terminal = await loginOn();
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", `${shared}/stick`]);
    writeFileSync(`${shared}/stick/file`, "there\n");
    expect(await ask(terminal, `cat ${shared}/stick/file`)).toContain("there\n");
    execFileSync("umount", [`${shared}/stick`]);
    expect(await ask(terminal, `ls ${shared}/stick/file`)).toContain("No such file");
  } finally {
    execFileSync("umount", ["--lazy", shared]);
  }
});

test("people whom only a directory service knows: their name, groups and home inside, in both kinds of roots", async () => {
  mkdirSync("/var/lib/extrausers", { recursive: true });
  coverDirectory("/var/lib/extrausers");
  const shell = program.replace(/fallthru$/, "fallthru-login");
  try {
    writeFileSync("/var/lib/extrausers/passwd", `ldap:x:7777:7777:L. Dap:/home/ldap:${shell}\n`);
    writeFileSync("/var/lib/extrausers/group", "ldap:x:7777:\nresearch:x:7778:ldap\n");
    writeFileSync("/var/lib/extrausers/shadow", "ldap:*:19000:0:99999:7:::\n", { mode: 0o640 });
    const nss = readFileSync("/etc/nsswitch.conf", "utf8");
    writeFileSync("/etc/nsswitch.conf", nss.replace(/^(passwd|group|shadow):.*$/gm, "$1: files extrausers"));
    mkdirSync("/home/ldap", { mode: 0o700, recursive: true });
    execFileSync("chown", ["7777:7777", "/home/ldap"]);
    for (const [root, login] of [
      ["/", "/bin/bash"],
      [tinyRoot(), "/bin/sh"],
    ] as const) {
      const keys = ["login.groups=research", `login.shell=${login}`, "setup.nssdatabases="];
      describeLogin("directory", root, keys);
      const { stdout, stderr } = await su("id -un; id -Gn; pwd; echo x >~/mine && echo written", "ldap");
      expect({ root, stdout, stderr }).toEqual({
        root,
        stdout: "ldap\nldap research\n/home/ldap\nwritten\n",
        stderr: "",
      });
      await untilNothingIsLeft();
    }
    expect(existsSync("/home/ldap/mine")).toBe(false);
  } finally {
    rmSync("/etc/schroot/chroot.d/directory.conf", { force: true });
    uncoverDirectory("/var/lib/extrausers");
  }
});

test("who lists the machine's logins, inside too", async () => {
  const before = existsSync("/run/utmp");
  if (!before) writeFileSync("/run/utmp", "");
  try {
    policy("/");
    await using sshd = await Sshd.start();
    const terminal = await loginOn(sshd.ssh(alice, "-t"));
    expect(await ask(terminal, "who")).toMatch(/\nalice +pts\//);
    terminal.type("exit\n");
    await terminal.ended;
  } finally {
    if (!before) rmSync("/run/utmp");
  }
});

test("the machine is upgraded while somebody is logged in: info says so, and new logins see the new one", async () => {
  coverDirectory("/var/lib/dpkg");
  try {
    policy("/", "login.session=login");
    write("version", "one\n");
    const old = await loginOn();
    const [first = ""] = sessions();
    expect((await fallthru(["info", `@${first}`])).stdout).not.toContain("root below");
    expect(await ask(old, "cat ~/version")).toContain("one\n");
    write("version", "two\n");
    const soon = Date.now() / 1000 + 1;
    utimesSync("/var/lib/dpkg/status", soon, soon);
    expect((await fallthru(["info", `@${first}`])).stdout).toContain("root below");
    await old.until("fallthru: packages below your session were changed meanwhile");
    await sleep(1100);
    const fresh = await loginOn();
    expect(await ask(fresh, "cat ~/version")).toContain("two\n");
    const second = sessions().find((each) => each !== first);
    expect((await fallthru(["info", `@${second}`])).stdout).not.toContain("root below");
  } finally {
    closeTerminals();
    await untilNothingIsLeft();
    uncoverDirectory("/var/lib/dpkg");
  }
});
