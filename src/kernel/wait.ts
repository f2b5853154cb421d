import {
  CLD,
  P_ALL,
  P_PID,
  PIDFD_GET_INFO,
  PIDFD_INFO_EXIT,
  PIDFD_INFO_SIZE_VER0,
  SYS_pidfd_open,
  WEXITED,
  WNOHANG,
  WSTOPPED,
} from "./abi/process.ts";
import { check, isErrno, unless } from "./error.ts";
import { Fd } from "./fd.ts";
import { ioctl } from "./file.ts";
import { quick } from "./libc.ts";
import { waitUntilReady } from "./poll.ts";
import { statOfProcess } from "./trusted.ts";

const waitid_ = quick("waitid", "int", ["int", "int", "void *", "int"]);
const pidfdOpen_ = quick("syscall", "long", ["long", "int", "unsigned int"]);

export type Outcome =
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "killed"; readonly signal: number }
  | { readonly kind: "stopped"; readonly signal: number };

/**
 * Waits until a child exits or stops. JavaScript goes on meanwhile, signal handlers too: SIGCHLD says when to look, as a
 * thread that blocks in waitid(2) would cost a start 2 ms.
 * @see waitid(2)
 */
export async function waitForChild(pid: number): Promise<Outcome> {
  let look = () => {};
  const onChild = () => look();
  process.on("SIGCHLD", onChild);
  // A signal's handler alone doesn't keep the program waiting.
  const stay = setInterval(() => {}, 1 << 30);
  try {
    for (;;) {
      // Before looking, so that none is missed that comes while we do.
      const came = new Promise<void>((done) => (look = done));
      const outcome = askChild(pid);
      if (outcome !== undefined) return outcome;
      await came;
    }
  } finally {
    clearInterval(stay);
    process.off("SIGCHLD", onChild);
  }
}

/** A descriptor that becomes ready to read when the process ends. @see pidfd_open(2) */
export function openProcess(pid: number): Fd {
  return new Fd(check("open process", String(pid), pidfdOpen_(SYS_pidfd_open, pid, 0)), `process ${pid}`);
}

/**
 * How a process has ended that needn't be a child of ours. @param process as openProcess() gave it
 * @returns undefined where it goes on, and where the kernel doesn't tell of one that others have buried (before Linux 6.15)
 * @see PIDFD_GET_INFO in linux/pidfd.h
 */
export function endOf(process: Fd, pid: number): Outcome | undefined {
  // The kernel tells when somebody has buried it; before that proc_pid_stat(5) does, whose process it still is.
  const status = buriedStatus(process) ?? deadStatus(pid) ?? buriedStatus(process);
  if (status === undefined) return undefined;
  const signal = status & 0x7f;
  return signal === 0 ? { kind: "exited", status: (status >> 8) & 0xff } : { kind: "killed", signal };
}

function buriedStatus(process: Fd): number | undefined {
  const info = Buffer.alloc(PIDFD_INFO_SIZE_VER0);
  info.writeBigUInt64LE(BigInt(PIDFD_INFO_EXIT), 0);
  try {
    ioctl(process, PIDFD_GET_INFO, info);
  } catch (error) {
    if (isErrno(error, "ESRCH", "ENOTTY", "EINVAL")) return undefined;
    throw error;
  }
  return (info.readUInt32LE(0) & PIDFD_INFO_EXIT) === 0 ? undefined : info.readInt32LE(60);
}

function deadStatus(pid: number): number | undefined {
  const fields = statOfProcess(pid);
  return fields?.[0] === "Z" ? Number(fields.at(-1)) : undefined;
}

/** Kills a child, waits until it is dead, and buries it. */
export function killChild(pid: number): void {
  using child = openProcess(pid);
  process.kill(pid, "SIGKILL");
  while (waitUntilReady([{ file: child }], -1).length === 0);
  askChild(pid);
}

/** Buries children that have ended and that nobody waits for any more. @see waitid(2) */
export function buryChildren(): void {
  const info = Buffer.alloc(128);
  const bury = () => check("wait for processes", "", waitid_(P_ALL, 0, info, WEXITED | WNOHANG));
  while (unless(["ECHILD"], bury) !== undefined && info.readInt32LE(12) !== 0) info.fill(0);
}

/** What a child has just done, without waiting; undefined: it goes on. One that ended is buried by this. @see waitid(2) */
export function askChild(pid: number): Outcome | undefined {
  const info = Buffer.alloc(128); // siginfo_t: signo, errno, code, and from 12 on pid, uid, status
  check("wait for process", String(pid), waitid_(P_PID, pid, info, WEXITED | WSTOPPED | WNOHANG));
  if (info.readInt32LE(12) === 0 && info.readInt32LE(0) === 0) return undefined;
  const [code, status] = [info.readInt32LE(8), info.readInt32LE(24)];
  switch (code) {
    case CLD.EXITED:
      return { kind: "exited", status };
    case CLD.STOPPED:
    case CLD.TRAPPED:
      return { kind: "stopped", signal: status };
    default:
      return { kind: "killed", signal: status };
  }
}
