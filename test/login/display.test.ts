// deadline: 200
// What a display manager runs, under Xvfb: a desktop in the person's session, with windows, a message bus of its own, sound's sockets.
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryDirectory } from "../support/directories.ts";
import { run, type RunResult } from "../support/fallthru.ts";
import {
  alice,
  bob,
  coverPrograms,
  dave,
  describeLogin,
  makeMachine,
  type Person,
  sessions,
  startService,
  uncoverDirectory,
  unmakeMachine,
  untilNothingIsLeft,
} from "../support/logins.ts";

const wrapper = resolve(import.meta.dirname, "../../share/fallthru/Xsession");
const runtime = `/run/user/${alice.uid}`;
const directory = temporaryDirectory("x");
const shared = temporaryDirectory("shared");
let server: ChildProcess;
let display: string;
const servers: Server[] = [];
/** Who answers in alice's XDG_RUNTIME_DIR. */
const listening = ["pulse/native", "pipewire-0", "wayland-3", "bus", "S.agent"];

beforeAll(async () => {
  makeMachine("/bin/bash");
  coverPrograms();
  describeLogin("desktop", "/", ["login.users=alice", `login.share=${shared}`]);
  await startService();
  execFileSync("chmod", ["755", directory, shared]);
  display = await startServer();
  // Of this test's own: others have people of the same numbers.
  mkdirSync("/run/user", { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run/user"]);
  for (const path of [runtime, `${runtime}/pulse`]) mkdirSync(path, { recursive: true, mode: 0o700 });
  for (const path of [runtime, `${runtime}/pulse`]) chownSync(path, alice.uid, alice.uid);
  for (const name of listening) await serve(name, name);
});

/** Somebody of alice's who answers at a socket of this name with a line. */
async function serve(name: string, line: string): Promise<void> {
  const path = `${runtime}/${name}`;
  const server = createServer((socket) => socket.end(`${line}\n`));
  servers.push(server);
  await new Promise<void>((done) => server.listen(path, done));
  chownSync(path, alice.uid, alice.uid);
}

afterEach(() => untilNothingIsLeft());

afterAll(async () => {
  for (const each of servers) each.close();
  execFileSync("umount", ["--lazy", "/run/user"]);
  const ended = new Promise((done) => server.on("exit", done));
  server.kill("SIGTERM");
  await ended;
  uncoverDirectory("/usr/bin");
  await unmakeMachine();
});

/** Xvfb lets nobody in without the key, as display managers' servers do. @returns its display */
async function startServer(): Promise<string> {
  const authority = join(directory, "server");
  execFileSync("xauth", ["-f", authority, "add", ":0", ".", "0123456789abcdef0123456789abcdef"], { stdio: "ignore" });
  const number = join(directory, "number");
  const words = ["-c", `exec Xvfb -displayfd 3 -auth "$0" -nolisten tcp -noreset -screen 0 320x200x24 3>"$1"`];
  server = spawn("sh", [...words, authority, number], { stdio: "ignore" });
  for (let tries = 0; tries < 3000 && !(existsSync(number) && readFileSync(number, "utf8").endsWith("\n")); tries++) {
    await sleep(20);
  }
  return `:${readFileSync(number, "utf8").trim()}`;
}

/** As a display manager does it: the person's process, with the display, a key of their own, no terminal. */
function desktop(person: Person, ...command: readonly string[]): Promise<RunResult> {
  return desktopWith({}, person, ...command);
}

function desktopWith(
  more: Readonly<Record<string, string>>,
  person: Person,
  ...command: readonly string[]
): Promise<RunResult> {
  const key = join(directory, `key-${person.name}`);
  rmSync(key, { force: true });
  execFileSync("xauth", ["-f", key, "add", display, ".", "0123456789abcdef0123456789abcdef"], { stdio: "ignore" });
  chownSync(key, person.uid, person.uid);
  const env = {
    DISPLAY: display,
    XAUTHORITY: key,
    XDG_RUNTIME_DIR: `/run/user/${person.uid}`,
    HOME: `/home/${person.name}`,
    USER: person.name,
    LOGNAME: person.name,
    SHELL: "/bin/bash",
    PATH: "/usr/bin:/bin",
    ...more,
  };
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const ids = [`--reuid=${person.uid}`, `--regid=${person.uid}`, "--clear-groups"];
  return run(["env", "-i", ...settings, "setpriv", ...ids, "--", ...command], {
    directory: "/",
    timeoutMs: 60_000,
  });
}

/** The desktop: a program with one name, as a display manager names it; what it says goes to ~/.xsession-errors, and with that. */
async function desktopOf(
  person: Person,
  script: string,
  more: Readonly<Record<string, string>> = {},
): Promise<RunResult & { readonly shown: string }> {
  const [program, shown] = ["desktop", "shown"].map((name) => join(shared, name)) as [string, string];
  writeFileSync(program, `#!/bin/bash\nexec >${shown} 2>&1\n${script}\n`, { mode: 0o755 });
  writeFileSync(shown, "");
  execFileSync("chmod", ["666", shown]);
  const ended = await desktopWith(more, person, wrapper, program);
  return { ...ended, shown: readFileSync(shown, "utf8") };
}

test("a window is opened and a property read, with the display's key", async () => {
  const script = `
    echo $FALLTHRU_SESSION $XAUTHORITY; xdpyinfo | grep dimensions
    xprop -root -f FALLTHRU_TEST 8s -set FALLTHRU_TEST inside; xprop -root FALLTHRU_TEST
    xev -name fallthru-window >/dev/null 2>&1 &
    for try in $(seq 100); do xwininfo -name fallthru-window >/dev/null 2>&1 && break; sleep 0.05; done
    xprop -name fallthru-window WM_NAME
    xwininfo -name fallthru-window | grep -c IsViewable
    XAUTHORITY=/dev/null xdpyinfo >/dev/null 2>&1 || echo refused without`;
  const { shown, status } = await desktopOf(alice, script);
  expect(status).toBe(0);
  expect(shown).toMatch(/^desktop-login-7001 \/run\/host\/login-\w+\/xauthority$/m);
  expect(shown).toContain("320x200 pixels");
  expect(shown).toContain('FALLTHRU_TEST(STRING) = "inside"');
  expect(shown).toContain('WM_NAME(STRING) = "fallthru-window"\n1\nrefused without\n');
});

test("a message bus of the session's own, and what it starts is in the session", async () => {
  const script = `
    mkdir -p ~/.local/share/dbus-1/services
    printf '%s\\n' '[D-BUS Service]' Name=org.fallthru.Test "Exec=/bin/sh -c 'stat -c %d:%i / >/tmp/fallthru-bus'" >~/.local/share/dbus-1/services/t.service
    stat -c %d:%i /
    dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId | grep -c string
    dbus-send --session --print-reply --reply-timeout=2000 --dest=org.fallthru.Test / org.fallthru.Test.Go >/dev/null 2>&1
    cat /tmp/fallthru-bus; echo $DBUS_SESSION_BUS_ADDRESS`;
  const { shown } = await desktopOf(alice, script);
  const [root, answers, started, address] = shown.split("\n");
  expect(answers).toBe("1");
  expect(started).toBe(root);
  expect(address).toStartWith("unix:");
  expect(address).not.toContain(`${runtime}/bus`);
  expect(existsSync("/tmp/fallthru-bus")).toBe(false);
});

test("XDG_RUNTIME_DIR is the session's own, with the machine's sound and screen; who would start programs outside isn't there", async () => {
  const ask = `perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(Peer => shift); print $s ? $s->getline : "nobody\n"'`;
  const script = `
    cd $XDG_RUNTIME_DIR; pwd; stat -c %u:%a . pulse; ls -d p* w* b* S* 2>/dev/null
    for each in ${listening.join(" ")}; do ${ask} $PWD/$each; done
    echo own >here`;
  const { shown } = await desktopOf(alice, script, { WAYLAND_DISPLAY: "wayland-3" });
  expect(shown).toBe(
    `${runtime}\n${alice.uid}:700\n${alice.uid}:700\npipewire-0\npulse\nwayland-3\n${listening.slice(0, 3).join("\n")}\nnobody\nnobody\n`,
  );
  expect(existsSync(`${runtime}/here`)).toBe(false);
});

/** A login of alice's, of a shell in her XDG_RUNTIME_DIR. */
function login(script: string): Promise<RunResult> {
  return desktop(alice, "/usr/bin/fallthru", "login", "--", "bash", "-c", `cd $XDG_RUNTIME_DIR; ${script}`);
}

/** Has as many logins be in one session, after their scripts, until `then` is done. @returns what they showed */
async function during(scripts: readonly string[], then: () => Promise<void>): Promise<string[]> {
  const staying = scripts.map((script) => login(`${script}; echo >>in; until [ -e over ]; do sleep 0.02; done`));
  try {
    await login(`until [ -e in ] && [ $(wc -l <in) = ${scripts.length} ]; do sleep 0.02; done`);
    await then();
  } finally {
    await login("touch over");
  }
  const ended = await Promise.all(staying);
  await untilNothingIsLeft();
  return ended.map(({ stdout }) => stdout);
}

const asking = `perl -MIO::Socket::UNIX -e 'print IO::Socket::UNIX->new(Peer => shift)->getline' $PWD/pipewire-0`;

test("a login that joins has what the machine shows by now, and none is led astray by what the person has made there", async () => {
  const first = await during([asking], async () => {
    rmSync(`${runtime}/pipewire-0`);
    await serve("pipewire-0", "by now");
    expect((await login(asking)).stdout).toBe("by now\n");
    rmSync(`${runtime}/pipewire-0`);
    await serve("pipewire-0", "still later");
    expect((await login(asking)).stdout).toBe("still later\n");
  });
  expect(first).toEqual(["pipewire-0\n"]);
  await during(["ln -s /etc/passwd pipewire-0-manager"], async () => {
    await serve("pipewire-0-manager", "led astray");
    expect((await login("test -f /etc/passwd && id -un")).stdout).toBe("alice\n");
  });
});

test("logins that come at once show a socket once: outside it can be removed and made again", async () => {
  for (let round = 0; round < 6; round++) {
    const shown = await during(
      Array<string>(12).fill("grep -c ' /run/user/7001/pipewire-0 ' /proc/self/mountinfo"),
      async () => {
        rmSync(`${runtime}/pipewire-0`);
        await serve("pipewire-0", "again");
      },
    );
    expect(shown).toEqual(Array<string>(12).fill("1\n"));
  }
});

test("at the end nothing is left, also of what the desktop has started, and of a display that is gone", async () => {
  const { shown } = await desktopOf(
    alice,
    "xev >/dev/null 2>&1 & sleep 1000 & echo started; touch ~/lost /tmp/fallthru-lost",
  );
  expect(shown).toContain("started");
  await untilNothingIsLeft();
  expect(sessions()).toEqual([]);
  expect([existsSync("/home/alice/lost"), existsSync("/tmp/fallthru-lost")]).toEqual([false, false]);
  expect(readdirSync("/home/alice")).toEqual([".ssh"]);
});

test("a command without Xsession's ways, and its output, is as near: fallthru login -- COMMAND", async () => {
  const { stdout } = await desktop(alice, "/usr/bin/fallthru", "login", "--", "xdpyinfo");
  expect(stdout).toContain("320x200 pixels");
});

test("people whose login is none of ours get the machine's own Xsession; on failure nobody does", async () => {
  // The machine's own agent stays for 10 seconds after the desktop.
  appendFileSync("/etc/X11/Xsession.options", "no-use-ssh-agent\n");
  const { shown, stderr } = await desktopOf(dave, "echo session:$FALLTHRU_SESSION.; id -un");
  expect({ shown, stderr }).toEqual({ shown: "session:.\ndave\n", stderr: "" });
  describeLogin("broken", "/nowhere", ["login.users=bob"]);
  const failed = await desktopOf(bob, "echo in");
  rmSync("/etc/schroot/chroot.d/broken.conf");
  expect(failed).toMatchObject({ status: 1, shown: "" });
  expect(failed.stderr).toContain("fallthru: you can't log in here");
});

test("login.keep=ask asks on the screen at a desktop's logout: what is saved comes to the real home, as the person's", async () => {
  describeLogin("desktop", "/", ["login.users=alice", "login.keep=ask", `login.share=${shared}`]);
  const asked = join(shared, "asked");
  try {
    // As zenity(1) has it: what the extra button says is printed, and a window that is closed ends like Cancel, without a word.
    for (const [end, kept] of [
      ["echo Drop; exit 1", []],
      ["exit 1", ["unsaved"]],
      ["exit 0", ["made", "unsaved"]],
    ] as const) {
      writeFileSync("/usr/bin/zenity", `#!/bin/sh\nprintf '%s\\n' "$@" >>${asked}\n${end}\n`, { mode: 0o755 });
      writeFileSync(asked, "");
      execFileSync("chmod", ["666", asked]);
      expect(await desktopOf(alice, "touch ~/made; exit 3")).toMatchObject({ status: 3 });
      await untilNothingIsLeft();
      expect(readFileSync(asked, "utf8")).toContain("\n  made\nSave it to your real home?\n");
      const saved = readdirSync("/home/alice").filter((name) => !name.startsWith("."));
      expect({ end, saved: saved.toSorted() }).toEqual({ end, saved: [...kept] });
    }
    expect(statSync("/home/alice/made").uid).toBe(alice.uid);
    expect(savedInstead()).toEqual(["made"]);
    writeFileSync(asked, "");
    // Where nothing was changed.
    await desktop(alice, "/usr/bin/fallthru", "login", "--", "true");
    expect(readFileSync(asked, "utf8")).toBe("");
  } finally {
    for (const name of ["made", "unsaved"]) rmSync(`/home/alice/${name}`, { recursive: true, force: true });
    rmSync("/usr/bin/zenity", { force: true });
  }
});

test("kdialog: what it prints counts, never its status, which a lost screen has, too", async () => {
  try {
    for (const [end, kept] of [
      ["echo drop", []],
      ["echo save", ["made"]],
      ["echo 'The X11 connection broke' >&2; exit 1", ["unsaved"]],
    ] as const) {
      writeFileSync("/usr/bin/kdialog", `#!/bin/sh\n${end}\n`, { mode: 0o755 });
      expect(await desktopOf(alice, "touch ~/made; exit 3")).toMatchObject({ status: 3 });
      await untilNothingIsLeft();
      const saved = readdirSync("/home/alice").filter((name) => !name.startsWith("."));
      expect({ end, saved }).toEqual({ end, saved: [...kept] });
      for (const name of saved) rmSync(`/home/alice/${name}`, { recursive: true });
    }
  } finally {
    rmSync("/usr/bin/kdialog", { force: true });
  }
});

/** What is in ~/unsaved/DATE, but for what the desktop's log is. */
function savedInstead(): string[] {
  const names = readdirSync("/home/alice/unsaved").flatMap((date) => readdirSync(`/home/alice/unsaved/${date}`));
  return names.filter((name) => name !== ".xsession-errors");
}

test("xmessage is taken where the root has nothing better; whose window is closed, or screen is gone, has the files in ~/unsaved", async () => {
  const ended = desktopOf(alice, "touch ~/made; exit 4");
  let pids: string[] = [];
  for (let tries = 0; pids.length === 0 && tries < 3000; tries++) {
    await sleep(20);
    pids = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && nameOf(pid) === "xmessage");
  }
  for (const pid of pids) process.kill(Number(pid), "SIGTERM");
  expect(await ended).toMatchObject({ status: 4 });
  await untilNothingIsLeft();
  expect(existsSync("/home/alice/made")).toBe(false);
  expect(savedInstead()).toEqual(["made"]);
  rmSync("/home/alice/unsaved", { recursive: true });
});

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return ""; // It has just ended.
  }
}
