import { CLD, P_PID, WEXITED, WNOHANG, WSTOPPED } from "./abi/process.ts";
import { check } from "./error.ts";
import { quick } from "./libc.ts";

const waitid_ = quick("waitid", "int", ["int", "int", "void *", "int"]);

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
      const outcome = outcomeOf(pid);
      if (outcome !== undefined) return outcome;
      await came;
    }
  } finally {
    clearInterval(stay);
    process.off("SIGCHLD", onChild);
  }
}

/** @returns undefined where it goes on */
function outcomeOf(pid: number): Outcome | undefined {
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
