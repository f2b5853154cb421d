// A cgroup 2 hierarchy of its own for each test file: what the file starts can't leave it, and two runs on one
// machine don't see each other's cgroups.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readMountInfo } from "../../src/mount/mountinfo.ts";

/** What a session's limits need, as far as this machine's cgroup 2 has it. */
const wanted = new Set(["memory", "cpu", "pids"]);

/** Where cgroup 2 is mounted. */
export function cgroupMountPoint(): string {
  const found = readMountInfo().findLast((mount) => mount.type === "cgroup2");
  if (found === undefined) throw new Error("the tests need a mounted cgroup 2 file system");
  return found.mountPoint;
}

/** Makes a cgroup below the machine's topmost; who enters it and then unshares takes it for the topmost. */
export function makeCgroup(name: string): string {
  const top = cgroupMountPoint();
  enableControllers(top);
  const path = join(top, name);
  mkdirSync(path);
  return path;
}

/** In the new mount and cgroup name spaces: shows only our part, and keeps its top free of processes, as cgroup 2 wants. */
export function enterCgroup(): void {
  const top = cgroupMountPoint();
  execFileSync("umount", ["--lazy", top]);
  execFileSync("mount", ["-t", "cgroup2", "cgroup2", top]);
  const own = join(top, "tests");
  mkdirSync(own);
  writeFileSync(join(own, "cgroup.procs"), String(process.pid));
  enableControllers(top);
}

/** Kills what is left in a cgroup and below it, then removes it. */
export async function removeCgroup(path: string): Promise<void> {
  writeFileSync(join(path, "cgroup.kill"), "1");
  while (processesIn(path).length > 0) await sleep(5);
  for (const below of cgroupsBelow(path).toReversed()) rmdirSync(below);
  rmdirSync(path);
}

/** A parent comes before its children. */
export function cgroupsBelow(path: string): string[] {
  const children = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return children.flatMap(({ name }) => [join(path, name), ...cgroupsBelow(join(path, name))]);
}

/** The ids of the processes in a cgroup and below it. */
export function processesIn(path: string): number[] {
  return [path, ...cgroupsBelow(path)].flatMap((cgroup) => {
    const ids = readFileSync(join(cgroup, "cgroup.procs"), "utf8").trim();
    return ids === "" ? [] : ids.split("\n").map(Number);
  });
}

function enableControllers(cgroup: string): void {
  const available = readFileSync(join(cgroup, "cgroup.controllers"), "utf8").trim().split(" ");
  const enabled = readFileSync(join(cgroup, "cgroup.subtree_control"), "utf8").trim().split(" ");
  for (const controller of available) {
    if (wanted.has(controller) && !enabled.includes(controller)) {
      writeFileSync(join(cgroup, "cgroup.subtree_control"), `+${controller}`);
    }
  }
}
