import { RLIMIT_NOFILE } from "./abi/process.ts";
import { unless } from "./error.ts";
import { readFile } from "./file.ts";
import { quick } from "./libc.ts";

const prlimit_ = quick("prlimit", "int", ["int", "int", "void *", "void *"]);

/** How many kinds there are. @see asm-generic/resource.h, RLIM_NLIMITS */
const kinds = 16;

/** What a process may have of each resource: soft and hard limits, as the kernel has them. */
export type Limits = readonly Uint8Array[];

/** @returns undefined where the process is gone, or none of ours to ask */
export function limitsOf(pid: number): Limits | undefined {
  const all: Uint8Array[] = [];
  for (let kind = 0; kind < kinds; kind++) {
    const limit = new Uint8Array(16);
    if (prlimit_(pid, kind, null, limit) !== 0) return undefined;
    all.push(limit);
  }
  return all;
}

/**
 * Gives a child the limits of another process, but for the soft one of open files: that is its own already.
 * One that has ended meanwhile needs none.
 */
export function setLimits(pid: number, limits: Limits): void {
  for (const [kind, limit] of limits.entries()) {
    if (kind !== RLIMIT_NOFILE) prlimit_(pid, kind, limit, null);
    else {
      const own = new BigUint64Array(2);
      prlimit_(pid, kind, null, new Uint8Array(own.buffer));
      const hard = new BigUint64Array(limit.slice().buffer)[1] ?? 0n;
      const soft = (own[0] ?? 0n) < hard ? (own[0] ?? 0n) : hard;
      prlimit_(pid, kind, new Uint8Array(BigUint64Array.of(soft, hard).buffer), null);
    }
  }
}

/** login(1) and su(1), whose children shells are, are root's: those aren't ours to ask, but everybody may read this. */
export function fileLimitFromProc(pid: number): number | undefined {
  const text = unless(["ENOENT", "EACCES", "ESRCH"], () => readFile(`/proc/${pid}/limits`))?.toString("latin1");
  const soft = /^Max open files +(\d+)/m.exec(text ?? "")?.[1];
  return soft === undefined ? undefined : Number(soft);
}
