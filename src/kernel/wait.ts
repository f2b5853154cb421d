import { CLD, P_PID, SYS_pidfd_open, WEXITED, WNOHANG, WSTOPPED } from "./abi/process.ts";
import { check } from "./error.ts";
import { Fd } from "./fd.ts";
import { quick } from "./libc.ts";

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
