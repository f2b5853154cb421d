import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeClient } from "../../src/daemon/protocol.ts";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, run, type RunOptions } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";
import { Terminal } from "../support/terminal.ts";
import { type Account, as, childrenOf, games, isAlive, nobody } from "../support/service.ts";

// The installed program and the real front end, at the real socket: as users have it.

const directory = temporaryDirectory("bin");
const schroot = join(directory, "schroot");
let service: ChildProcess;

function startService(): void {
  service = spawn(executable, ["daemon", "--foreground"], { stdio: ["ignore", "inherit", "inherit"] });
}

beforeAll(async () => {
  execFileSync("chmod", ["755", directory]);
  symlinkSync(executable, schroot);
  // A directory of this test's own in its place: the machine may have a service.
  mkdirSync("/run/fallthrud", { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run/fallthrud"]);
  const keys = ["union-type=overlay", "profile=minimal", `users=nobody`, `root-users=games`];
  describeChroot("tiny", tinyRoot(), keys);
  startService();
  while ((await ask(nobody, ["-l"])).status !== 0) await sleep(20);
});

afterAll(async () => {
  await killService();
  execFileSync("umount", ["/run/fallthrud"]);
});

async function killService(): Promise<void> {
  const left = [service.pid ?? 0, ...childrenOf(service.pid ?? 0)];
  service.kill("SIGKILL");
  while (left.some(isAlive)) await sleep(10);
}

function ask(who: Account, words: readonly string[], options: RunOptions = {}) {
  return run([...as(who), schroot, ...words], { directory: "/", ...options });
}

function sessions(): string[] {
  return readdirSync("/var/lib/fallthru/sessions").filter((name) => !name.startsWith("."));
}

const notAuthorised = "E: Access not authorised\nI: You do not have permission to access the schroot service.\n";

test("members of a chroot begin, use and end sessions of it without being root", async () => {
  expect(await ask(nobody, ["-b", "-c", "tiny", "-n", "mine"])).toMatchObject({ status: 0, stdout: "mine\n" });
  const inside = await ask(nobody, ["-r", "-c", "mine", "--", "sh", "-c", "id -u; touch /tmp/file; exit 3"]);
  expect(inside).toMatchObject({ status: 3, stdout: "65534\n", stderr: "" });
  expect(await ask(nobody, ["-r", "-c", "mine", "--", "ls", "/tmp"])).toMatchObject({ stdout: "file\n" });
  expect(await ask(nobody, ["-e", "-c", "mine"])).toMatchObject({ status: 0 });
  expect(sessions()).toEqual([]);
});

test("a session whose id nobody reads, as of a build that was killed meanwhile, ends at once", async () => {
  const unread = 'pipe(R, W); close R; open(STDOUT, ">&W"); close W; exec @ARGV';
  expect(
    await run([...as(nobody), "perl", "-e", unread, schroot, "-b", "-c", "tiny"], { directory: "/" }),
  ).toMatchObject({
    status: 1,
  });
  while (sessions().length > 0) await sleep(20);
});

test("an automatic session ends with its command, or with its client", async () => {
  expect(await ask(nobody, ["-c", "tiny", "--", "echo", "well"])).toMatchObject({ status: 0, stdout: "well\n" });
  expect(sessions()).toEqual([]);
  const client = spawn(
    "setpriv",
    [...as(nobody).slice(1), schroot, "-c", "tiny", "--", "sh", "-c", "echo up; sleep 1000"],
    {
      cwd: "/",
    },
  );
  await new Promise((done) => client.stdout.once("data", done));
  client.kill("SIGKILL");
  while (sessions().length > 0) await sleep(20);
});

test("an automatic session on a terminal ends when its client is killed, and when the window is closed", async () => {
  for (const end of ["kill", "close"] as const) {
    const words = ["-c", "tiny", "-d", "/", "--", "sh", "-c", "echo up; sleep 1000"];
    const terminal = new Terminal([...as(nobody), schroot, ...words], { directory: "/" });
    await terminal.until("up\r\n");
    if (end === "kill") process.kill(terminal.processId, "SIGKILL");
    terminal.hangUp();
    await terminal.ended;
    while (sessions().length > 0) await sleep(20);
  }
});

test("a client that may have few files open can still be served to the end", async () => {
  const few = ["sh", "-c", 'ulimit -S -n 7; "$@"; exit $?', "sh"];
  const words = ["-c", "tiny", "-d", "/", "--", "sh", "-c", "ulimit -n"];
  const served = await run([...as(nobody), ...few, schroot, ...words], { directory: "/" });
  expect(served).toMatchObject({ status: 0, stdout: "7\n", stderr: "" });
  expect(sessions()).toEqual([]);
});

test("another user's session isn't theirs to run in, to end, to be root in, or to read", async () => {
  expect(await ask(nobody, ["-b", "-c", "tiny", "-n", "mine"])).toMatchObject({ status: 0 });
  for (const words of [
    ["-r", "-c", "mine", "--", "true"],
    ["-r", "-c", "mine", "-u", "root", "--", "true"],
    ["-e", "-c", "mine"],
    ["--recover-session", "-c", "mine"],
  ]) {
    const refused = await ask(games, words);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toStartWith(notAuthorised);
  }
  // Its creator may look from outside: sbuild asks whether it is a directory.
  const path = (await ask(nobody, ["--location", "-c", "session:mine"])).stdout.trim();
  expect(await run([...as(nobody), "test", "-d", `${path}/bin`])).toMatchObject({ status: 0 });
  expect(await run([...as(games), "test", "-d", path])).toMatchObject({ status: 1 });
  for (const place of ["/run/fallthru/mount", "/run/fallthru/mount/mine", path]) {
    expect(await run([...as(games), "ls", place])).toMatchObject({ status: 2, stdout: "" });
  }
  expect(await run([...as(nobody), "mv", path, `${path}.moved`])).toMatchObject({ status: 1 });
  expect(await ask(nobody, ["-e", "-c", "mine"])).toMatchObject({ status: 0 });
});

test("a session in which somebody else waits for a command isn't ended without --force, one's own is", async () => {
  const command = `${schroot} -r -c mine -- sh -c 'echo up; exec sleep 1000'`;
  for (const isOwn of [false, true]) {
    expect(await ask(nobody, ["-b", "-c", "tiny", "-n", "mine"])).toMatchObject({ status: 0 });
    // Who starts both waits for the command itself; who starts only the one is somebody else to the other.
    const script = isOwn ? `${command} & read up; ${schroot} -e -c mine; wait $!; echo $? >&2` : `${command}; echo $?`;
    const other = spawn("setpriv", [...as(nobody).slice(1), "sh", "-c", script], { cwd: "/" });
    let said = "";
    other.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
    const ended = new Promise((done) => other.once("close", done));
    await new Promise((done) => other.stdout.once("data", done));
    if (!isOwn) {
      const refused = await ask(nobody, ["-e", "-c", "mine"]);
      expect(refused).toMatchObject({ status: 1, stdout: "" });
      expect(refused.stderr).toMatch(/^E: somebody's command runs in session mine: \d+ \(.*sleep 1000\)\n/);
      expect(await ask(nobody, ["-e", "--force", "-c", "mine"])).toMatchObject({ status: 0 });
    } else other.stdin.end("up\n");
    await ended;
    expect(said).toContain(isOwn ? "Terminated" : "Killed");
    expect(sessions()).toEqual([]);
  }
});

/** Asks as root, and never reads or answers anything. */
function askDeafly(words: readonly string[]): Socket {
  const request = {
    program: "schroot" as const,
    argv: words.map((word) => Buffer.from(word)),
    environment: [],
    directory: Buffer.from("/"),
    umask: 0o22,
    fileLimit: 1024,
    descriptors: [],
    hasTerminal: false,
  };
  const socket = connect("/run/fallthru/fallthru.sock", () => socket.write(encodeClient({ kind: "request", request })));
  return socket.on("error", () => {}).pause();
}

test("a client that reads and answers nothing keeps nobody from ending the session that it runs in", async () => {
  expect(await ask(nobody, ["-b", "-c", "tiny", "-n", "mine"])).toMatchObject({ status: 0 });
  // What is said before the command is to be shown first; the second says more than fits between the two.
  const clients = [["true"], ["true", "x".repeat(1 << 20)]].map((command) =>
    askDeafly(["-v", "-r", "-c", "mine", "-d", "/", "--", ...command]),
  );
  const busy = () =>
    childrenOf(service.pid ?? 0).filter((pid) => openPaths(pid).includes("/run/fallthru/mount/mine/mine"));
  while (busy().length < clients.length) await sleep(20);
  const [quiet, loud] = clients;
  loud?.destroy();
  expect(await ask(nobody, ["-e", "-f", "-c", "mine"])).toMatchObject({ status: 0, stderr: "" });
  expect(sessions()).toEqual([]);
  quiet?.destroy();
});

function openPaths(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((name) => readlinkSync(`/proc/${pid}/fd/${name}`));
  } catch {
    return []; // It has just ended.
  }
}

test("setup scripts are told who asks, and what they say reaches them", async () => {
  const script = "/etc/schroot/setup.d/60own";
  writeFileSync(script, '#!/bin/sh\nread -r line\necho "$1 $AUTH_USER $AUTH_RUSER $AUTH_RUID $line"\n', {
    mode: 0o755,
  });
  const begun = await ask(nobody, ["-b", "-c", "tiny", "-n", "mine"], { input: "typed\n" });
  expect(begun).toMatchObject({ status: 0, stderr: "I: 60own: setup-start nobody nobody 65534 typed\n" });
  expect(await ask(nobody, ["-e", "-c", "mine"])).toMatchObject({
    status: 0,
    stderr: "I: 60own: setup-stop nobody nobody 65534 \n",
  });
  rmSync(script);
});

test("root-users may be root in it, users may not without proof of who they are", async () => {
  expect(await ask(games, ["-c", "tiny", "-u", "root", "--", "id", "-u"])).toMatchObject({ status: 0, stdout: "0\n" });
  const refused = await ask(nobody, ["-c", "tiny", "-u", "root", "--", "id", "-u"]);
  expect(refused).toMatchObject({ status: 1, stdout: "" });
  expect(refused.stderr).toBe("E: No controlling terminal\nE: Authentication failed: Authentication failure\n");
  expect(sessions()).toEqual([]);
});

test("the configuration counts as it stands when it is asked for", async () => {
  const root = tinyRoot();
  describeChroot("other", root, ["users=games"]);
  expect(await ask(nobody, ["-c", "other", "--", "true"])).toMatchObject({ status: 1 });
  describeChroot("other", root, ["users=nobody"]);
  expect(await ask(nobody, ["-c", "other", "--", "true"])).toMatchObject({ status: 0 });
});

test("names with slashes, dots and newlines name nothing", async () => {
  for (const name of ["../mine", "a/b", "..", ".", "a\nb", "a\n[tiny]", "", "-"]) {
    const asked = await ask(nobody, ["-b", "-c", "tiny", `--session-name=${name}`]);
    expect({ name, status: asked.status, stdout: asked.stdout }).toEqual({ name, status: 1, stdout: "" });
    for (const option of ["-r", "-e"]) {
      expect(
        (await ask(nobody, [option, "-c", `session:${name}`, ...(option === "-r" ? ["--", "true"] : [])])).status,
      ).toBe(1);
    }
  }
  expect(sessions()).toEqual([]);
});

test("neither the environment, nor argv[0], nor files where the client is give a client options of the service's", async () => {
  const here = temporaryDirectory("here");
  execFileSync("chmod", ["755", here]);
  writeFileSync(join(here, ".env"), "FROM_DOT_ENV=1\nBUN_OPTIONS=--print=1\n");
  writeFileSync(join(here, "bunfig.toml"), 'preload = ["./preload.ts"]\n');
  writeFileSync(join(here, "preload.ts"), 'console.log("preloaded");\n');
  writeFileSync(
    join(here, "package.json"),
    '{ "imports": { "#*": "./preload.ts" }, "bun": { "preload": "./preload.ts" } }\n',
  );
  writeFileSync(join(here, "tsconfig.json"), '{ "compilerOptions": { "paths": { "*": ["./preload.ts"] } } }\n');
  const env = {
    NODE_OPTIONS: "--require ./preload.ts",
    NODE_PATH: here,
    BUN_CONFIG_PRELOAD: "./preload.ts",
    JSC_useJIT: "0",
    MALLOC_CHECK_: "3",
    GCONV_PATH: here,
    LOCPATH: here,
    LD_AUDIT: "",
    LD_LIBRARY_PATH: here,
    BUN_INSPECT: "",
    PATH: `${here}:/bin:/usr/bin`,
  };
  const words = ["-c", "tiny", "-d", "/", "--", "env"];
  const { stdout, status } = await ask(nobody, words, { directory: here, env });
  expect(status).toBe(0);
  expect(stdout).not.toMatch(/FROM_DOT_ENV|preload|NODE_|LD_|BUN_|JSC_|MALLOC_|GCONV_|LOCPATH/);
  for (const pid of childrenOf(service.pid ?? 0))
    expect(readFileSync(`/proc/${pid}/environ`, "latin1")).toMatch(/^PATH=[^\0]*\0$/);
  expect(stdout).toContain("PATH=/usr/local/bin:/usr/bin:/bin\n");
  const named = await run([...as(nobody), "bash", "-c", `exec -a --user=root ${schroot} -V`], { directory: "/" });
  expect(named.stdout).not.toContain("root");
});

test("a service that is killed leaves sessions as they are, and the next one goes on with them", async () => {
  expect(await ask(nobody, ["-b", "-c", "tiny", "-n", "stays"])).toMatchObject({ status: 0 });
  await killService();
  const refused = await ask(nobody, ["-r", "-c", "stays", "--", "true"]);
  expect(refused).toMatchObject({ status: 1 });
  expect(refused.stderr).toContain("The service isn't running");
  startService();
  while ((await ask(nobody, ["-r", "-c", "stays", "--", "true"])).status !== 0) await sleep(20);
  expect(await ask(nobody, ["-e", "-c", "stays"])).toMatchObject({ status: 0 });
});
