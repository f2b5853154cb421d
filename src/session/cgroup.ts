import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { UserError } from "../error.ts";
import { isErrno } from "../kernel/error.ts";
import { isUsers } from "../places.ts";
import { sessionDir } from "./paths.ts";
import { pause } from "./pause.ts";
import { undying } from "./processes.ts";
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
  /** The group below which ours are, as /proc/PID/cgroup has it; empty for the topmost. */
  readonly base: string;
}

const parent = "fallthru";
/** One period of the CPU bandwidth controller, microseconds: the kernel's default. */
const cpuPeriod = 100_000;

/** Makes the session's groups and sets its limits; does nothing without limits. */
export function makeControlGroups(id: string, limits: Limits): void {
  if (isUsers) noteHierarchies(id, wanted(limits).map(hierarchyOf));
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
    for (const [hierarchy, controller] of hierarchiesOf(id, limits)) {
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
function hierarchiesOf(id: string, limits: Limits): Iterable<readonly [Hierarchy, Controller]> {
  const found = new Map<string, readonly [Hierarchy, Controller]>();
  for (const controller of wanted(limits)) {
    const hierarchy = hierarchyFor(id, controller);
    found.set(hierarchy.mountPoint, [hierarchy, controller]);
  }
  return found.values();
}

/**
 * Raises a session's limit of processes by the threads of this one, and those that the runtime may make in that moment;
 * returns how to lower it again.
 */
function allowOwnThreads(id: string, pids: number): () => void {
  const file = `${groupPath(hierarchyFor(id, "pids"), id)}/pids.max`;
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
  for (const hierarchy of hierarchiesFor(id)) {
    if (!existsSync(parentPath(hierarchy))) continue;
    removeGroup(groupPath(hierarchy, id));
    removeParent(parentPath(hierarchy));
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
  return `${parentPath(hierarchy)}/${id}`;
}

function parentPath({ mountPoint, base }: Hierarchy): string {
  return `${mountPoint}${base}/${parent}`;
}

function enableController(hierarchy: Hierarchy, controller: Controller): void {
  if (hierarchy.version === 1) return;
  for (const path of [`${hierarchy.mountPoint}${hierarchy.base}`, parentPath(hierarchy)]) {
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
  return hierarchiesFor(id).filter((hierarchy) => existsSync(groupPath(hierarchy, id)));
}

/** Where each controller is to be had on this machine. */
export function describeControllers(): { controller: Controller; where: string | undefined }[] {
  return (["memory", "cpu", "pids"] as const).map((controller) => ({
    controller,
    where: placeOf(findHierarchy(controller)),
  }));
}

function placeOf(found: Hierarchy | undefined): string | undefined {
  return found === undefined ? undefined : `${found.mountPoint}${found.base}`;
}

/** Which hierarchy has the controller: version 2's where it can. */
function findHierarchy(controller: Controller): Hierarchy | undefined {
  return hierarchies().find((hierarchy) => hasController(hierarchy, controller));
}

function hasController({ version, mountPoint, base }: Hierarchy, controller: Controller): boolean {
  if (version === 1) return mountPoint === `/sys/fs/cgroup/${controller}`;
  return readFileSync(`${mountPoint}${base}/cgroup.controllers`, "utf8").trim().split(" ").includes(controller);
}

function hierarchyOf(controller: Controller): Hierarchy {
  const found = findHierarchy(controller);
  if (found !== undefined) return found;
  if (isUsers) {
    throw new UserError(
      "unsupported",
      `no control group with the ${controller} controller is yours, so no such limit can be set`,
      {
        hint: "have systemd hand one over: systemd-run --user --scope fallthru \u2026; or run without --memory, --cpus and --pids",
      },
    );
  }
  throw new UserError("unsupported", `no cgroup ${controller} controller here, so no such limit can be set`, {
    hint: "mount cgroup 2 on /sys/fs/cgroup, or run without --memory, --cpus and --pids",
  });
}

/** Those that may be used: the machine's, or what a user was handed of them. */
function hierarchies(): Hierarchy[] {
  const all = mountedHierarchies();
  if (!isUsers) return all;
  const own = parseOwnGroups(readFileSync("/proc/self/cgroup", "utf8"));
  return all.flatMap((hierarchy) => {
    const name = hierarchy.mountPoint.slice(hierarchy.mountPoint.lastIndexOf("/") + 1);
    const base = handedOver(hierarchy, own.get(hierarchy.version === 2 ? "" : name) ?? "/");
    return base === undefined ? [] : [{ ...hierarchy, base }];
  });
}

/** The topmost of a process's groups in which its user may make others, and move what is below it. */
function handedOver({ mountPoint }: Hierarchy, own: string): string | undefined {
  const names = own.split("/").filter((name) => name !== "");
  const groups = names.map((_, index) => `/${names.slice(0, index + 1).join("/")}`);
  return groups.find((group) => isOurs(`${mountPoint}${group}`) && isOurs(`${mountPoint}${group}/cgroup.procs`));
}

/** Inside a user's name spaces the superuser is the user. */
function isOurs(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.uid === process.geteuid?.();
}

/** In a user's session's directory, as whoever ends it may have been handed something else. */
const noteOf = (id: string) => `${sessionDir(id)}/cgroups.json`;

function noteHierarchies(id: string, used: readonly Hierarchy[]): void {
  if (used.length > 0) writeFileSync(noteOf(id), JSON.stringify(used), { mode: 0o600 });
}

/** Those in which a session may have groups. */
function hierarchiesFor(id: string): readonly Hierarchy[] {
  if (!isUsers) return hierarchies();
  try {
    return JSON.parse(readFileSync(noteOf(id), "utf8")) as Hierarchy[];
  } catch (error) {
    // It was never written, or not to its end: then no group was made.
    if (error instanceof SyntaxError || isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

function hierarchyFor(id: string, controller: Controller): Hierarchy {
  return hierarchiesFor(id).find((hierarchy) => hasController(hierarchy, controller)) ?? hierarchyOf(controller);
}

/** Where control groups are mounted: version 2 alone, or beside version 1's controllers. */
function mountedHierarchies(): Hierarchy[] {
  const root = "/sys/fs/cgroup";
  const base = "";
  if (existsSync(`${root}/cgroup.controllers`)) return [{ version: 2, mountPoint: root, base }];
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .map((name) => `${root}/${name}`)
    .filter((path) => existsSync(`${path}/cgroup.procs`))
    .map((mountPoint) => ({ version: existsSync(`${mountPoint}/cgroup.controllers`) ? 2 : 1, mountPoint, base }));
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
