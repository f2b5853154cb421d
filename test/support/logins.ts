// What the tests of logins share: a machine with people, a service, and an sshd, in the test's own mount name space.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryDirectory } from "./directories.ts";
import { executable, run, type RunOptions, type RunResult } from "./fallthru.ts";
import { childrenOf, isAlive } from "./service.ts";
import { Terminal, type TerminalOptions } from "./terminal.ts";

export interface Person {
  readonly name: string;
  readonly uid: number;
}

/** People of the test's own machine, all in the group `students` (7100). */
export const [alice, bob, carol, dave] = ["alice", "bob", "carol", "dave"].map((name, index) => {
  return { name, uid: 7001 + index };
}) as [Person, Person, Person, Person];
const students = 7100;
const people = [alice, bob, carol, dave];

const covered = ["/etc", "/home", "/run/fallthrud"];
const bin = temporaryDirectory("bin");
/** As it is installed: /usr/bin/fallthru-login. */
const loginShell = join(bin, "fallthru-login");
export const program = join(bin, "fallthru");
const key = join(temporaryDirectory("keys"), "id");
let service: ChildProcess | undefined;

/** Lays an /etc and a /home of the test's own over the machine's, with people who have `shell`. */
export function makeMachine(shell: string = loginShell): void {
  chmodSync(bin, 0o755);
  for (const path of [loginShell, program]) symlinkSync(executable, path);
  const places = temporaryDirectory("machine");
  chmodSync(places, 0o755);
  for (const path of covered) {
    const place = join(places, path);
    mkdirSync(place, { recursive: true });
    mkdirSync(path, { recursive: true });
    if (path === "/etc") execFileSync("cp", ["-a", "/etc/.", place]);
    execFileSync("mount", ["--bind", place, path]);
  }
  appendFileSync("/etc/shells", `${loginShell}\n`);
  appendFileSync("/etc/group", `students:x:${students}:${people.map(({ name }) => name).join(",")}\n`);
  for (const { name, uid } of people) {
    appendFileSync("/etc/passwd", `${name}:x:${uid}:${uid}:${name}:/home/${name}:${shell}\n`);
    appendFileSync("/etc/group", `${name}:x:${uid}:\n`);
    appendFileSync("/etc/shadow", `${name}:*:19000:0:99999:7:::\n`);
    mkdirSync(`/home/${name}/.ssh`, { recursive: true });
    chmodSync(`/home/${name}`, 0o700);
  }
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  for (const { name, uid } of people) {
    copyFileSync(`${key}.pub`, `/home/${name}/.ssh/authorized_keys`);
    for (const path of ["", "/.ssh", "/.ssh/authorized_keys"]) chownSync(`/home/${name}${path}`, uid, uid);
  }
}

export async function unmakeMachine(): Promise<void> {
  await stopService();
  for (const sshd of daemons.splice(0)) await sshd[Symbol.asyncDispose]();
  for (const path of covered.toReversed()) await unmount(path);
}

/** What has just ended may still be letting go of it. */
async function unmount(path: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const { status, stderr } = await run(["umount", path]);
    if (status === 0) return;
    if (!stderr.includes("busy") || tries === 100) throw new Error(stderr);
    await sleep(20);
  }
}

/** Lays a layer of the test's own over a directory of the machine's. */
export function coverDirectory(path: string): void {
  const [upper = "", work = ""] = ["upper", "work"].map((name) => join(temporaryDirectory("cover"), name));
  for (const each of [upper, work]) mkdirSync(each);
  chmodSync(upper, 0o755);
  const options = `lowerdir=${path},upperdir=${upper},workdir=${work}`;
  execFileSync("mount", ["-t", "overlay", "overlay", "-o", options, path]);
}

export function uncoverDirectory(path: string): void {
  execFileSync("umount", ["--lazy", path]);
}

