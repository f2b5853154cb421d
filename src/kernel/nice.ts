import { check, unless } from "./error.ts";
import { readFile } from "./file.ts";
import { quick } from "./libc.ts";

const setpriority_ = quick("setpriority", "int", ["int", "int", "int"]);
const PRIO_PROCESS = 0;

/** @returns undefined for a process that has ended; @see nice(2), proc_pid_stat(5) */
export function nicenessOf(pid: number): number | undefined {
  const stat = unless(["ENOENT", "ESRCH"], () => readFile(`/proc/${pid}/stat`))?.toString("latin1");
  return stat === undefined ? undefined : Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
}

/** A process that has ended needs none. @see setpriority(2) */
export function setNiceness(pid: number, niceness: number): void {
  unless(["ESRCH"], () => check("setpriority", String(pid), setpriority_(PRIO_PROCESS, pid, niceness)));
}
