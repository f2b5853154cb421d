// deadline: 300
// `login.keep=ask` where nobody answers: the person's files are in ~/unsaved, or the session stays, whoever ended it and however.
import { beforeAll, beforeEach, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { chownSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { restart } from "../crash/session.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { leaveNothing } from "../support/loginhooks.ts";
import {
  alice,
  bob,
  carol,
  describeLogin,
  emptyHomes,
  loginOn,
  makeMachine,
  ownProcesses,
  type Person,
  question,
  sessions,
  Sshd,
  startService,
  stopService,
  untilAsked,
  untilNothingIsLeft,
  workers,
} from "../support/logins.ts";
import { tinyRoot } from "../support/roots.ts";
import { childrenOf } from "../support/service.ts";
import type { Terminal } from "../support/terminal.ts";

const session = "copy-login-7001";
let sshd: Sshd;

beforeAll(async () => {
  makeMachine();
  const common = ["login.keep=ask", "setup.nssdatabases="];
  describeLogin("copy", tinyRoot(), ["login.users=alice", ...common]);
  describeLogin("memory", tinyRoot(), ["login.users=bob", "login.home=tmpfs", "login.session=login", ...common]);
  describeLogin("ours", tinyRoot(), ["login.users=carol", "union-type=fallthru", "login.upper=tmpfs", ...common]);
  await startService();
  sshd = await Sshd.start();
});

beforeEach(() => emptyHomes(alice, bob, carol));

leaveNothing();

/** What is below ~/unsaved, or beside it: paths, without the dates. */
function unsaved({ name }: Person = alice): Record<string, string> {
  const home = `/home/${name}`;
  const paths = execFileSync("find", [home, "-path", "*unsaved*", "-type", "f"], { encoding: "utf8" });
  const pairs = paths
    .split("\n")
    .filter(Boolean)
    .map((path) => {
      const known = path.slice(home.length + 1).replace(/\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d/, "DATE");
      return [known, readFileSync(path, "utf8")] as const;
    });
  return Object.fromEntries(pairs);
}

/** Our client, which is the person's shell below su(1). */
function clientOf(pid: number): number {
  const [child] = childrenOf(pid);
  return child === undefined ? pid : clientOf(child);
}

/** The worker that serves somebody, and what it has asked them with. */
function asking(): { worker: number; asked: number } {
  const [[worker, asked] = [0, 0]] = workers().flatMap((pid) => childrenOf(pid).map((child) => [pid, child] as const));
  return { worker, asked };
}

const atTheQuestion: Readonly<Record<string, (terminal: Terminal) => unknown>> = {
  "Ctrl-D twice": async (terminal) => {
    terminal.type("\x04");
    await terminal.until(question);
    terminal.type("\x04");
    await terminal.until("your files go to ~/unsaved");
  },
  "a closed window": (terminal) => terminal.hangUp(),
  "a hung-up line": (terminal) => process.kill(clientOf(terminal.processId), "SIGHUP"),
  "a killed client": (terminal) => process.kill(clientOf(terminal.processId), "SIGKILL"),
  "a killed question": () => process.kill(asking().asked, "SIGKILL"),
  "a killed worker": () => process.kill(asking().worker, "SIGKILL"),
};

test.each(Object.entries(atTheQuestion))(
  "%s at the question: the session ends, and the files are saved",
  async (_, way) => {
    const { terminal } = await untilAsked(
      "mkdir ~/deep; echo new >~/deep/notes; ln -s notes ~/deep/link; echo x >/tmp/other",
    );
    await way(terminal);
    await untilNothingIsLeft();
    await sleep(50);
    expect(ownProcesses("login-keep")).toEqual([]);
    expect(unsaved()).toEqual({ "unsaved/DATE/deep/notes": "new\n" });
    const [date = ""] = readdirSync("/home/alice/unsaved");
    for (const path of ["", `/${date}`, `/${date}/deep`, `/${date}/deep/notes`])
      expect(statSync(`/home/alice/unsaved${path}`).uid).toBe(alice.uid);
    expect(statSync("/home/alice/unsaved").mode & 0o777).toBe(0o700);
    expect(readFileSync(`/home/alice/unsaved/${date}/deep/link`, "utf8")).toBe("new\n");
  },
);

test.each([
  ["a window that is closed", bob, (terminal: Terminal): void => terminal.hangUp()],
  ["a connection that breaks", carol, (terminal: Terminal): unknown => process.kill(terminal.processId, "SIGKILL")],
  ["a killed worker", carol, (): unknown => process.kill(asking().worker, "SIGKILL")],
] as const)(
  "%s while the shell runs: the files are saved, whatever the home is, and whose the union",
  async (_, person, way) => {
    const terminal = await loginOn(sshd.ssh(person, "-t"));
    terminal.type("echo new >~/notes; chmod 000 ~/notes; echo do''ne\n");
    await terminal.until("done");
    way(terminal);
    await untilNothingIsLeft();
    expect(unsaved(person)).toEqual({ "unsaved/DATE/notes": "new\n" });
  },
);

test("what was answered isn't saved again, and of commands and histories nothing is", async () => {
  const { terminal } = await untilAsked("echo new >~/notes");
  terminal.type("d\n");
  await terminal.ended;
  expect(await sshd.run(alice, ["echo new >~/notes"])).toMatchObject({ status: 0 });
  const quiet = await loginOn();
  quiet.type("echo ls >~/.bash_history; echo do''ne\n");
  await quiet.until("done");
  quiet.hangUp();
  await untilNothingIsLeft();
  const { terminal: saved } = await untilAsked("echo new >~/notes");
  saved.type("s\n");
  await saved.ended;
  await untilNothingIsLeft();
  expect(readdirSync("/home/alice").toSorted()).toEqual([".ssh", "notes"]);
});

test("an answer isn't meant for who has come meanwhile", async () => {
  const { terminal: first } = await untilAsked("echo new >~/notes");
  const second = await loginOn();
  first.type("d\n");
  await first.ended;
  second.hangUp();
  await untilNothingIsLeft();
  expect(unsaved()).toEqual({ "unsaved/DATE/notes": "new\n" });
});

/** A real home that takes half a megabyte, until it is given more. */
interface Narrow extends Disposable {
  readonly widen: () => unknown;
  readonly reason: string;
}

const home = "/home/alice";

function fullDisk(): Narrow {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=256k,mode=700,uid=${alice.uid}`, "tmpfs", home]);
  return {
    widen: () => execFileSync("mount", ["-o", "remount,size=8m", home]),
    reason: "no space left on device (ENOSPC)",
    [Symbol.dispose]: () => execFileSync("umount", [home]),
  };
}

function usedUpQuota(): Narrow {
  const [image, disk] = [join(temporaryDirectory("image"), "btrfs"), temporaryDirectory("disk")];
  execFileSync("truncate", ["-s", "300M", image]);
  execFileSync("mkfs.btrfs", ["-q", image]);
  execFileSync("mount", ["-o", "loop", image, disk]);
  const subvolume = join(disk, "home");
  execFileSync("btrfs", ["quota", "enable", disk]);
  execFileSync("btrfs", ["subvolume", "create", subvolume], { stdio: "ignore" });
  execFileSync("btrfs", ["qgroup", "limit", String(1 << 19), subvolume]);
  chownSync(subvolume, alice.uid, alice.uid);
  execFileSync("mount", ["--bind", subvolume, home]);
  return {
    widen: () => execFileSync("btrfs", ["qgroup", "limit", "none", subvolume]),
    reason: "disk quota exceeded (EDQUOT)",
    [Symbol.dispose]: () => {
      for (const path of [home, disk]) execFileSync("umount", [path]);
    },
  };
}

test.each([
  ["a disk without room", fullDisk],
  ["a quota that is used up", usedUpQuota],
])("%s: the session is kept, the next login goes on in it, and is told why", async (_, make) => {
  using narrow = make();
  try {
    const script =
      "echo 1 >~/notes; busybox head -c 1048576 /bin/busybox >~/big; mkdir ~/.config; echo 2 >~/.config/file";
    (await untilAsked(script)).terminal.hangUp();
    for (let tries = 0; ownProcesses("login-save").length > 0 || asking().asked > 0; tries++) {
      if (tries > 500) throw new Error("it is still being saved");
      await sleep(10);
    }
    expect(sessions()).toEqual([session]);
    // Somebody else's login has nothing to do with it, and whoever clears up is told.
    const other = await loginOn(["su", "-l", "bob"]);
    other.type("exit\n");
    await other.ended;
    for (const verb of ["recover", "gc"]) {
      const { status, stdout } = await fallthru([verb]);
      expect({ verb, status }).toEqual({ verb, status: 1 });
      expect(stdout).toContain(
        `${session}: files of ${home} in session ${session} can't be saved: not saved: 3 files: `,
      );
      expect(stdout).toContain(narrow.reason);
    }
    const ended = await fallthru(["end", `@${session}`]);
    expect(ended.status).not.toBe(0);
    expect(ended.stderr).toContain(`give them up: fallthru end --force @${session}`);
    const again = await loginOn();
    expect(again.output).toContain("fallthru: this is your last session, kept for your files");
    expect(again.output).toContain(narrow.reason);
    again.type("cat ~/.config/file; ls -s ~/big; exit\n");
    expect(await again.until(question)).toMatch(/\b2\r\n[\s\S]*1024 /);
    narrow.widen();
    again.hangUp();
    await untilNothingIsLeft();
    const found = unsaved();
    expect(Object.keys(found).toSorted()).toEqual([
      "unsaved/DATE/.config/file",
      "unsaved/DATE/big",
      "unsaved/DATE/notes",
    ]);
    expect(readdirSync(`${home}/unsaved`)).toHaveLength(1);
  } finally {
    await fallthru(["end", "--force", `@${session}`]);
    await untilNothingIsLeft();
  }
});

