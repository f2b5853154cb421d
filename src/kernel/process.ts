import {
  CLOSE_RANGE_CLOEXEC,
  CLONE,
  F_SETFD,
  RLIMIT_NOFILE,
  SYS_close_range,
  SYS_faccessat2,
  threadCallNumbers,
} from "./abi/process.ts";
import { AT } from "./abi/file.ts";
import { check, errnoName, isErrno, KernelError } from "./error.ts";
import type { Fd } from "./fd.ts";
import { addressOf, bare, cString, isBun, lastErrno, native, type Path, quick, withoutErrno } from "./libc.ts";
import { dropLastSteps } from "./self.ts";
import { raiseLoopback } from "./loopback.ts";
import type { Attachment } from "./stdio.ts";

const syscall3 = quick("syscall", "long", ["long", "long", "long", "long"]);
const setgroups_ = quick("syscall", "long", ["long", "long", "void *"]);
const unshare_ = quick("unshare", "int", ["int"]);
const setns_ = quick("setns", "int", ["int", "int"]);
export const bareUnshare = bare("unshare", "int", ["int"]);
export const bareSetns = bare("setns", "int", ["int", "int"]);
const fchdir_ = quick("fchdir", "int", ["int"]);
const chdir_ = quick("chdir", "int", ["void *"]);
const chroot_ = quick("chroot", "int", ["void *"]);
const execve_ = quick("execve", "int", ["void *", "void *", "void *"]);
// The call itself, for faccessat(2) without a number of its own asks for the real user id.
const faccessat2_ = quick("syscall", "long", ["long", "int", "void *", "int", "int"]);
const canAccess_ = withoutErrno("syscall", "long", ["long", "int", "void *", "int", "int"]);
// The bare call: glibc refuses 32 and 33, which its own posix_spawn(3) leaves ignored in a child.
const sigaction_ = withoutErrno("syscall", "long", ["long", "long", "void *", "void *", "size_t"]);
const sigprocmask_ = withoutErrno("syscall", "long", ["long", "int", "void *", "void *", "size_t"]);
const prlimit_ = quick("prlimit", "int", ["int", "int", "void *", "void *"]);
const sethostname_ = native("sethostname", "int", ["void *", "size_t"]);
const personality_ = quick("personality", "int", ["unsigned long"]);
const fcntl_ = quick("fcntl", "int", ["int", "int", "int"]);

export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  /** The supplementary groups. */
  readonly groups: readonly number[];
}

/** Where and as whom a program starts. */
export interface Surroundings {
  readonly root: Fd;
  readonly credentials: Credentials;
  /** Tried in this order, inside the root and as the user; the first that can be entered is taken. */
  readonly directories: readonly Path[];
  readonly network: "host" | "none";
  readonly hostname?: string | undefined;
  /** For personality(2). */
  readonly personality?: number | undefined;
  /** The child's pid name space: a new one, whose first process it is, or one that is there (/proc/PID/ns/pid). */
  readonly pidSpace?: "new" | Fd;
  /** The child's mount name space, where it isn't ours: /proc/PID/ns/mnt. */
  readonly mountSpace?: Fd;
}

export interface Program {
  /** Its name as typed: searched in `env`'s PATH unless it has a slash. */
  readonly file: Path;
  readonly argv: readonly Path[];
  readonly env: Readonly<Record<string, Path>>;
  /** Stays open in a child under its own number. */
  readonly inherits?: Fd;
  /** Of a child that isn't to have our own descriptors. */
  readonly attachment?: Attachment;
}

/**
 * Replaces this process by `program`: signals, job control and exit status are then the program's own.
 * Every signal's disposition and the mask are reset (Bun leaves SIGPIPE and SIGXFSZ ignored), the limit of open
 * files is the caller's again (Bun raises it), and no descriptor but 0–2 stays open.
 * @throws {KernelError} the process has then changed its root and user, and can do no more than say so and exit
 */
export function become(where: Surroundings, program: Program): never {
  dropLastSteps();
  isolate(where);
  resetSignals();
  // From here on no file may be read for our own sake (koffi): it would be the root's.
  enter(where);
  return replaceSelf(program);
}

/** The same without a change of root, user or directory: also for who has no rights. */
export function becomeHere(program: Program): never {
  resetSignals();
  return replaceSelf(program);
}

function replaceSelf(program: Program): never {
  const file = findExecutable(program);
  restoreFileLimit();
  closeOnExec();
  execute(file, program.argv, program.env);
  if (errnoName(lastErrno()) === "ENOEXEC") {
    execute("/bin/sh", ["/bin/sh", file, ...program.argv.slice(1)], program.env);
  }
  throw new KernelError({ syscall: "run", path: file, errno: errnoName(lastErrno()) });
}

