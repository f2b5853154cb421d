import { CLD, P_PID, WEXITED, WSTOPPED } from "./abi/process.ts";
import { KernelError } from "./error.ts";
import { nativeAsync } from "./libc.ts";

const waitid_ = nativeAsync("waitid", "int", ["int", "int", "void *", "int"]);

export type Outcome =
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "killed"; readonly signal: number }
  | { readonly kind: "stopped"; readonly signal: number };

/** Waits until a child exits or stops. JavaScript goes on meanwhile, signal handlers too. @see waitid(2) */
export async function waitForChild(pid: number): Promise<Outcome> {
  const info = Buffer.alloc(128); // siginfo_t: signo, errno, code, and from 16 on pid, uid, status
  const result = await waitid_(P_PID, pid, info, WEXITED | WSTOPPED);
  if (result !== 0) throw new KernelError({ syscall: "wait for process", path: String(pid), errno: "ECHILD" });
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