test("a session that is kept can be given up", async () => {
  execFileSync("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", home]);
  try {
    const terminal = await loginOn();
    terminal.type("echo new >/tmp/x; exit\n");
    await terminal.until(question);
    terminal.type("d\n");
    await terminal.ended;
    await untilNothingIsLeft();
    chownSync(home, alice.uid, alice.uid);
    const other = await loginOn();
    other.type("echo new >~/notes; echo do''ne\n");
    await other.until("done");
    chownSync(home, 0, 0);
    other.hangUp();
    let ended = await fallthru(["end", `@${session}`]);
    for (let tries = 0; !ended.stderr.includes("(EACCES)") && tries < 200; tries++) {
      await sleep(20);
      ended = await fallthru(["end", `@${session}`]);
    }
    expect(ended.stderr).toContain("can't be saved: ");
    const forced = await fallthru(["end", "--force", `@${session}`]);
    expect(forced).toMatchObject({ status: 0, stderr: expect.stringContaining("files of uid 7001 are lost: ") });
    expect(sessions()).toEqual([]);
  } finally {
    await untilNothingIsLeft();
    execFileSync("umount", [home]);
  }
});

test.each(["recover", "the next login"])("a restart of the machine: %s saves what is on the disk", async (by) => {
  const { terminal } = await untilAsked("echo new >~/notes");
  const { worker } = asking();
  await stopService("leave workers");
  for (const pid of [worker, terminal.processId]) process.kill(pid, "SIGKILL");
  await terminal.ended;
  restart();
  rmSync("/run/fallthrud/socket");
  await startService();
  if (by === "recover") {
    const recovered = await fallthru(["recover"]);
    expect(recovered).toMatchObject({ status: 0, stdout: `removed ${session}\n` });
  } else {
    const next = await loginOn();
    next.type("cat ~/unsaved/*/notes; exit\n");
    await next.until("new\r\n");
    await next.ended;
  }
  await untilNothingIsLeft();
  expect(unsaved()).toEqual({ "unsaved/DATE/notes": "new\n" });
});

