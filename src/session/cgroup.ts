import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { UserError } from "../error.ts";
import { isErrno } from "../kernel/error.ts";
import { pause, undying } from "./processes.ts";
import type { Limits } from "./types.ts";

/**
 * A control group per session, made only where limits are asked for: moving a process into a group waits for an RCU grace
 * period (7.8 ms measured, more than all the rest of `run`), and the processes of a session are known by their root.
 */

type Controller = "memory" | "cpu" | "pids";

/** One hierarchy that controls something: version 2's, or one of version 1's. */
interface Hierarchy {
  readonly version: 1 | 2;
  readonly mountPoint: string;
}

const parent = "fallthru";
/** One period of the CPU bandwidth controller, microseconds: the kernel's default. */
const cpuPeriod = 100_000;

/** Makes the session's groups and sets its limits; does nothing without limits. */
export function makeControlGroups(id: string, limits: Limits): void {
  for (const controller of wanted(limits)) {
    const hierarchy = hierarchyOf(controller);
    const path = groupPath(hierarchy, id);
    makeGroup(path);
    enableController(hierarchy, controller);
    for (const [file, value] of settings(hierarchy.version, controller, limits))
      writeFileSync(`${path}/${file}`, value);
  }
}

/** Until the group is there, the end of another session may take the parent away. */
function makeGroup(path: string): void {
  for (let tries = 0; ; tries++) {
    try {
      mkdirSync(path, { recursive: true });
      return;
    } catch (error) {
      if (!isErrno(error, "ENOENT") || tries > 100) throw error;
    }
  }
}

/**
 * Moves this process into the session's groups, all of them or none, and returns how to move it back.
 * @param then "come back": a child is to be started meanwhile, for which our own threads count no more than the limit allows
 */
export function joinControlGroups(id: string, limits: Limits, then: "stay" | "come back"): () => void {
  const own = parseOwnGroups(readFileSync("/proc/self/cgroup", "utf8"));
  const back: (() => void)[] = [];
  const goBack = () => back.toReversed().forEach((step) => step());
  try {
    if (limits.pids !== undefined && then === "come back") back.push(allowOwnThreads(id, limits.pids));
    for (const [hierarchy, controller] of hierarchiesOf(limits)) {
      const before = own.get(hierarchy.version === 2 ? "" : controller) ?? "/";
      back.push(() => writeFileSync(`${hierarchy.mountPoint}${before}/cgroup.procs`, "0"));
      writeFileSync(`${groupPath(hierarchy, id)}/cgroup.procs`, "0");
    }
  } catch (error) {
    goBack();
    throw error;
  }
  return goBack;
}

/** Each hierarchy once, with one of the controllers that are wanted of it. */
function hierarchiesOf(limits: Limits): Iterable<readonly [Hierarchy, Controller]> {
  const found = new Map<string, readonly [Hierarchy, Controller]>();
  for (const controller of wanted(limits)) {
    const hierarchy = hierarchyOf(controller);
    found.set(hierarchy.mountPoint, [hierarchy, controller]);
  }
  return found.values();
}

/**
 * Raises a session's limit of processes by the threads of this one, and those that the runtime may make in that moment;
 * returns how to lower it again.
 */
function allowOwnThreads(id: string, pids: number): () => void {
  const file = `${groupPath(hierarchyOf("pids"), id)}/pids.max`;
  const others = 8;
  writeFileSync(file, String(pids + readdirSync("/proc/self/task").length + others));
  return () => writeFileSync(file, String(pids));
}

/** Kills every process of the session's groups at once (cgroup.kill), or one by one under version 1. */
export function killControlGroups(id: string, timeoutMs = 10_000): void {
  for (const hierarchy of hierarchiesWith(id)) {
    const path = groupPath(hierarchy, id);
    if (hierarchy.version === 2) writeFileSync(`${path}/cgroup.kill`, "1");
    else killMembers(path, Date.now() + timeoutMs);
  }
}

function killMembers(path: string, deadline: number): void {
  for (let pids = members(path); pids.length > 0; pids = members(path)) {
    if (Date.now() > deadline) throw undying(pids[0] ?? 0);
    for (const pid of pids) kill(pid);
    pause(1);
  }
}

/** Also a parent without groups: whoever was to make or remove one there may have been killed. */
export function removeControlGroups(id: string): void {
  for (const hierarchy of hierarchies()) {
    if (!existsSync(`${hierarchy.mountPoint}/${parent}`)) continue;
    removeGroup(groupPath(hierarchy, id));
    removeParent(`${hierarchy.mountPoint}/${parent}`);
  }
}

