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

/** What is just ending has so long to go: on a busy machine a process that was killed takes its time. */
const patienceMs = 5000;

/** The same, after giving what is just ending time to go. @param counts whether a trace is one that matters */
export async function leftoversAfter(
  before: Traces,
  counts: (trace: string) => boolean = () => true,
): Promise<string[]> {
  const end = performance.now() + patienceMs;
  for (;;) {
    const found = leftovers(before).filter(counts);
    if (found.length === 0 || performance.now() > end) return found;
    await sleep(20);
  }
}

/** Waits until a process of this test file's has exactly this command line, as ps(1) shows it. @returns its id */
export async function untilRuns(command: string, waitMs = 30_000): Promise<number> {
  const end = performance.now() + waitMs;
  for (;;) {
    const [id] = running(command);
    if (id !== undefined) return id;
    if (performance.now() > end) throw new Error(`nobody runs ${command}`);
    await sleep(10);
  }
}

/** The processes of this test file's that have exactly this command line: not the machine's, on which others may be testing. */
export function running(command: string): number[] {
  return processesIn().filter((id) => commandOf(id) === command);
}

function mounts(): string[] {
  return readMountInfo()
    .filter(({ mountPoint, type }) => !(mountPoint === "/run/fallthru" && type === "tmpfs"))
    .map(({ id, type, mountPoint }) => `mount ${id}: ${type} on ${mountPoint}`);
}

function describeProcess(id: number): string[] {
  const command = commandOf(id);
  return command === undefined ? [] : [`process ${id}: ${command}`];
}

function commandOf(id: number): string | undefined {
  try {
    return readFileSync(`/proc/${id}/cmdline`, "utf8").split("\0").join(" ").trim();
  } catch {
    return undefined; // It has just ended.
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
    // Others may be letting go of theirs just now: before the open it is ENOENT, before the read ENODEV.
    const path = unless(["ENOENT", "ENODEV"], () =>
      readFileSync(`/sys/block/${name}/loop/backing_file`, "utf8").trim(),
    );
    return path?.startsWith(`${tmpdir()}/`) === true ? [`loop device /dev/${name} of ${path}`] : [];
  });
}
