import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { unless } from "../../src/kernel/error.ts";
import { readMountInfo } from "../../src/mount/mountinfo.ts";
import { cgroups, processesIn } from "./cgroup.ts";

/** What sessions consist of, one line for each thing that is there. */
export type Traces = ReadonlySet<string>;

/**
 * Everything that a session could leave behind: mounts, processes, cgroups, records, directories, loop devices.
 * A test file sees only its own (see contain.ts).
 */
export function traces(): Traces {
  return new Set([
    ...mounts(),
    ...processesIn().flatMap(describeProcess),
    ...cgroups().map((path) => `cgroup ${path}`),
    // What was committed stays in the log.
    ...names("/var/lib/fallthru/sessions", "record").filter((line) => !/\/\.(held|commits|frozen)$/.test(line)),
    ...names("/var/lib/fallthru/sessions/.frozen", "frozen layers"),
    ...names("/var/lib/fallthru/sessions/.held", "hold"),
    ...names("/run/fallthru").flatMap((folder) => names(folder, "directory")),
    ...names("/var/lib/schroot/session", "session file"),
    ...loopDevices(),
  ]);
}

/** What is there now and wasn't `before`. */
export function leftovers(before: Traces): string[] {
  return [...traces()].filter((trace) => !before.has(trace));
}

/** The same, after giving what is just ending up to `waitMs` to go. */
export async function leftoversAfter(before: Traces, waitMs: number): Promise<string[]> {
  const end = performance.now() + waitMs;
  for (;;) {
    const found = leftovers(before);
    if (found.length === 0 || performance.now() > end) return found;
    await sleep(20);
  }
}

function mounts(): string[] {
  return readMountInfo()
    .filter(({ mountPoint, type }) => !(mountPoint === "/run/fallthru" && type === "tmpfs"))
    .map(({ id, type, mountPoint }) => `mount ${id}: ${type} on ${mountPoint}`);
}

function describeProcess(id: number): string[] {
  try {
    const command = readFileSync(`/proc/${id}/cmdline`, "utf8").split("\0").join(" ").trim();
    return [`process ${id}: ${command}`];
  } catch {
    return []; // It has just ended.
  }
}

function names(folder: string, what?: string): string[] {
  try {
    return readdirSync(folder).map((name) => `${what === undefined ? "" : `${what} `}${folder}/${name}`);
  } catch (error) {
    if (error instanceof Error && "code" in error && ["ENOENT", "ENOTDIR"].includes(String(error.code))) return [];
    throw error;
  }
}

/** Those on this test file's own files: the devices are the machine's, and others may be testing on it. */
function loopDevices(): string[] {
  const devices = readdirSync("/sys/block").filter((name) => name.startsWith("loop"));
  return devices.flatMap((name) => {
    // Others may be letting go of theirs just now.
    const path = unless(["ENOENT"], () => readFileSync(`/sys/block/${name}/loop/backing_file`, "utf8").trim());
    return path?.startsWith(`${tmpdir()}/`) === true ? [`loop device /dev/${name} of ${path}`] : [];
  });
}
