// deadline: 200
// The real sshd on the loopback, with real keys: our shell in /etc/passwd, sessions that are views of this machine.
import { beforeAll, expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import {
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryDirectory } from "../support/directories.ts";
import { run } from "../support/fallthru.ts";
import { untilRuns } from "../support/leftovers.ts";
import { leaveNothing } from "../support/loginhooks.ts";
import {
  alice,
  bob,
  carol,
  dave,
  describeLogin,
  loginOn,
  makeMachine,
  type Person,
  sessions,
  Sshd,
  startService,
  untilNothingIsLeft,
} from "../support/logins.ts";
import type { Terminal } from "../support/terminal.ts";

let sshd: Sshd;
const shared = temporaryDirectory("srv");

beforeAll(async () => {
  makeMachine();
  mkdirSync(join(shared, "drop"), { mode: 0o777 });
  execFileSync("chmod", ["-R", "a+rwx", shared]);
  describeLogin("machine", "/", ["login.groups=students", "login.shell=/bin/bash", `login.share=${shared}`]);
  await startService();
  sshd = await Sshd.start();
});

leaveNothing();

function shellOf(person: Person, ...more: readonly string[]): Promise<Terminal> {
  return loginOn(sshd.ssh(person, "-t", ...more), { size: { columns: 91, rows: 33 } });
}

test("ssh host COMMAND: the person's shell and status, and what it changes is gone with it", async () => {
  const script = "id -un; pwd; echo $0 $SHELL $HOME; echo mine >~/file; cat ~/file; echo x >&2; exit 7";
  expect(await sshd.run(alice, [script])).toMatchObject({
    status: 7,
    stdout: "alice\n/home/alice\nbash /bin/bash /home/alice\nmine\n",
    stderr: "x\n",
  });
  await untilNothingIsLeft();
  expect(await sshd.run(alice, ["ls", "~/file"])).toMatchObject({ status: 2 });
});

test("a command gets its input to the end, and its output is whole", async () => {
  const input = Buffer.alloc(3_000_000, "0123456789\n");
  const { stdout } = await sshd.run(alice, ["cat"], { input });
  expect(stdout === input.toString()).toBe(true);
});

test("ssh -t: a terminal with job control, the window's size, and the login shell", async () => {
  const terminal = await shellOf(alice);
  terminal.type("stty size; echo $0; shopt -q login_shell && echo log''in\n");
  await terminal.until("33 91\r\n-bash\r\nlogin\r\n");
  terminal.type("sleep 1000\n");
  await terminal.until("\n");
  await untilRuns("sleep 1000");
  terminal.type("\x1a");
  await terminal.until(/Stopped.*\r\n/);
  terminal.resize({ columns: 70, rows: 20 });
  terminal.type("until test \"$(stty size)\" = '20 70'; do sleep 0.01; done; kill %1; echo si''zed\n");
  await terminal.until("sized\r\n");
  terminal.type("echo $(ls -l $(tty) | cut -d' ' -f3); echo yes >/dev/tty\n");
  await terminal.until(/alice\r\n(.*\r\n)?yes\r\n/);
  terminal.type("exit 3\n");
  expect(await terminal.ended).toMatchObject({ status: 3 });
});

test("two logins of one user have one session, another user has another", async () => {
  const [first, second, other] = await Promise.all([shellOf(alice), shellOf(alice), shellOf(bob)]);
  expect(sessions().toSorted()).toEqual([`machine-login-${alice.uid}`, `machine-login-${bob.uid}`]);
  first.type("echo here >/tmp/fallthru-mark; echo wri''tten\n");
  await first.until("written\r\n");
  other.type("cat /tmp/fallthru-mark; echo do''ne\n");
  expect(await other.until("done\r\n")).toContain("No such file");
  first.type("exit\n");
  await first.ended;
  second.type("cat /tmp/fallthru-mark; echo do''ne\n");
  expect(await second.until("done\r\n")).toContain("here\r\n");
  for (const terminal of [second, other]) terminal.type("exit\n");
  await Promise.all([second.ended, other.ended]);
});

test("supplementary groups, names and variables are those of the login", async () => {
  const { stdout } = await sshd.run(
    alice,
    ["id -Gn; echo $LANG; echo ${SSH_CONNECTION%% *}; echo $SSH_ORIGINAL_COMMAND."],
    {
      env: { LANG: "de_DE.UTF-8" },
    },
  );
  expect(stdout).toBe("alice students\n\n127.0.0.1\n.\n");
  const sent = await run(["ssh", ...sshd.options(), "-oSendEnv=LANG", "alice@127.0.0.1", "echo $LANG"], {
    env: { LANG: "de_DE.UTF-8" },
  });
  expect(sent.stdout).toBe("de_DE.UTF-8\n");
});

test("the agent that is forwarded answers inside, at each of a user's logins", async () => {
  const socket = join(temporaryDirectory("agent"), "socket");
  const agent = await run([
    "sh",
    "-c",
    `ssh-agent -a ${socket} >/dev/null; SSH_AUTH_SOCK=${socket} ssh-add -q "$1"; pgrep -f "^ssh-agent -a ${socket}"`,
    "sh",
    sshd.key,
  ]);
  try {
    const list = ["ssh-add", "-l"];
    const env = { SSH_AUTH_SOCK: socket };
    const terminal = await shellOf(alice);
    const answers = await Promise.all([
      sshd.run(alice, list, { env, forward: true }),
      sshd.run(alice, list, { env, forward: true }),
    ]);
    for (const { stdout } of answers) expect(stdout).toContain("ED25519");
    // Nothing of theirs stays in the session that goes on.
    terminal.type("ls /run/host/*/* ; mount | grep -c /run/host/login; echo do''ne\n");
    expect(await terminal.until("done\r\n")).toContain("\r\n0\r\n");
  } finally {
    process.kill(Number(agent.stdout.trim()));
  }
});

test("ports are forwarded while a session runs", async () => {
  // sshd's own greeting, read through the port that the login has forwarded to it.
  const script = `
    for port in $(seq 20000 37 29990); do (: </dev/tcp/127.0.0.1/$port) 2>/dev/null || break; done
    "$@" -oExitOnForwardFailure=yes -L127.0.0.1:$port:127.0.0.1:${sshd.port} alice@127.0.0.1 'sleep 3' &
    for try in $(seq 200); do { exec 3<>/dev/tcp/127.0.0.1/$port; } 2>/dev/null && break; sleep 0.05; done
    head -c 8 <&3; exec 3<&-; wait`;
  const { stdout } = await run(["bash", "-c", script, "bash", "ssh", ...sshd.options()]);
  expect(stdout).toBe("SSH-2.0-");
});

test("scp, sftp and rsync, to and from what is shared", async () => {
  const directory = temporaryDirectory("files");
  const file = join(directory, "file");
  writeFileSync(file, "content\n");
  const copy = await run(["scp", ...sshd.options(), file, `alice@127.0.0.1:${shared}/drop/scp`]);
  expect(copy).toMatchObject({ status: 0, stderr: "" });
  const old = await run(["scp", "-O", ...sshd.options(), file, `alice@127.0.0.1:${shared}/drop/old`]);
  expect(old).toMatchObject({ status: 0, stderr: "" });
  const batch = `put ${file} ${shared}/drop/sftp\nget ${shared}/drop/scp ${directory}/back\nput ${file} /home/alice/thrown\n`;
  const sftp = await run(["sftp", ...sshd.options(), "-b", "-", "alice@127.0.0.1"], { input: batch });
  expect(sftp.status).toBe(0);
  const shell = ["ssh", ...sshd.options()].join(" ");
  const rsync = await run(["rsync", "-e", shell, "-a", `${directory}/`, `alice@127.0.0.1:${shared}/drop/rsync/`]);
  expect(rsync).toMatchObject({ status: 0, stderr: "" });
  for (const name of ["scp", "old", "sftp", "rsync/file"]) {
    expect(readFileSync(join(shared, "drop", name), "utf8")).toBe("content\n");
  }
  expect(readFileSync(join(directory, "back"), "utf8")).toBe("content\n");
  await untilNothingIsLeft();
  expect(await run(["ls", "/home/alice/thrown"])).toMatchObject({ status: 2 });
});

test("what is large comes whole, both ways", async () => {
  const file = join(temporaryDirectory("large"), "file");
  execFileSync("sh", ["-c", `head -c 200000000 /dev/urandom >${file}`]);
  const sum = (path: string): string => execFileSync("sha256sum", [path], { encoding: "utf8" }).slice(0, 64);
  const wanted = sum(file);
  const options = { timeoutMs: 60_000 };
  const place = `${shared}/drop`;
  const shell = ["ssh", ...sshd.options()].join(" ");
  const scp = ["scp", ...sshd.options()];
  expect(await run([...scp, file, `alice@127.0.0.1:${place}/large-scp`], options)).toMatchObject({ status: 0 });
  const rsync = await run(["rsync", "-e", shell, file, `alice@127.0.0.1:${place}/large-rsync`], options);
  expect(rsync).toMatchObject({ status: 0, stderr: "" });
  expect(await run([...scp, `alice@127.0.0.1:${place}/large-scp`, `${file}-back`], options)).toMatchObject({
    status: 0,
  });
  const inside = await sshd.run(alice, [`cp ${place}/large-rsync ~/large; sha256sum <~/large`], options);
  expect(inside.stdout.slice(0, 64)).toBe(wanted);
  for (const path of [`${place}/large-scp`, `${place}/large-rsync`, `${file}-back`]) expect(sum(path)).toBe(wanted);
});

test("ssh -X: programs inside reach the screen at the other end", async () => {
  const directory = temporaryDirectory("x");
  const [server, number, key] = ["server", "number", "key"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  const cookie = "0123456789abcdef0123456789abcdef";
  execFileSync("xauth", ["-f", server, "add", ":0", ".", cookie], { stdio: "ignore" });
  const words = ["-c", `exec Xvfb -displayfd 3 -auth "$0" -nolisten tcp -noreset -screen 0 320x200x24 3>"$1"`];
  const screen = spawn("sh", [...words, server, number], { stdio: "ignore" });
  const forwarding = await Sshd.start(["X11Forwarding yes", "X11UseLocalhost yes"]);
  try {
    for (let tries = 0; tries < 500 && !(existsSync(number) && readFileSync(number, "utf8").endsWith("\n")); tries++)
      await sleep(20);
    const display = `:${readFileSync(number, "utf8").trim()}`;
    execFileSync("xauth", ["-f", key, "add", display, ".", cookie], { stdio: "ignore" });
    const env = { DISPLAY: display, XAUTHORITY: key };
    const command = forwarding.ssh(alice, "echo $DISPLAY $XAUTHORITY; xdpyinfo | grep dimensions");
    const { stdout } = await run([...command.slice(0, 1), "-Y", ...command.slice(1)], { env, timeoutMs: 60_000 });
    expect(stdout).toMatch(/^localhost:1\d\.0 \/run\/host\/login-\w+\/xauthority\n/);
    expect(stdout).toContain("320x200 pixels");
  } finally {
    await forwarding[Symbol.asyncDispose]();
    screen.kill("SIGTERM");
  }
});

test("git over ssh", async () => {
  const repository = join(shared, "repository");
  execFileSync("git", ["init", "-q", "--bare", repository]);
  execFileSync("chown", ["-R", `${carol.uid}:${carol.uid}`, repository]);
  chownSync(shared, 0, 0);
  const env = { GIT_SSH_COMMAND: ["ssh", ...sshd.options()].join(" ") };
  const clone = await run(
    ["git", "clone", "-q", `ssh://carol@127.0.0.1${repository}`, join(temporaryDirectory("git"), "x")],
    { env },
  );
  expect(clone.status).toBe(0);
});

test("root inside by sudo, only where the policy says so", async () => {
  describeLogin("root", "/", ["login.users=dave", "login.sudo=yes", "login.shell=/bin/bash"]);
  const script =
    "sudo -n id -u; sudo -n touch /usr/bin/mine && ls /usr/bin/mine; sudo -n cat /usr/sbin/policy-rc.d | tail -1";
  expect(await sshd.run(dave, [script])).toMatchObject({ stdout: "0\n/usr/bin/mine\nexit 101\n" });
  expect(await run(["ls", "/usr/bin/mine", "/etc/sudoers.d/fallthru-login"])).toMatchObject({ status: 2, stdout: "" });
  const without = await sshd.run(alice, ["sudo -n id -u; su -c id </dev/null; echo refused"]);
  expect(without.stdout).toBe("refused\n");
  expect(without.stderr).toContain("sudo");
});

test("names are found after the network has changed, and that file is all that is shown for it", async () => {
  const path = realpathSync("/etc/resolv.conf");
  const kept = readFileSync(path);
  const terminal = await shellOf(alice);
  const until = async (word: string): Promise<void> => {
    terminal.type(`until grep -q ${word} /etc/resolv.conf; do sleep 0.02; done; echo fo''und ${word}\n`);
    await terminal.until(`found ${word}\r\n`);
  };
  try {
    writeFileSync("/etc/resolv.conf.new", "# renamed\n");
    renameSync("/etc/resolv.conf.new", path);
    await until("renamed");
    writeFileSync(path, "# written\n");
    await until("written");
    // As where systemd-resolved or NetworkManager is installed meanwhile.
    writeFileSync(join(shared, "stub.conf"), "# elsewhere\n");
    rmSync("/etc/resolv.conf");
    symlinkSync(join(shared, "stub.conf"), "/etc/resolv.conf");
    await until("elsewhere");
    writeFileSync(join(shared, "stub.conf.new"), "# again\n");
    renameSync(join(shared, "stub.conf.new"), join(shared, "stub.conf"));
    await until("again");
    terminal.type("ls -A /run/host/resolv; touch /run/host/resolv/x; echo do''ne\n");
    expect(await terminal.until("done\r\n")).toMatch(/\r\nresolv.conf\r\n.*Read-only file system/);
  } finally {
    rmSync("/etc/resolv.conf", { force: true });
    writeFileSync("/etc/resolv.conf", kept);
  }
});
