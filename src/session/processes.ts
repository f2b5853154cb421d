import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { isErrno, unless } from "../kernel/error.ts";
import { statAt } from "../kernel/file.ts";

export interface ProcessInfo {
  readonly pid: number;
  /** Its command line, as ps(1) shows it. */
  readonly command: string;
}

/**
 * The processes whose root lies in a session's tree, chrooted deeper or not. One that made a mount name space of its own and moved
 * its root is known by the device of that root.
 */
export function processesInside(mountPoint: string): number[] {
  const device = unless(["ENOENT"], () => statAt(null, mountPoint));
  const dev = device === undefined ? undefined : packDev(device.dev);
  // /proc lists them in order; from the newest, so that a process that keeps forking is caught at its latest child.
  const pids = readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0)
    .toReversed();
  return pids.filter((pid) => isInside(pid, mountPoint, dev));
}

function isInside(pid: number, mountPoint: string, dev: number | undefined): boolean {
  const root = ofProcess(() => readlinkSync(`/proc/${pid}/root`));
  if (root === undefined) return false;
  if (root === mountPoint || root.startsWith(`${mountPoint}/`)) return true;
  return root === "/" && dev !== undefined && ofProcess(() => statSync(`/proc/${pid}/root/`).dev) === dev;
}

/** A process may end, or be one of the kernel's, while it is looked at. */
function ofProcess<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES")) return undefined;
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

/**
 * Kills every process inside until none is left.
 * @returns how many there were
 * @throws where one can't be killed within `timeoutMs`: it hangs in the kernel
 */
export function killInside(mountPoint: string, timeoutMs = 10_000): number {
  const killed = new Set<number>();
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const pids = processesInside(mountPoint);
    if (pids.length === 0) return killed.size;
    for (const pid of pids) {
      killed.add(pid);
      ofProcess(() => process.kill(pid, "SIGKILL"));
    }
    if (Date.now() > deadline) throw new Error(`process ${pids[0]} doesn't die`);
    if (killed.size > 0) pause(1);
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
