// Control groups of its own for each test file, under version 2 and under those hierarchies of version 1 that limits
// may use: what the file starts can't leave them, and two runs on one machine don't see each other's.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readMountInfo } from "../../src/mount/mountinfo.ts";

/** What a session's limits need. */
const wanted = ["memory", "cpu", "pids"];

interface Hierarchy {
  readonly version: 1 | 2;
  readonly mountPoint: string;
  /** The options that mount version 1's again: its controllers. */
  readonly options: readonly string[];
  /** Where new groups are made: version 2's top, for only there may they have controllers, else our own group. */
  readonly base: string;
}

/** Makes a group in each hierarchy; who enters them and then unshares takes them for the topmost. */
export function makeCgroups(name: string): string[] {
  return hierarchies().map((hierarchy) => {
    enableControllers(hierarchy);
    const path = join(hierarchy.base, name);
    mkdirSync(path);
    return path;
  });
}

/** In the new mount and cgroup name spaces: shows only our part of each hierarchy. */
export function enterCgroups(): void {
  for (const { version, mountPoint, options } of hierarchies()) {
    execFileSync("umount", ["--lazy", mountPoint]);
    const type = version === 2 ? ["-t", "cgroup2"] : ["-t", "cgroup", "-o", options.join(",")];
    execFileSync("mount", [...type, "cgroup", mountPoint]);
  }
  // Version 2 gives controllers only to groups whose parent has no processes.
  const own = join(version2(), "tests");
  mkdirSync(own);
  writeFileSync(join(own, "cgroup.procs"), String(process.pid));
  for (const hierarchy of hierarchies()) enableControllers(hierarchy);
}

/** Kills at once all that runs in the groups of that name. */
export function killCgroups(name: string): void {
  writeFileSync(join(version2(), name, "cgroup.kill"), "1");
}

/** Kills what is left in the groups of that name, then removes them. */
export async function removeCgroups(name: string): Promise<void> {
  killCgroups(name);
  while (processesIn(join(version2(), name)).length > 0) await sleep(5);
  for (const { base } of hierarchies()) {
    const path = join(base, name);
    if (existsSync(path)) for (const group of [path, ...cgroupsBelow(path)].toReversed()) await removeGroup(group);
  }
}

/** A process that is dead counts in version 1 until it is buried, which orphans leave to the machine's first process. */
async function removeGroup(path: string): Promise<void> {
  for (const deadline = Date.now() + 10_000; ; await sleep(20)) {
    try {
      rmdirSync(path);
      return;
    } catch (error) {
      const isBusy = error instanceof Error && "code" in error && error.code === "EBUSY";
      if (!isBusy || Date.now() > deadline) throw error;
    }
  }
}

/** The groups that this name space has, in all hierarchies. */
export function cgroups(): string[] {
  return hierarchies().flatMap(({ mountPoint }) => cgroupsBelow(mountPoint));
}

/** The ids of the processes in a group and below it; without one, all of this name space's. */
export function processesIn(path: string = version2()): number[] {
  return [path, ...cgroupsBelow(path)].flatMap((group) => {
    const ids = readFileSync(join(group, "cgroup.procs"), "utf8").trim();
    return ids === "" ? [] : ids.split("\n").map(Number);
  });
}

/** Where version 2 is mounted. */
export function version2(): string {
  const found = hierarchies().find(({ version }) => version === 2);
  if (found === undefined) throw new Error("the tests need a mounted cgroup 2 file system");
  return found.mountPoint;
}

function hierarchies(): Hierarchy[] {
  const own = readFileSync("/proc/self/cgroup", "utf8").split("\n");
  const found = new Map<string, Hierarchy>();
  for (const { type, mountPoint, superOptions } of readMountInfo()) {
    const options = superOptions.filter((option) => [...wanted, "cpuacct"].includes(option));
    if (type === "cgroup2") found.set(mountPoint, { version: 2, mountPoint, options: [], base: mountPoint });
    else if (type === "cgroup" && options.some((option) => wanted.includes(option))) {
      const line = own.find((text) => text.split(":")[1] === options.join(",")) ?? "";
      found.set(mountPoint, { version: 1, mountPoint, options, base: join(mountPoint, line.split(":")[2] ?? "") });
    }
  }
  return [...found.values()];
}

/** A parent comes before its children. */
function cgroupsBelow(path: string): string[] {
  const children = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return children.flatMap(({ name }) => [join(path, name), ...cgroupsBelow(join(path, name))]);
}

function enableControllers({ version, mountPoint }: Hierarchy): void {
  if (version === 1) return;
  const available = readFileSync(join(mountPoint, "cgroup.controllers"), "utf8").trim().split(" ");
  const enabled = readFileSync(join(mountPoint, "cgroup.subtree_control"), "utf8").trim().split(" ");
  for (const controller of available) {
    if (wanted.includes(controller) && !enabled.includes(controller)) {
      writeFileSync(join(mountPoint, "cgroup.subtree_control"), `+${controller}`);
    }
  }
}
