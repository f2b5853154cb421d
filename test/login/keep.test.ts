// deadline: 200
// `login.keep=ask`: at the last logout from a terminal the person is shown what would be lost, and may save files of their home.
import { beforeAll, beforeEach, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { fallthru, run } from "../support/fallthru.ts";
import { leaveNothing } from "../support/loginhooks.ts";
import {
  alice,
  bob,
  carol,
  describeLogin,
  emptyHomes,
  loginOn,
  makeMachine,
  type Person,
  question,
  sessions,
  Sshd,
  startService,
  untilAsked,
  untilNothingIsLeft,
} from "../support/logins.ts";
import { tinyRoot } from "../support/roots.ts";
import { Terminal } from "../support/terminal.ts";

const home = "/home/alice";
let sshd: Sshd;

beforeAll(async () => {
  makeMachine();
  const common = ["login.keep=ask", "setup.nssdatabases=", "login.sudo=yes"];
  describeLogin("copy", tinyRoot(), ["login.users=alice", ...common]);
  describeLogin("memory", tinyRoot(), ["login.users=bob", "login.home=tmpfs", "login.session=login", ...common]);
  describeLogin("real", tinyRoot(), ["login.users=carol", "login.home=real", ...common]);
  await startService();
  sshd = await Sshd.start();
});

beforeEach(() => {
  emptyHomes(alice, bob, carol);
  write("notes", "old\n");
});

leaveNothing();

/** A file of the real home, old enough that a session knows it. */
function write(name: string, text: string, person: Person = alice): void {
  const path = `/home/${person.name}/${name}`;
  writeFileSync(path, text);
  chownSync(path, person.uid, person.uid);
}

const read = (name: string): string => readFileSync(`${home}/${name}`, "utf8");

test("nothing is asked where nothing was changed, of a command, and of who has no terminal", async () => {
  const quiet = await loginOn();
  quiet.type("echo ls >~/.ash_history; exit 3\n");
  expect(await quiet.ended).toMatchObject({ status: 3 });
  const command = new Terminal(["su", "-l", "alice", "-c", "echo new >~/notes"], { directory: "/" });
  expect(await command.ended).toMatchObject({ status: 0 });
  expect(quiet.output + command.output).not.toContain(question);
  expect(await sshd.run(alice, ["echo new >~/notes; echo done"])).toMatchObject({ status: 0, stdout: "done\n" });
  const shell = await sshd.run(alice, ["-T"], { input: "echo new >~/notes; echo done\n" });
  expect(shell.stdout).not.toContain("rop everything");
  expect(read("notes")).toBe("old\n");
});

test("sftp and scp are asked nothing, and what they put goes", async () => {
  describeLogin("view", "/", ["login.users=dave", "login.keep=ask", "login.shell=/bin/bash"]);
  const batch = "put /etc/hostname /home/dave/put\nls /home/dave/put\n";
  const sftp = await run(["sftp", ...sshd.options(), "-b", "-", "dave@127.0.0.1"], { input: batch });
  const scp = await run(["scp", "-O", ...sshd.options(), "/etc/hostname", "dave@127.0.0.1:/home/dave/scp"]);
  for (const { stdout, stderr, status } of [sftp, scp]) {
    expect([status, stdout + stderr]).toEqual([0, expect.not.stringContaining("rop everything")]);
  }
  expect(sftp.stdout).toContain("/home/dave/put\n");
  await untilNothingIsLeft();
  expect(readdirSync("/home/dave")).toEqual([".ssh"]);
});

test("all of the home is saved, as the person's, by a login with ssh; the rest goes", async () => {
  const script =
    "mkdir -p ~/new/deep; echo more >~/new/deep/file; chmod 4750 ~/new/deep/file; echo new >~/notes; ln -s notes ~/link; echo x >/tmp/other";
  const { terminal, screen } = await untilAsked(script, sshd.ssh(alice, "-t"));
  for (const line of ["M /home/alice/notes", "A /home/alice/new/deep/file", "A /tmp/other"])
    expect(screen).toContain(line);
  terminal.type("s\n");
  await terminal.until("saved 3 files to /home/alice");
  expect(await terminal.ended).toMatchObject({ status: 3 });
  expect([read("notes"), read("new/deep/file"), read("link")]).toEqual(["new\n", "more\n", "new\n"]);
  const { uid, mode } = statSync(`${home}/new/deep/file`);
  expect([uid, mode & 0o7777]).toEqual([alice.uid, 0o750]);
  expect(lstatSync(`${home}/link`).isSymbolicLink()).toBe(true);
  expect(readdirSync(home).filter((name) => name.startsWith(".fallthru"))).toEqual([]);
});

test("some are picked, the list shows all, what isn't understood is explained; drop drops", async () => {
  const { terminal } = await untilAsked("echo 1 >~/one; echo 2 >~/two; touch /tmp/x");
  terminal.type("l\n");
  expect(await terminal.until(question)).toContain("A /tmp/x");
  terminal.type("what\n");
  expect(await terminal.until(question)).toContain("b  go back into the session");
  terminal.type("p\n");
  await terminal.until("(1/2) save /home/alice/one? [y,n,a,q] ");
  terminal.type("n\n");
  await terminal.until("(2/2) save /home/alice/two? [y,n,a,q] ");
  terminal.type("y\n");
  await terminal.until("saved 1 file to /home/alice");
  await terminal.until(question);
  terminal.type("d\n");
  expect(await terminal.ended).toMatchObject({ status: 3 });
  expect([existsSync(`${home}/one`), existsSync(`${home}/two`)]).toEqual([false, true]);
});

test("b goes back into the session, with what is there", async () => {
  const { terminal } = await untilAsked("echo new >~/notes");
  terminal.type("b\n");
  await terminal.until("$ ");
  terminal.type("cat ~/notes; exit 4\n");
  await terminal.until("new\r\n");
  await terminal.until(question);
  terminal.type("d\n");
  expect(await terminal.ended).toMatchObject({ status: 4 });
  expect(read("notes")).toBe("old\n");
});

test("what was changed in the real home meanwhile stays, and so do links there", async () => {
  const terminal = await loginOn();
  mkdirSync(`${home}/target`);
  mkdirSync("/tmp/fallthru-elsewhere", { mode: 0o777, recursive: true });
  symlinkSync("/tmp/fallthru-elsewhere", `${home}/dir`);
  write("both", "theirs\n");
  write("notes", "theirs\n");
  utimesSync(`${home}/notes`, 1, 1);
  terminal.type("echo mine >~/notes; rm -rf ~/dir; mkdir ~/dir; echo mine >~/dir/file; echo mine >~/both; exit\n");
  await terminal.until(question);
  terminal.type("s\n");
  const said = await terminal.until(question);
  expect(said).toContain("/home/alice/notes was changed meanwhile, and stays: yours is /home/alice/notes.saved-1");
  expect(said).toContain("not saved: /home/alice/dir/file: open /home/alice/dir: too many symbolic links (ELOOP)");
  expect([read("notes"), read("notes.saved-1"), read("both"), read("both.saved-1")]).toEqual([
    "theirs\n",
    "mine\n",
    "theirs\n",
    "mine\n",
  ]);
  expect(readdirSync("/tmp/fallthru-elsewhere")).toEqual([]);
  terminal.type("d\n");
  await terminal.ended;
});

test("who is root inside gets nothing out that they couldn't read or write outside", async () => {
  writeFileSync("/home/alice/roots", "root's\n", { mode: 0o600 });
  mkdirSync("/home/alice/closed", { mode: 0o755 });
  const terminal = await loginOn();
  const id = "@copy-login-7001";
  const evil =
    "cp /bin/busybox /home/alice/shell; chmod 4755 /home/alice/shell; echo s >/home/alice/secret; chmod 600 /home/alice/secret; echo x >/home/alice/closed/file; mknod /home/alice/device c 1 5";
  expect((await fallthru(["run", id, "--", "sh", "-c", evil])).status).toBe(0);
  terminal.type("exit\n");
  await terminal.until(question);
  terminal.type("s\n");
  const said = await terminal.until(question);
  expect(said).toContain("not saved: /home/alice/secret");
  expect(said).toContain("not saved: /home/alice/closed/file");
  expect(said).toContain("saved 1 file");
  const { uid, mode } = statSync(`${home}/shell`);
  expect([uid, mode & 0o7777]).toEqual([alice.uid, 0o755]);
  expect(readdirSync(home).toSorted()).toEqual([".ssh", "closed", "notes", "roots", "shell"]);
  expect(readFileSync(`${home}/roots`, "utf8")).toBe("root's\n");
  terminal.type("d\n");
  await terminal.ended;
});

test("a full disk is said, nothing half written is left, and it can be tried again", async () => {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=256k,mode=700,uid=${alice.uid}`, "tmpfs", home]);
  try {
    const terminal = await loginOn();
    terminal.type("echo 1 >~/a; busybox head -c 1048576 /bin/busybox >~/big; exit\n");
    await terminal.until(question);
    terminal.type("s\n");
    const said = await terminal.until(question);
    expect(said).toMatch(/not saved: 1 file: copy.*no space left on device \(ENOSPC\)\r\nsaved 1 file /);
    expect(readdirSync(home)).toEqual(["a"]);
    execFileSync("mount", ["-o", "remount,size=4m", home]);
    terminal.type("s\n");
    await terminal.ended;
    expect(statSync(`${home}/big`).size).toBe(1_048_576);
  } finally {
    await untilNothingIsLeft();
    execFileSync("umount", [home]);
  }
});

test("of a home in memory all is saved that isn't of the skeleton; what is there already stays", async () => {
  write("mine", "old\n", bob);
  const { terminal, screen } = await untilAsked("echo new >~/mine; mkdir ~/d; echo 1 >~/d/1", ["su", "-l", "bob"]);
  expect(screen).toContain("A /home/bob/mine");
  terminal.type("s\n");
  await terminal.until("/home/bob/mine was changed meanwhile, and stays: yours is /home/bob/mine.saved-1");
  await terminal.ended;
  expect(readdirSync("/home/bob").toSorted()).toEqual([".ssh", "d", "mine", "mine.saved-1"]);
});

test("of a real home nothing is lost: the rest is shown, to go back for it", async () => {
  const { terminal, screen } = await untilAsked("echo x >~/mine; echo y >/tmp/lost", ["su", "-l", "carol"]);
  expect(screen).not.toContain("ave what is in your home");
  expect(screen).not.toContain("/home/carol/mine");
  expect(screen).toContain("A /tmp/lost");
  terminal.type("d\n");
  await terminal.ended;
  expect(existsSync("/home/carol/mine")).toBe(true);
});

test("who isn't the last isn't asked, and who joins during the question goes on", async () => {
  const [first, second] = [await loginOn(), await loginOn()];
  first.type("echo new >~/notes; exit\n");
  await first.ended;
  expect(first.output).not.toContain(question);
  second.type("exit\n");
  await second.until(question);
  const third = await loginOn();
  second.type("d\n");
  await second.ended;
  third.type("cat ~/notes; echo do''ne\n");
  expect(await third.until("done")).toContain("new\r\n");
  expect(sessions()).toEqual(["copy-login-7001"]);
  third.type("exit\n");
  await third.until(question);
  third.type("d\n");
  await third.ended;
});
