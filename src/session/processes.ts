import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { UserError } from "../error.ts";
import { isErrno, unless } from "../kernel/error.ts";
import { sameDevice, statAt } from "../kernel/file.ts";
import { readMountInfo } from "../mount/mountinfo.ts";

export interface ProcessInfo {
  readonly pid: number;
  /** Its command line, as ps(1) shows it. */
  readonly command: string;
}

/**
 * The processes whose root lies in a session's tree, chrooted deeper or not. Paths alone say nothing: in a container,
 * and inside another session, there may be a session of the same name.
 */
export function processesInside(mountPoint: string): number[] {
  const dev = deviceOf(mountPoint);
  return pids().filter((pid) => isInside(pid, mountPoint, dev));
}

/** One look at every process. */
export interface Look {
  readonly inside: readonly number[];
  /** Those of the host's that only have their working directory there. */
  readonly standing: readonly number[];
  /** Nothing is inside, and nothing was forked meanwhile that could have been passed over. */
  readonly isEmpty: boolean;
}

export function lookInside(mountPoint: string): Look {
  const newest = newestPid();
  const dev = deviceOf(mountPoint);
  const inside: number[] = [];
  const standing: number[] = [];
  for (const pid of pids()) {
    if (isInside(pid, mountPoint, dev)) inside.push(pid);
    else if (pid !== process.pid && standsInside(pid, mountPoint)) standing.push(pid);
  }
  return { inside, standing, isEmpty: inside.length === 0 && newest === newestPid() };
}

function standsInside(pid: number, mountPoint: string): boolean {
  const path = placeOf(pid, "cwd");
  if (path === tooFar) return isFarInside(pid, "cwd", mountPoint);
  if (path === undefined || !isAtOrBelow(path, mountPoint)) return false;
  const attr = ofProcess(() => statSync(`/proc/${pid}/cwd/`));
  const own = ofProcess(() => statSync(path));
  return attr !== undefined && own?.dev === attr.dev && own.ino === attr.ino;
}

/** The device of what is mounted there, unless everybody's root is on it: then it tells nothing of anybody. */
function deviceOf(mountPoint: string): number | undefined {
  const attr = unless(["ENOENT", "ENOTCONN", "ECONNABORTED"], () => statAt(null, mountPoint));
  if (attr?.isMountRoot !== true || sameDevice(attr, statAt(null, "/"))) return undefined;
  return packDev(attr.dev);
}

/** From the newest, so that a process that keeps forking is caught at its latest child; /proc has them in order. */
function pids(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0)
    .toReversed();
}

function isInside(pid: number, mountPoint: string, dev: number | undefined): boolean {
  const root = placeOf(pid, "root");
  if (root === undefined) return false;
  const isBelow = root === tooFar ? isFarInside(pid, "root", mountPoint) : isAtOrBelow(root, mountPoint);
  if (!isBelow && root !== "/" && root !== tooFar) return false;
  const attr = ofProcess(() => statSync(`/proc/${pid}/root/`));
  if (attr === undefined) return false;
  if (attr.dev === dev) return true;
  if (!isBelow) return false;
  if (root === tooFar) return true;
  // On another file system that is mounted inside; in another mount name space the path leads elsewhere.
  const own = ofProcess(() => statSync(root));
  return (own?.dev === attr.dev && own.ino === attr.ino) || (dev !== undefined && hasMounted(pid, dev));
}

/** Stands for a path that is longer than a page: Linux doesn't tell it (ENAMETOOLONG, d_path() in fs/d_path.c). */
const tooFar = Symbol("too far");

function placeOf(pid: number, link: "cwd" | "root"): string | typeof tooFar | undefined {
  try {
    return ofProcess(() => readlinkSync(`/proc/${pid}/${link}`));
  } catch (error) {
    if (isErrno(error, "ENAMETOOLONG")) return tooFar;
    throw error;
  }
}

function isAtOrBelow(path: string, mountPoint: string): boolean {
  return path === mountPoint || path.startsWith(`${mountPoint}/`);
}

/** Where the path isn't told: whether the mount that it ends on is the session's, or below. */
function isFarInside(pid: number, link: "cwd" | "root", mountPoint: string): boolean {
  const attr = ofProcess(() => statAt(null, `/proc/${pid}/${link}/`));
  const mount = attr && readMountInfo().find(({ id }) => BigInt(id) === attr.mountId);
  return mount !== undefined && isAtOrBelow(mount.mountPoint, mountPoint);
}

