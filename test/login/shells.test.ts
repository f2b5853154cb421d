// deadline: 240
// Without sshd: su(1), login(1), the policy's kinds of sessions, and what a kill at any moment leaves: nothing.
import { beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fallthru, run } from "../support/fallthru.ts";
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
  program,
  sessions,
  startService,
  stopService,
  untilNothingIsLeft,
  workers,
} from "../support/logins.ts";
import { tinyRoot } from "../support/roots.ts";
import { Terminal } from "../support/terminal.ts";

const root = tinyRoot();

beforeAll(async () => {
  makeMachine();
  describeLogin("tiny", root, ["login.users=alice", "setup.nssdatabases="]);
  describeLogin("apart", tinyRoot(), [
    "login.users=bob",
    "login.session=login",
    "login.home=tmpfs",
    "login.upper=tmpfs:64M",
    "login.pids=100",
  ]);
  describeLogin("spare", "/nowhere", ["login.users=carol", "login.on-failure=host"]);
  await startService();
});

leaveNothing();

function su({ name }: Person, command: string): ReturnType<typeof run> {
  return run(["su", "-l", name, "-c", command], { directory: "/", timeoutMs: 60_000 });
}

test("su -l, with a command and on a terminal", async () => {
  expect(await su(alice, "id -un; pwd; echo $0; exit 5")).toMatchObject({
    status: 5,
    stdout: "alice\n/home/alice\n-sh\n",
  });
  const terminal = await loginOn(["su", "-l", "alice"]);
  terminal.type("echo $USER $0; ls -d /fallthru-was-here; exit 4\n");
  await terminal.until("alice -sh");
  expect(await terminal.ended).toMatchObject({ status: 4 });
});

test("su without -l runs no login shell, and the shell's own arguments reach it", async () => {
  const { stdout } = await run(["su", "alice", "--", "-c", 'echo $0 "$@"', "name", "one two"], { directory: "/" });
  expect(stdout).toBe("name one two\n");
});

test("login(1) on a console", async () => {
  const terminal = await loginOn(["login", "-f", "alice"]);
  terminal.type("echo $0 $LOGNAME; exit\n");
  await terminal.until("-sh alice");
  await terminal.ended;
});

test("limits, umask and nice value are the login's", async () => {
  const limits = "ulimit -c 0; ulimit -S -n 321; ulimit -p 4321; umask 027";
  const inside =
    "awk '/open files|processes|core/ { print $(NF-2) }' /proc/self/limits; umask; cut -d' ' -f19 /proc/self/stat";
  const words = `nice -n 3 setpriv --reuid=7001 --regid=7001 --clear-groups -- "$0" login -- sh -c "$1"`;
  const { stdout, stderr } = await run(["sh", "-c", `${limits}; ${words}; exit`, program, inside], { directory: "/" });
  expect(stdout + stderr).toBe("0\n4321\n321\n0027\n3\n");
});

test("session=login: each login has its own, home=tmpfs: an empty home of theirs alone", async () => {
  const [first, second] = await Promise.all([loginOn(["su", "-l", "bob"]), loginOn(["su", "-l", "bob"])]);
  expect(sessions()).toHaveLength(2);
  first.type("echo mine >~/file; ls -ldn ~ | cut -c1-10; df ~ | grep -c tmpfs; echo do''ne\n");
  expect(await first.until("done")).toContain("drwx------\r\n1\r\n");
  second.type("ls -A ~ | grep -c file; echo do''ne\n");
  expect(await second.until("done")).toContain("\r\n0\r\n");
});

test("who isn't named by a chroot can't log in, and is told why", async () => {
  const { status, stdout, stderr } = await su(dave, "id");
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toContain("fallthru: you can't log in here: no chroot is the login of dave\nhint: ");
});

test("on-failure: a message and no shell, or a message and the machine's own", async () => {
  const carols = await su(carol, "echo $SHELL; id -un");
  expect(carols).toMatchObject({ status: 0, stdout: "/bin/bash\ncarol\n" });
  expect(carols.stderr).toContain("fallthru: you are on this machine's own root: /nowhere");
  await stopService();
  try {
    expect(await su(alice, "id")).toMatchObject({ status: 1, stdout: "" });
    expect((await su(alice, "id")).stderr).toContain("fallthru: you can't log in here: The service isn't running");
    expect(await su(carol, "id -un")).toMatchObject({ status: 0, stdout: "carol\n" });
  } finally {
    rmSync("/run/fallthrud/socket", { force: true });
    await startService();
  }
});

test("two chroots that want one person are an error, and nobody's shell", async () => {
  describeLogin("other", "/", ["login.users=alice"]);
  const { status, stderr } = await su(alice, "id");
  rmSync("/etc/schroot/chroot.d/other.conf");
  expect(status).toBe(1);
  expect(stderr).toContain("both other and tiny want to be the login of alice");
});

test("a broken description is told with its file and line", async () => {
  describeLogin("broken", "/", ["login.users=dave", "login.session=never"]);
  const { status, stderr } = await su(dave, "id");
  rmSync("/etc/schroot/chroot.d/broken.conf");
  expect(status).toBe(1);
  expect(stderr).toContain("/etc/schroot/chroot.d/broken.conf:7: [broken] login.session");
});