test("no link leads out of the home, and nobody's else files come along", async () => {
  const elsewhere = "/tmp/fallthru-elsewhere";
  mkdirSync(elsewhere, { recursive: true });
  chownSync(elsewhere, alice.uid, alice.uid);
  symlinkSync(elsewhere, "/home/alice/unsaved");
  writeFileSync("/home/alice/roots", "root's\n", { mode: 0o600 });
  const terminal = await loginOn();
  terminal.type("echo new >~/notes; ln -s /etc/shadow ~/shadow; mkfifo ~/fifo; echo do''ne\n");
  await terminal.until("done");
  const evil =
    "echo s >/home/alice/secret; chmod 600 /home/alice/secret; mknod /home/alice/device c 1 5; cp /bin/busybox /home/alice/shell; chmod 4755 /home/alice/shell";
  expect((await fallthru(["run", `@${session}`, "--", "sh", "-c", evil])).status).toBe(0);
  terminal.hangUp();
  await untilNothingIsLeft();
  expect(readdirSync(elsewhere)).toEqual([]);
  const [directory = ""] = readdirSync("/home/alice").filter((name) => name.startsWith("unsaved-"));
  expect(readdirSync(`/home/alice/${directory}`).toSorted()).toEqual(["notes", "shadow", "shell"]);
  expect(statSync(`/home/alice/${directory}/shell`).mode & 0o7777).toBe(0o755);
  rmSync(elsewhere, { recursive: true });
});