/** Whether a process that moved into a mount name space of its own still has something of the session's there. */
function hasMounted(pid: number, dev: number): boolean {
  const mounts = ofProcess(() => readFileSync(`/proc/${pid}/mountinfo`, "latin1")) ?? "";
  return mounts.split("\n").some((line) => {
    const [major, minor] = (line.split(" ", 3)[2] ?? "").split(":").map(Number);
    return major !== undefined && minor !== undefined && packDev({ major, minor }) === dev;
  });
}

/** A process may end, or be one of the kernel's, while it is looked at; its root may hang on a server that is gone. */
function ofProcess<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES", "ENOTDIR", "ELOOP", "ENOTCONN", "ESTALE")) return undefined;
    throw error;
  }
}

/** As stat(2) packs a device number. */
function packDev(dev: { major: number; minor: number }): number {
  return (dev.minor & 0xff) + (dev.major & 0xfff) * 0x100 + (dev.minor >>> 8) * 0x100000;
}

export function describeProcess(pid: number): ProcessInfo {
  const line = ofProcess(() => readFileSync(`/proc/${pid}/cmdline`, "utf8")) ?? "";
  return { pid, command: line.replaceAll("\0", " ").trim() };
}

/** A process that forks and exits, again and again, may be passed over by so many looks at /proc, but hardly by more. */
const enoughLooks = 20;

/** Looks that find only processes that weren't there before: what is forking so fast goes on for ever. */
const enoughOffspring = 5;

/**
 * Asks every process inside to end (SIGTERM), all at once, and waits until none is left or `graceMs` are over.
 * @param asked gets the ids of those that were asked
 */
export async function askToEnd(mountPoint: string, graceMs: number, asked: Set<number>): Promise<void> {
  const dev = deviceOf(mountPoint);
  const deadline = Date.now() + graceMs;
  let offspring = 0;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    const inside = pids().filter((pid) => isInside(pid, mountPoint, dev));
    const isOffspring = asked.size > 0 && inside.every((pid) => !asked.has(pid));
    offspring = isOffspring ? offspring + 1 : 0;
    for (const pid of inside) {
      if (asked.has(pid)) continue;
      asked.add(pid);
      // One that is stopped hears of it only when it goes on.
      for (const signal of ["SIGTERM", "SIGCONT"] as const) ofProcess(() => process.kill(pid, signal));
    }
    if (inside.length === 0 || offspring >= enoughOffspring || Date.now() >= deadline) return;
    await new Promise((done) => setTimeout(done, pauseMs));
  }
}

/**
 * Kills every process inside until none is left, also of those that fork faster than one can look.
 * @param killed those that have been counted already
 * @returns how many there were
 * @throws where one can't be killed within `timeoutMs`: it hangs in the kernel
 */
export function killInside(mountPoint: string, timeoutMs = 10_000, killed = new Set<number>()): number {
  const dev = deviceOf(mountPoint);
  const outside = new Set<number>();
  const deadline = Date.now() + timeoutMs;
  for (let looks = 0; ; looks++) {
    const newest = newestPid();
    const inside = killNew(mountPoint, dev, outside);
    // Where nothing was forked meanwhile, there can be none that wasn't seen.
    if (inside.length === 0 && (newest === newestPid() || looks >= enoughLooks)) return killed.size;
    if (inside.length > 0) looks = 0;
    if (Date.now() > deadline) throw undying(inside[0] ?? 0);
    if (inside.length > 0 && inside.every((pid) => killed.has(pid))) pause(1);
    for (const pid of inside) killed.add(pid);
  }
}

export function undying(pid: number): UserError {
  return new UserError("busy", `process ${pid} in the session was killed and doesn't die`, {
    hint: `it waits in the kernel, often for a disk or a server: cat /proc/${pid}/stack`,
  });
}

/** Kills each as soon as it is seen, and remembers who needn't be looked at again. */
function killNew(mountPoint: string, dev: number | undefined, outside: Set<number>): number[] {
  const inside: number[] = [];
  for (const pid of pids()) {
    if (outside.has(pid)) continue;
    if (isInside(pid, mountPoint, dev)) {
      ofProcess(() => process.kill(pid, "SIGKILL"));
      inside.push(pid);
    } else outside.add(pid);
  }
  return inside;
}

/** The process id that was given out last. @see proc_loadavg(5) */
function newestPid(): string | undefined {
  return readFileSync("/proc/loadavg", "utf8").trim().split(" ")[4];
}

export function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
