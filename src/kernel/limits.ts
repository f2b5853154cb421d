import { RLIMIT_NOFILE } from "./abi/process.ts";
import { unless } from "./error.ts";
import { readFile } from "./file.ts";
import { quick } from "./libc.ts";

const prlimit_ = quick("prlimit", "int", ["int", "int", "void *", "void *"]);

/** What a process may have of each resource, by the numbers of asm-generic/resource.h. */
export type Limits = readonly { readonly soft: bigint; readonly hard: bigint }[];

const unlimited = 0xffffffffffffffffn;

/**
 * From a file that everybody may read: prlimit(2) tells of another user's process only where one has CAP_SYS_RESOURCE.
 * @returns undefined where the process is gone
 * @see proc_pid_limits(5)
 */
export function limitsOf(pid: number): Limits | undefined {
  const text = unless(["ENOENT", "EACCES", "ESRCH"], () => readFile(`/proc/${pid}/limits`))?.toString("latin1");
  // One line each, in the order of their numbers, below a heading; names are 26 characters wide.
  const lines = text
    ?.split("\n")
    .slice(1)
    .filter((line) => line !== "");
  const number = (word = ""): bigint => (/^\d+$/.test(word) ? BigInt(word) : unlimited);
  return lines?.map((line) => {
    const [soft, hard] = line.slice(26).trim().split(/\s+/);
    return { soft: number(soft), hard: number(hard) };
  });
}

/** CPU time, memory and open files: a process that was given somebody else's of those could itself go under. */
const notLent = [0, 2, 9, RLIMIT_NOFILE];

/** Gives this process somebody else's soft limits for the moment in which it starts a child that is to have them. */
export function borrowLimits(limits: Limits | undefined): Disposable {
  const own = limits === undefined ? undefined : limitsOf(process.pid);
  if (limits !== undefined) lend(limits);
  return { [Symbol.dispose]: () => (own === undefined ? undefined : lend(own)) };
}

function lend(limits: Limits): void {
  for (const [kind, { soft }] of limits.entries()) {
    if (notLent.includes(kind)) continue;
    const own = new BigUint64Array(2);
    prlimit_(0, kind, null, new Uint8Array(own.buffer));
    const hard = own[1] ?? 0n;
    set(0, kind, { soft: soft < hard ? soft : hard, hard });
  }
}

/** Gives a child the rest of them. Its soft one of open files is its own already. */
export function completeLimits(pid: number, limits: Limits): void {
  for (const [kind, limit] of limits.entries()) {
    if (kind !== RLIMIT_NOFILE) set(pid, kind, limit);
    else {
      const own = new BigUint64Array(2);
      if (prlimit_(pid, kind, null, new Uint8Array(own.buffer)) !== 0) continue;
      const soft = own[0] ?? 0n;
      set(pid, kind, { soft: soft < limit.hard ? soft : limit.hard, hard: limit.hard });
    }
  }
}

/** What can't be set stays as it is: the process is gone, or the service lacks the right to limit others. */
function set(pid: number, kind: number, { soft, hard }: Limits[number]): void {
  prlimit_(pid, kind, new Uint8Array(BigUint64Array.of(soft, hard).buffer), null);
}