/** As become(), by who stays what and where they are. @param keeps stay open under their own numbers */
export function replaceBy(program: Program, keeps: readonly Fd[]): never {
  const file = findExecutable(program);
  resetSignals();
  restoreFileLimit();
  closeOnExec();
  for (const { number, path } of keeps) check("fcntl", path, fcntl_(number, F_SETFD, 0));
  execute(file, program.argv, program.env);
  throw new KernelError({ syscall: "run", path: file, errno: errnoName(lastErrno()) });
}

/** Goes on in a directory, or in `/` where that can't be entered. What this process starts has no other descriptors than it is given. */
export function settle(directory: Path): void {
  closeOnExec();
  changeDirectory([directory, "/"]);
}

/** Returns only where it fails; lastErrno() says why. */
function execute(file: Path, argv: readonly Path[], env: Program["env"]): void {
  withPointers(argv, (words) => withPointers(environmentLines(env), (lines) => execve_(cString(file), words, lines)));
}

/** New name spaces for this thread: a network that is only the loopback, a host name of its own. */
export function isolate(where: Pick<Surroundings, "network" | "hostname" | "mountSpace">): void {
  if (where.network === "none") {
    check("unshare network", "", unshare_(CLONE.NEWNET));
    raiseLoopback();
  }
  if (where.mountSpace !== undefined) changeSpace(where.mountSpace, CLONE.NEWNS);
  if (where.hostname !== undefined) {
    check("unshare host name", "", unshare_(CLONE.NEWUTS));
    const name = Buffer.from(where.hostname);
    check("sethostname", where.hostname, sethostname_(name, name.length));
  }
}

/** Threads that were made since then share this one's directories, and then Linux refuses a mount name space: none is made between these two. */
export function changeSpace(space: Fd, kind: number): void {
  const [unshare, setns, { number }, { FS }] = [bareUnshare(), bareSetns(), space, CLONE];
  if (unshare(FS) === 0 && setns(number, kind) === 0) return;
  check("setns", space, setns_(number, kind));
}

/** Gives this thread, and what it starts from now on, name spaces of its own. @see unshare(2) */
export function unshareThread(spaces: number): void {
  check("unshare", "", unshare_(spaces));
}

/** What is to be put right again: where something is refused, that of what comes behind would be refused, too. */
export interface Changed {
  root?: true;
  groups?: true;
}

/**
 * The user's ids are set for this thread alone, by the bare system calls; who comes back notes it, and keeps the saved id 0, and the real
 * one, which is what the user may signal and what counts as a process of theirs.
 */
export function enter(where: Surroundings, changed?: Changed): void {
  const { uid, gid, groups } = where.credentials;
  const calls = threadCallNumbers();
  check("chdir", where.root, fchdir_(where.root.number));
  check("chroot", where.root, chroot_(cString(".")));
  if (changed !== undefined) changed.root = true;
  check("chdir", "/", chdir_(cString("/")));
  setGroups(groups);
  if (changed !== undefined) changed.groups = true;
  const comesBack = changed !== undefined;
  check("setgid", "", syscall3(calls.setresgid, gid, gid, comesBack ? 0 : gid));
  check("setuid", "", syscall3(calls.setresuid, comesBack ? -1 : uid, uid, comesBack ? 0 : uid));
  if (where.personality !== undefined) check("set personality", "", personality_(where.personality));
  changeDirectory(where.directories);
}

export function setGroups(groups: readonly number[]): void {
  const list = new Uint8Array(new Uint32Array([...groups, 0]).buffer);
  check("setgroups", "", setgroups_(threadCallNumbers().setgroups, groups.length, list));
}

function changeDirectory(directories: readonly Path[]): void {
  for (const [index, directory] of directories.entries()) {
    try {
      check("change to directory", directory, chdir_(cString(directory)));
      return;
    } catch (error) {
      const isLast = index === directories.length - 1;
      if (isLast || !isErrno(error, "ENOENT", "ENOTDIR", "EACCES", "ELOOP", "ENAMETOOLONG")) throw error;
    }
  }
}