test("a client that is killed, and a window that is closed, at any moment: nothing is left", async () => {
  for (const delayMs of [0, 20, 40, 60, 80, 100, 130, 160, 200, 300]) {
    for (const way of ["kill", "close"] as const) {
      const terminal = new Terminal(
        ["setpriv", "--reuid=7001", "--regid=7001", "--clear-groups", "--", program, "login"],
        { directory: "/" },
      );
      await sleep(delayMs);
      if (way === "kill") process.kill(terminal.processId, "SIGKILL");
      terminal.hangUp();
    }
  }
  await sleep(300);
  await untilNothingIsLeft();
});

test("a shell that minds no hang-up, and what it left behind, are gone within 5 seconds", async () => {
  const times: number[] = [];
  // Again where the machine was busy with something else.
  while (times.length < 3 && !times.some((ms) => ms < 5000)) {
    const terminal = await loginOn(["su", "-l", "alice"]);
    terminal.type(
      "trap '' HUP TERM; (trap '' HUP TERM; while :; do sleep 1; done) & echo min''ds; while :; do sleep 1; done\n",
    );
    await terminal.until("minds");
    terminal.hangUp();
    times.push(await untilNothingIsLeft());
  }
  expect(Math.min(...times)).toBeLessThan(5000);
});

test("a window is closed on a program that looks at no terminal: the login ends", async () => {
  const terminal = await loginOn(["su", "-l", "alice"]);
  terminal.type("echo be''gun; sleep 1000\n");
  await terminal.until("begun");
  await untilRuns("sleep 1000");
  terminal.hangUp();
  await untilNothingIsLeft();
});

test("what serves a login is killed: the session is cleared up at once", async () => {
  const terminal = await loginOn(["su", "-l", "alice"]);
  for (const pid of workers()) {
    if (readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("client")) process.kill(pid, "SIGKILL");
  }
  expect(await terminal.ended).toMatchObject({ status: 1 });
  await untilNothingIsLeft();
});

test("the service is killed: logins go on, and the last one ends its session", async () => {
  const terminal = await loginOn(["su", "-l", "alice"]);
  await stopService("leave workers");
  rmSync("/run/fallthrud/socket", { force: true });
  await startService();
  terminal.type("echo still; exit\n");
  await terminal.until("still");
  await terminal.ended;
  await untilNothingIsLeft();
});

test("an administrator may look into a session and end it by force", async () => {
  const terminal = await loginOn(["su", "-l", "alice"]);
  const [id = ""] = sessions();
  const inside = await fallthru(["run", `@${id}`, "--", "id", "-u"]);
  expect(inside).toMatchObject({ status: 0, stdout: "0\n" });
  expect(await fallthru(["end", id])).toMatchObject({ status: 4 });
  expect(await fallthru(["end", "--force", id])).toMatchObject({ status: 0, stderr: "" });
  await terminal.ended;
});

test("rm -rf --no-preserve-root / in one login harms neither the machine, nor the chroot, nor another's login", async () => {
  writeFileSync("/home/alice/precious", "still here\n");
  const [first, other] = await Promise.all([loginOn(["su", "-l", "alice"]), loginOn(["su", "-l", "bob"])]);
  const listing = (): string =>
    execFileSync("sh", ["-c", 'ls -R /home /etc | md5sum; ls /; ls -R "$0" | md5sum', root], { encoding: "utf8" });
  const before = listing();
  first.type("rm -rf --no-preserve-root / 2>/dev/null; ls -A ~ | wc -l; echo do''ne\n");
  await first.until("done\r\n");
  await fallthru(["run", "@tiny-login-7001", "--", "busybox", "rm", "-rf", "/"]);
  other.type("ls /bin/busybox; id -un; echo do''ne\n");
  expect(await other.until("done\r\n")).toContain("/bin/busybox\r\nbob\r\n");
  expect(listing()).toBe(before);
  expect(readFileSync("/home/alice/precious", "utf8")).toBe("still here\n");
});

test("200 logins at once, of two people: none fails, and nothing is left", async () => {
  const people = [alice, alice, bob];
  const all = Array.from({ length: 200 }, (_, index) => {
    const { uid } = people[index % people.length] ?? alice;
    return run(
      [
        "setpriv",
        `--reuid=${uid}`,
        `--regid=${uid}`,
        "--clear-groups",
        "--",
        program,
        "login",
        "--",
        "sh",
        "-c",
        `echo ${index}`,
      ],
      { directory: "/" },
    );
  });
  const ended = await Promise.all(all);
  expect(ended.filter(({ status, stdout }, index) => status !== 0 || stdout !== `${index}\n`)).toEqual([]);
  await untilNothingIsLeft();
  expect(readdirSync("/var/lib/fallthru/sessions/.held")).toEqual([]);
});

test("info says that packages of the root below were changed meanwhile, of sessions that were begun before", async () => {
  const terminal = await loginOn(["su", "-l", "alice"]);
  expect((await fallthru(["info", "@tiny-login-7001"])).stdout).not.toContain("root below");
  mkdirSync(`${root}/var/lib/dpkg`, { recursive: true });
  writeFileSync(`${root}/var/lib/dpkg/status`, "");
  expect((await fallthru(["info", "@tiny-login-7001"])).stdout).toMatch(/root below +packages changed 20/);
  terminal.type("exit\n");
  await terminal.ended;
  await untilNothingIsLeft();
  await sleep(20);
  await loginOn(["su", "-l", "alice"]);
  expect((await fallthru(["info", "@tiny-login-7001"])).stdout).not.toContain("root below");
});
