import { CLD, P_ALL, P_PID, WEXITED, WSTOPPED } from "./abi/process.ts";
import { KernelError } from "./error.ts";
import { nativeAsync } from "./libc.ts";

const waitid_ = nativeAsync("waitid", "int", ["int", "int", "void *", "int"]);

export type Outcome =
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "killed"; readonly signal: number }
  | { readonly kind: "stopped"; readonly signal: number };

/**
 * Buries children as they die, those of others that this process inherited too, until `pid` is among them.
 * @returns its exit status; 128 and the signal's number where a signal killed it
 */
export async function reapUntil(pid: number): Promise<number> {
  for (;;) {
    const info = Buffer.alloc(128);
    const result = await waitid_(P_ALL, 0, info, WEXITED);
    if (result !== 0) throw new KernelError({ syscall: "wait for processes", path: "", errno: "ECHILD" });
    if (info.readInt32LE(16) !== pid) continue;
    const status = info.readInt32LE(24);
    return info.readInt32LE(8) === CLD.EXITED ? status : 128 + status;
  }
}

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