test("login.ttl ends a session that is asked about", async () => {
  describeLogin("brief", tinyRoot(), ["login.users=dave", "login.keep=ask", "login.ttl=2s", "setup.nssdatabases="]);
  const { terminal } = await untilAsked("echo new >~/notes", ["su", "-l", "dave"]);
  await terminal.ended;
  await untilNothingIsLeft();
  expect(unsaved({ name: "dave", uid: 7004 })).toEqual({ "unsaved/DATE/notes": "new\n" });
  const second = await loginOn(["su", "-l", "dave"]);
  second.type("echo newer >~/notes; echo do''ne\n");
  await second.until("done");
  await sleep(2100);
  expect((await fallthru(["gc"])).stdout).toBe("ended brief-login-7004\n");
  await second.ended;
  expect(second.output).not.toContain(question);
  const saved = readdirSync("/home/dave/unsaved").map((date) =>
    readFileSync(`/home/dave/unsaved/${date}/notes`, "utf8"),
  );
  expect(saved.toSorted()).toEqual(["new\n", "newer\n"]);
});

test("killed at any moment while it saves: the next one goes on with it", async () => {
  for (let round = 0; round < 6; round++) {
    const script = `for n in 1 2 3 4 5 6; do cat /bin/busybox /bin/busybox >~/$n; done`;
    const { terminal } = await untilAsked(script);
    const { worker } = asking();
    terminal.hangUp();
    while (ownProcesses("login-save").length === 0 && sessions().length > 0) await sleep(1);
    await sleep(round * 4);
    process.kill(round % 2 === 0 ? worker : (ownProcesses("login-save")[0] ?? worker), "SIGKILL");
    for (let tries = 0; sessions().length > 0 && tries < 1500; tries++) {
      await sleep(10);
      if (tries % 50 === 49) await fallthru(["recover"]);
    }
    await untilNothingIsLeft();
    const names = Object.keys(unsaved());
    expect(names.toSorted()).toEqual([1, 2, 3, 4, 5, 6].map((n) => `unsaved/DATE/${n}`));
    const [date = ""] = readdirSync("/home/alice/unsaved");
    const size = 2 * statSync("/bin/busybox").size;
    expect(names.map((name) => statSync(`/home/alice/${name.replace("DATE", date)}`).size)).toEqual(
      names.map(() => size),
    );
    rmSync("/home/alice/unsaved", { recursive: true });
  }
});