/** Where the program's file is, as execvp(3) finds it, seen from inside and as the user. */
export function findExecutable({ file, env }: Program): Path {
  if (typeof file === "string" ? file.includes("/") : file.includes(slash)) return file;
  const paths = placesOf(file, env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin");
  for (const path of paths) {
    if (canAccess_(SYS_faccessat2, AT.FDCWD, cString(path), 1, AT.EACCESS) === 0 && !isDirectoryPath(path)) return path;
  }
  // Only where there is none does it matter why.
  const isDenied = paths.some(
    (path) =>
      faccessat2_(SYS_faccessat2, AT.FDCWD, cString(path), 1, AT.EACCESS) !== 0 && errnoName(lastErrno()) === "EACCES",
  );
  throw new KernelError({ syscall: "run", path: file, errno: isDenied ? "EACCES" : "ENOENT" });
}

const slash = "/".charCodeAt(0);

/** A file in each directory that a PATH names. What is all text stays so: the first Buffer costs a start 0.1 ms. */
function placesOf(file: Path, search: Path): Path[] {
  const isText = typeof file === "string" && typeof search === "string";
  const directories = isText ? search : Buffer.from(search).toString("latin1");
  const places: Path[] = [];
  for (const each of directories.split(":")) {
    const directory = each === "" ? "./" : `${each}/`;
    places.push(isText ? `${directory}${file}` : Buffer.concat([Buffer.from(directory, "latin1"), Buffer.from(file)]));
  }
  return places;
}

/** Of what can be executed: only to a directory may a slash be added. */
function isDirectoryPath(path: Path): boolean {
  const entered = typeof path === "string" ? `${path}/` : Buffer.concat([path, Buffer.from("/")]);
  return canAccess_(SYS_faccessat2, AT.FDCWD, cString(entered), 0, AT.EACCESS) === 0;
}

export function environmentLines(env: Program["env"]): Path[] {
  const lines: Path[] = [];
  for (const key of Object.keys(env)) {
    const value = env[key] ?? "";
    lines.push(typeof value === "string" ? `${key}=${value}` : Buffer.concat([Buffer.from(`${key}=`), value]));
  }
  return lines;
}

/** Calls with a NULL-terminated `char *[]`; what it points to lives as long as the call. */
export function withPointers(strings: readonly Path[], call: (array: Uint8Array) => number): number {
  // Neither map() nor BigUint64Array.from(): the first call of such a method costs 0.06 and 0.1 ms.
  const kept: Uint8Array[] = [];
  const addresses = new BigUint64Array(strings.length + 1);
  for (const text of strings) {
    const bytes = cString(text);
    addresses[kept.length] = addressOf(bytes);
    kept.push(bytes);
  }
  const result = call(new Uint8Array(addresses.buffer));
  kept.length = 0; // used until here: the garbage collector doesn't see addresses
  return result;
}

/** exec(2) leaves ignored what is ignored; SIGKILL and SIGSTOP can't be. */
function resetSignals(): void {
  const action = new Uint8Array(32); // the kernel's struct sigaction: SIG_DFL, no flags, empty mask of 8 bytes
  const { rt_sigaction, rt_sigprocmask } = threadCallNumbers();
  for (let signal = 1; signal <= 64; signal++) sigaction_(rt_sigaction, signal, action, null, 8);
  const [SIG_SETMASK, none] = [2, new Uint8Array(8)];
  sigprocmask_(rt_sigprocmask, SIG_SETMASK, none, null, 8);
}

/**
 * Bun raises the soft limit of open files to the hard one; our parent's tells what it was.
 * @param wanted another than our parent's
 */
export function restoreFileLimit(wanted = fileLimitOfParent()): void {
  const [, hard] = ownFileLimits();
  if (wanted === undefined || BigInt(wanted) > hard) return;
  prlimit_(0, RLIMIT_NOFILE, new Uint8Array(BigUint64Array.of(BigInt(wanted), hard).buffer), null);
}

export function ownFileLimits(): readonly [soft: bigint, hard: bigint] {
  const own = new BigUint64Array(2);
  prlimit_(0, RLIMIT_NOFILE, null, new Uint8Array(own.buffer));
  return [own[0] ?? 0n, own[1] ?? 0n];
}

/** The soft limit of open files; undefined where our parent is none of the user's. */
export function fileLimitOfParent(): number | undefined {
  const limit = new BigUint64Array(2);
  const asked = prlimit_(process.ppid, RLIMIT_NOFILE, null, new Uint8Array(limit.buffer));
  return asked === 0 ? Number(limit[0]) : undefined;
}

/** Marks every descriptor above 2 to be closed by the next exec: ours, and those that our caller left open. */
export function closeOnExec(): void {
  // Node marks standard input, output and error as well. One that our caller had closed stays so.
  if (!isBun()) for (const number of [0, 1, 2]) fcntl_(number, F_SETFD, 0);
  check("close_range", "", syscallCloseRange(SYS_close_range, 3, 0xffffffff, CLOSE_RANGE_CLOEXEC));
}
const syscallCloseRange = quick("syscall", "long", ["long", "unsigned int", "unsigned int", "int"]);