/** A group is busy until the last of its killed processes has been reaped. */
function removeGroup(path: string): void {
  const deadline = Date.now() + 5000;
  for (;;) {
    try {
      rmdirSync(path);
      return;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return;
      if (!isErrno(error, "EBUSY")) throw error;
      if (Date.now() > deadline) throw undying(members(path)[0] ?? 0);
      pause(2);
    }
  }
}

/** The groups' parent goes with the last of them. */
function removeParent(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "EBUSY", "ENOTEMPTY")) throw error;
  }
}

function wanted(limits: Limits): Controller[] {
  const controllers: Controller[] = [];
  if (limits.memoryBytes !== undefined) controllers.push("memory");
  if (limits.cpus !== undefined) controllers.push("cpu");
  if (limits.pids !== undefined) controllers.push("pids");
  return controllers;
}

/** Files of cgroup(7) and their values. */
function settings(version: 1 | 2, controller: Controller, limits: Limits): [file: string, value: string][] {
  const quota = String(Math.max(1000, Math.round((limits.cpus ?? 1) * cpuPeriod)));
  switch (controller) {
    case "memory":
      return version === 2
        ? [["memory.max", String(limits.memoryBytes)]]
        : [["memory.limit_in_bytes", String(limits.memoryBytes)]];
    case "cpu":
      return version === 2
        ? [["cpu.max", `${quota} ${cpuPeriod}`]]
        : [
            ["cpu.cfs_period_us", String(cpuPeriod)],
            ["cpu.cfs_quota_us", quota],
          ];
    case "pids":
      return [["pids.max", String(limits.pids)]];
  }
}

function groupPath(hierarchy: Hierarchy, id: string): string {
  return `${hierarchy.mountPoint}/${parent}/${id}`;
}

function enableController(hierarchy: Hierarchy, controller: Controller): void {
  if (hierarchy.version === 1) return;
  for (const path of [hierarchy.mountPoint, `${hierarchy.mountPoint}/${parent}`]) {
    try {
      writeFileSync(`${path}/cgroup.subtree_control`, `+${controller}`);
    } catch (error) {
      if (!isErrno(error, "EBUSY")) throw error;
      throw new UserError("unsupported", `${path} holds processes, so there can be no limits below it`, {
        hint: "in a container: move its processes into a group below that one, or run without --memory, --cpus and --pids",
      });
    }
  }
}

function hierarchiesWith(id: string): Hierarchy[] {
  return hierarchies().filter((hierarchy) => existsSync(groupPath(hierarchy, id)));
}

/** Where each controller is to be had on this machine. */
export function describeControllers(): { controller: Controller; where: string | undefined }[] {
  return (["memory", "cpu", "pids"] as const).map((controller) => ({
    controller,
    where: findHierarchy(controller)?.mountPoint,
  }));
}

/** Which hierarchy has the controller: version 2's where it can. */
function findHierarchy(controller: Controller): Hierarchy | undefined {
  return hierarchies().find(({ version, mountPoint }) =>
    version === 2
      ? readFileSync(`${mountPoint}/cgroup.controllers`, "utf8").trim().split(" ").includes(controller)
      : mountPoint === `/sys/fs/cgroup/${controller}`,
  );
}

function hierarchyOf(controller: Controller): Hierarchy {
  const found = findHierarchy(controller);
  if (found !== undefined) return found;
  throw new UserError("unsupported", `no cgroup ${controller} controller here, so no such limit can be set`, {
    hint: "mount cgroup 2 on /sys/fs/cgroup, or run without --memory, --cpus and --pids",
  });
}

/** Where control groups are mounted: version 2 alone, or beside version 1's controllers. */
function hierarchies(): Hierarchy[] {
  const root = "/sys/fs/cgroup";
  if (existsSync(`${root}/cgroup.controllers`)) return [{ version: 2, mountPoint: root }];
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .map((name) => `${root}/${name}`)
    .filter((path) => existsSync(`${path}/cgroup.procs`))
    .map((mountPoint) => ({ version: existsSync(`${mountPoint}/cgroup.controllers`) ? 2 : 1, mountPoint }));
}

/** /proc/PID/cgroup: the path in each hierarchy, by controller; "" is version 2's. */
function parseOwnGroups(text: string): Map<string, string> {
  const paths = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, controllers, path] = line.split(":", 3);
    if (controllers === undefined || path === undefined) continue;
    for (const name of controllers.split(",")) paths.set(name, path);
  }
  return paths;
}

function members(path: string): number[] {
  return readFileSync(`${path}/cgroup.procs`, "utf8").split("\n").filter(Boolean).map(Number);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
  }
}
