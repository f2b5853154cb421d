import { UserError } from "../error.ts";
import { isErrno, unless } from "../kernel/error.ts";
import { type Attr, sameDevice, statAt, statFollowed } from "../kernel/file.ts";
import { kernelThreads, lookAt, pathOf, processIds, type Spot, tooFar, unseen } from "../kernel/proc.ts";
import { readText } from "../kernel/trusted.ts";
import { readMountInfo } from "../mount/mountinfo.ts";
import { pause } from "./pause.ts";

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
  const place = placeOf(mountPoint);
  return pids().filter((pid) => isInside(pid, place));
}

/** One look at every process. */
export interface Look {
  readonly inside: readonly number[];
  /** Those of the host's that only have their working directory there. */
  readonly standing: readonly number[];
  /** Nothing is inside, and nothing was forked meanwhile that could have been passed over. */
  readonly isEmpty: boolean;
  /** All others. Who looks again at once needn't look at them. */
  readonly outside: ReadonlySet<number>;
  readonly takenMs: number;
}

export function lookInside(mountPoint: string): Look {
  const newest = newestPid();
  const place = placeOf(mountPoint);
  const inside: number[] = [];
  const standing: number[] = [];
  const outside = new Set<number>();
  const takenMs = Date.now();
  for (const pid of pids()) {
    if (isInside(pid, place)) {
      inside.push(pid);
      continue;
    }
    outside.add(pid);
    if (pid !== process.pid && standsInside(pid, place)) standing.push(pid);
  }
  const isEmpty = inside.length === 0 && newest === newestPid();
  return { inside, standing, isEmpty, outside, takenMs };
}

/** Whom a look that was taken just now has seen outside; process ids are given out again after a while. */
function stillOutside(look: Look | undefined): Set<number> {
  const isFresh = look !== undefined && Date.now() - look.takenMs < 50;
  return new Set(isFresh ? look.outside : []);
}

/** Where a session is mounted. */
interface Place {
  readonly mountPoint: string;
  /** Of what is mounted there, unless everybody's root is on it: then it tells nothing of anybody. */
  readonly device: Device | undefined;
  /**
   * Mounts that are the root of a whole mount name space, and not the session's. Nearly everybody's root and working directory
   * are on one, ours or another name space's, and it takes one call to see that.
   */
  readonly hosts: Set<number>;
}

type Device = Attr["dev"];

function placeOf(mountPoint: string): Place {
  const attr = unless(["ENOENT", "ENOTCONN", "ECONNABORTED"], () => statAt(null, mountPoint));
  lookAt("/", spot);
  const isTelling = attr?.isMountRoot === true && !isSpotOn(attr.dev);
  return { mountPoint, device: isTelling ? attr.dev : undefined, hosts: new Set([spot.mount]) };
}

function standsInside(pid: number, { mountPoint, hosts }: Place): boolean {
  const cwd = `/proc/${pid}/cwd`;
  if (!lookAt(`${cwd}/`, spot) || hosts.has(spot.mount)) return false;
  const path = ofProcess(() => pathOf(cwd));
  if (path === tooFar) return isFarInside(cwd, mountPoint);
  if (path === undefined || !isAtOrBelow(path, mountPoint) || !leadsTo(path, cwd)) return false;
  // Both may show the same directory of the machine's, this session and one of the same name in another mount name space.
  const root = ofProcess(() => pathOf(`/proc/${pid}/root`));
  return typeof root !== "string" || !isAtOrBelow(root, mountPoint);
}

/** From the newest, so that a process that keeps forking is caught at its latest child. */
function pids(): number[] {
  const all = processIds();
  // In this order: what is one of the kernel's now can't have been one of the session's a moment ago and live.
  const kernels = kernelThreads();
  return all.filter((pid) => !kernels.has(pid));
}

