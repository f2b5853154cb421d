import { schedCalls } from "./abi/process.ts";
import { check, unless } from "./error.ts";
import { quick } from "./libc.ts";
import { statOfProcess } from "./trusted.ts";

const setpriority_ = quick("setpriority", "int", ["int", "int", "int"]);
const PRIO_PROCESS = 0;

/** @returns undefined for a process that has ended; @see nice(2), proc_pid_stat(5) */
export function nicenessOf(pid: number): number | undefined {
  const stat = statOfProcess(pid);
  return stat === undefined ? undefined : Number(stat[16]);
}

/** A process that has ended needs none. @see setpriority(2) */
export function setNiceness(pid: number, niceness: number): void {
  unless(["ESRCH"], () => check("setpriority", String(pid), setpriority_(PRIO_PROCESS, pid, niceness)));
}

const sched_ = quick("syscall", "long", ["long", "int", "void *", "unsigned int", "unsigned int"]);

/** struct sched_attr, include/uapi/linux/sched/types.h: its first version, and where in it things are. */
const SCHED_ATTR = { SIZE: 48, POLICY: 4, FLAGS: 8, RUNTIME: 24 } as const;
const [SCHED_OTHER, SCHED_FLAG_RESET_ON_FORK] = [0, 1];

/** The shortest that Linux grants. */
const SHORT_TURN_NS = 100_000n;

/**
 * This thread asks for no larger share of the processors, but for shorter turns: where others keep them busy it then comes
 * in its turn as soon as it is woken up, not when theirs end (1.4 ms each, on two processors). Threads that it starts have
 * the usual ones. Linux before 6.12 does nothing. @see sched_setattr(2)
 */
export function takeShortTurns(): void {
  const calls = schedCalls[process.arch];
  if (calls === undefined) return;
  const attributes = new Uint8Array(SCHED_ATTR.SIZE);
  const view = new DataView(attributes.buffer);
  unless(["ENOSYS", "EPERM"], () => {
    check("sched_getattr", "", sched_(calls.getattr, 0, attributes, SCHED_ATTR.SIZE, 0));
    // Whoever has given it another policy has meant that.
    if (view.getUint32(SCHED_ATTR.POLICY, true) !== SCHED_OTHER) return;
    view.setUint32(SCHED_ATTR.FLAGS, SCHED_FLAG_RESET_ON_FORK, true);
    view.setBigUint64(SCHED_ATTR.RUNTIME, SHORT_TURN_NS, true);
    check("sched_setattr", "", sched_(calls.setattr, 0, attributes, 0, 0));
  });
}