/** Puts ours into /usr/bin, as the package has them, until uncoverDirectory() is called for that. */
export function coverPrograms(): void {
  coverDirectory("/usr/bin");
  for (const name of ["fallthru", "fallthru-login"]) {
    rmSync(`/usr/bin/${name}`, { force: true });
    symlinkSync(executable, `/usr/bin/${name}`);
  }
}

/** Describes the chroot that is these people's login. */
export function describeLogin(name: string, directory: string, keys: readonly string[]): void {
  const lines = [
    `[${name}]`,
    "type=directory",
    `directory=${directory}`,
    ...(keys.some((key) => key.startsWith("union-type=")) ? [] : ["union-type=overlay"]),
    "profile=minimal",
    ...keys,
  ];
  writeFileSync(`/etc/schroot/chroot.d/${name}.conf`, `${lines.join("\n")}\n`);
}

export async function startService(): Promise<void> {
  service = spawn(executable, ["daemon", "--foreground"], { stdio: ["ignore", "inherit", "inherit"] });
  while (!existsSync("/run/fallthrud/socket")) await sleep(10);
}

export async function stopService(whom: "workers too" | "leave workers" = "workers too"): Promise<void> {
  if (service?.pid === undefined) return;
  const left = [service.pid, ...(whom === "workers too" ? childrenOf(service.pid) : [])];
  service.kill("SIGKILL");
  service = undefined;
  while (left.some(isAlive)) await sleep(10);
}

/** A command that tells whether it runs in a session of a tiny root's: the machine alone has descriptions of chroots. */
export const tellWhere = "if [ -e /etc/schroot/chroot.d ]; then echo outside; else echo inside; fi";

/** A login by our client alone, without su(1) or sshd. @param outer what starts it as root @param inner as the person */
export function loginBy(
  { uid }: Person,
  { outer = [] as readonly string[], inner = [] as readonly string[], script = tellWhere } = {},
): Promise<RunResult> {
  const ids = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--"];
  const words = [...outer, ...ids, ...inner, `${program}-login`, "-c", script];
  return run(words, { directory: "/", timeoutMs: 120_000 });
}

const open: Terminal[] = [];

/** A login on a terminal, alice's where nothing else is said, that shows its prompt; closed by closeTerminals(). */
export async function loginOn(
  words: readonly string[] = ["su", "-l", alice.name],
  options: TerminalOptions = {},
): Promise<Terminal> {
  const env = { SSH_AUTH_SOCK: undefined, ...options.env };
  const terminal = new Terminal(words, { directory: "/", ...options, env });
  open.push(terminal);
  await terminal.until(/[$#] /);
  return terminal;
}

/** What `login.keep=ask` asks with. */
export const question = "[d]rop everything? ";

/** A login on a terminal that does this and logs out, up to the question. */
export async function untilAsked(
  script: string,
  words?: readonly string[],
): Promise<{ terminal: Terminal; screen: string }> {
  const terminal = await loginOn(words);
  terminal.type(`${script}; exit 3\n`);
  return { terminal, screen: await terminal.until(question) };
}

/** Leaves only their ssh keys in them. */
export function emptyHomes(...whose: readonly Person[]): void {
  for (const { name } of whose) {
    for (const each of readdirSync(`/home/${name}`)) {
      if (each !== ".ssh") rmSync(`/home/${name}/${each}`, { recursive: true });
    }
  }
}

/** Closes the windows that a test has left open: theirs hang up. */
export function closeTerminals(): void {
  for (const terminal of open.splice(0)) terminal.hangUp();
}

/** The service's own process. */
export function servicePid(): number {
  if (service?.pid === undefined) throw new Error("there is no service");
  return service.pid;
}

/** The processes that the service has started. */
export function workers(): number[] {
  return service?.pid === undefined ? [] : childrenOf(service.pid);
}

/** The processes of the program under test that are this verb. */
export function ownProcesses(verb: string): number[] {
  const path = realpathSync(executable);
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(`${path}\0${verb}\0`);
      } catch {
        return false; // It has just ended.
      }
    })
    .map(Number);
}