function isInside(pid: number, { mountPoint, device, hosts }: Place): boolean {
  const root = `/proc/${pid}/root`;
  if (!lookAt(`${root}/`, spot) || hosts.has(spot.mount)) return false;
  const { mount } = spot;
  const isOnIt = device !== undefined && isSpotOn(device);
  const path = ofProcess(() => pathOf(root));
  if (path === undefined) return false;
  const isBelow = path === tooFar ? isFarInside(root, mountPoint) : isAtOrBelow(path, mountPoint);
  if (isOnIt) return isBelow || path === "/" || path === tooFar;
  if (path === "/") hosts.add(mount);
  if (!isBelow) return false;
  if (path === tooFar) return true;
  // On another file system that is mounted inside; in another mount name space the path leads elsewhere.
  return leadsTo(path, root) || (device !== undefined && hasMounted(pid, device));
}

const spot: Spot = { major: 0, minor: 0, mount: 0 };

function isSpotOn({ major, minor }: Device): boolean {
  return spot.major === major && spot.minor === minor;
}

/** Whether a path leads, from here, to where a process's link does. */
function leadsTo(path: string, link: string): boolean {
  const found = ofProcess(() => statFollowed(path));
  const attr = ofProcess(() => statAt(null, `${link}/`));
  return found !== undefined && attr !== undefined && found.ino === attr.ino && sameDevice(found, attr);
}

function isAtOrBelow(path: string, mountPoint: string): boolean {
  return path === mountPoint || path.startsWith(`${mountPoint}/`);
}

/** Where the path isn't told: whether the mount that it ends on is the session's, or below. */
function isFarInside(link: string, mountPoint: string): boolean {
  const attr = ofProcess(() => statAt(null, `${link}/`));
  const mount = attr && readMountInfo().find(({ id }) => BigInt(id) === attr.mountId);
  return mount !== undefined && isAtOrBelow(mount.mountPoint, mountPoint);
}

/** Whether a process that moved into a mount name space of its own still has something of the session's there. */
export function hasMounted(pid: number, dev: Device): boolean {
  // One that is ending has left its mount name space already: mounts_open_common() of Linux's fs/proc_namespace.c.
  const read = (): string | undefined => unless(["EINVAL"], () => readText(`/proc/${pid}/mountinfo`, "latin1"));
  const mounts = ofProcess(read) ?? "";
  return mounts.split("\n").some((line) => {
    return line.split(" ", 3)[2] === `${dev.major}:${dev.minor}`;
  });
}

/** A process may end, or be one of the kernel's, while it is looked at; its root may hang on a server that is gone. */
function ofProcess<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isErrno(error, ...unseen)) return undefined;
    throw error;
  }
}

export function describeProcess(pid: number): ProcessInfo {
  const line = ofProcess(() => readText(`/proc/${pid}/cmdline`)) ?? "";
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
export async function askToEnd(mountPoint: string, graceMs: number, asked: Set<number>, look?: Look): Promise<void> {
  const place = placeOf(mountPoint);
  const deadline = Date.now() + graceMs;
  let offspring = 0;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    const outside = stillOutside(look);
    const inside = pids().filter((pid) => !outside.has(pid) && isInside(pid, place));
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
export function killInside(mountPoint: string, timeoutMs = 10_000, killed = new Set<number>(), look?: Look): number {
  const place = placeOf(mountPoint);
  const outside = stillOutside(look);
  const deadline = Date.now() + timeoutMs;
  for (let looks = 0; ; looks++) {
    const newest = newestPid();
    const inside = killNew(place, outside);
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
function killNew(place: Place, outside: Set<number>): number[] {
  const inside: number[] = [];
  for (const pid of pids()) {
    if (outside.has(pid)) continue;
    if (isInside(pid, place)) {
      ofProcess(() => process.kill(pid, "SIGKILL"));
      inside.push(pid);
    } else outside.add(pid);
  }
  return inside;
}

/** The process id that was given out last. @see proc_loadavg(5) */
function newestPid(): string | undefined {
  return readText("/proc/loadavg").trim().split(" ")[4];
}
