import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { UserError } from "../error.ts";
import { isErrno, unless } from "../kernel/error.ts";
import { sameDevice, statAt } from "../kernel/file.ts";

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
  const root = ofProcess(() => readlinkSync(`/proc/${pid}/root`));
  if (root === undefined) return false;
  const isBelow = root === mountPoint || root.startsWith(`${mountPoint}/`);
  if (!isBelow && root !== "/") return false;
  const attr = ofProcess(() => statSync(`/proc/${pid}/root/`));
  if (attr === undefined) return false;
  if (attr.dev === dev) return true;
  if (!isBelow) return false;
  // On another file system that is mounted inside; in another mount name space the path leads elsewhere.
  const own = ofProcess(() => statSync(root));
  return (own?.dev === attr.dev && own.ino === attr.ino) || (dev !== undefined && hasMounted(pid, dev));
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

/**
 * Kills every process inside until none is left, also of those that fork faster than one can look.
 * @returns how many there were
 * @throws where one can't be killed within `timeoutMs`: it hangs in the kernel
 */
export function killInside(mountPoint: string, timeoutMs = 10_000): number {
  const dev = deviceOf(mountPoint);
  const killed = new Set<number>();
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