/** The first processes of pid name spaces that logins of this test's have to themselves, where root is bound. */
export function firstProcesses(): number[] {
  const spaceOf = (pid: string): string => readlinkSync(`/proc/${pid}/ns/mnt`);
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        const isFirst = /^NSpid:.*\t1$/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
        return isFirst && spaceOf(pid) === spaceOf("self") && readFileSync(`/proc/${pid}/cmdline`, "utf8") === "cat\0";
      } catch {
        return false; // It has just ended.
      }
    })
    .map(Number);
}

/** The sessions that there are, also half-made ones. */
export function sessions(): string[] {
  return namesIn("/var/lib/fallthru/sessions").filter((name) => !name.startsWith("."));
}

/** Before the first of them there isn't even the directory. */
function namesIn(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** Waits until nothing is left of any login; @returns how long that took, in milliseconds */
export async function untilNothingIsLeft(patienceMs = 30_000): Promise<number> {
  const start = performance.now();
  const left = (): readonly string[] => [
    ...sessions(),
    ...namesIn("/var/lib/fallthru/sessions/.held"),
    ...namesIn("/run/fallthru/mount"),
    ...namesIn("/run/fallthru/upper"),
  ];
  while (left().length > 0) {
    if (performance.now() - start > patienceMs) throw new Error(`left behind: ${left().join(" ")}`);
    await sleep(10);
  }
  return performance.now() - start;
}

const daemons: Sshd[] = [];

/** sshd on a port of the loopback, as the machine's own with this in its configuration besides. */
export class Sshd implements AsyncDisposable {
  /** The private key of all people. */
  readonly key = key;
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
  }

  static async start(more: readonly string[] = []): Promise<Sshd> {
    mkdirSync("/run/sshd", { recursive: true });
    const port = await freePort();
    const directory = temporaryDirectory("sshd");
    const config = join(directory, "sshd_config");
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(directory, "host")]);
    const lines = [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${join(directory, "host")}`,
      `PidFile ${join(directory, "pid")}`,
      "UsePAM yes",
      "StrictModes no",
      "MaxStartups 300",
      "PrintMotd no",
      "AcceptEnv LANG LC_*",
      ...(more.some((line) => line.startsWith("Subsystem")) ? [] : ["Subsystem sftp /usr/lib/openssh/sftp-server"]),
      ...more,
    ];
    writeFileSync(config, `${lines.join("\n")}\n`);
    const child = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", config], { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr.setEncoding("utf8");
    let log = "";
    await new Promise<void>((done, fail) => {
      child.stderr.on("data", (text: string) => {
        log += text;
        if (log.includes("Server listening")) done();
      });
      child.on("exit", () => fail(new Error(log)));
    });
    const sshd = new Sshd(port, child);
    daemons.push(sshd);
    return sshd;
  }

  /** The words of ssh(1) or one of its kind, up to the host. */
  options(): string[] {
    const settings = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"];
    return [`-oPort=${this.port}`, "-F", "/dev/null", "-i", key, ...settings.map((setting) => `-o${setting}`)];
  }

  ssh({ name }: Person, ...words: readonly string[]): string[] {
    return ["ssh", ...this.options(), `${name}@127.0.0.1`, ...words];
  }

  /** @param options `forward`: the agent, too */
  run(
    { name }: Person,
    words: readonly string[],
    { forward = false, ...options }: RunOptions & { readonly forward?: boolean } = {},
  ): Promise<RunResult> {
    const command = ["ssh", ...this.options(), ...(forward ? ["-A"] : []), `${name}@127.0.0.1`, ...words];
    return run(command, { timeoutMs: 120_000, ...options });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    await new Promise((done) => {
      this.#child.on("exit", done);
      this.#child.kill("SIGTERM");
    });
  }
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.on("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
