import { AT, O, STATX_MNT_ID_UNIQUE, STATX_SIZE } from "./abi/file.ts";
import { check, errnoName, isErrno, unless } from "./error.ts";
import { openAt } from "./file.ts";
import { cString, lastErrno, quick } from "./libc.ts";
import { readText, statOfProcess } from "./trusted.ts";

/**
 * What /proc says of every process, for those who ask about all of them: with as few calls for each as there can be, and no
 * memory of its own for any.
 */

const statx_ = quick("statx", "int", ["int", "void *", "int", "unsigned int", "void *"]);
const readlink_ = quick("readlink", "long", ["void *", "void *", "size_t"]);
const getdents64_ = quick("getdents64", "long", ["int", "void *", "size_t"]);

/** The processes, from the newest; /proc has them in order. */
export function processIds(): number[] {
  const found: number[] = [];
  using proc = openAt(null, "/proc", O.RDONLY | O.DIRECTORY);
  const buffer = new Uint8Array(16_384);
  for (;;) {
    const length = check("readdir", proc, getdents64_(proc.number, buffer, buffer.length));
    if (length === 0) return found.toReversed();
    for (let at = 0; at < length; at += (buffer[at + 16] ?? 0) | ((buffer[at + 17] ?? 0) << 8)) {
      const pid = numberAt(buffer, at + 19);
      if (pid > 0) found.push(pid);
    }
  }
}

/** The number that a NUL-terminated name is, or 0. */
function numberAt(buffer: Uint8Array, start: number): number {
  let number = 0;
  for (let at = start; buffer[at] !== 0; at++) {
    const digit = (buffer[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return 0;
    number = number * 10 + digit;
  }
  return number;
}

/**
 * The kernel's own threads, or some of them: nobody's processes, four in five on a small machine. They are the children of
 * the process 2, where that is one of the kernel's (in a pid name space it is anybody). Empty where Linux doesn't tell children.
 */
export function kernelThreads(): ReadonlySet<number> {
  const none = new Set<number>();
  // Behind the state come five numbers, and the flags.
  const flags = Number(statOfProcess(2)?.[6] ?? 0);
  const PF_KTHREAD = 0x00200000; // include/linux/sched.h
  if ((flags & PF_KTHREAD) === 0) return none;
  const children = unless(["ENOENT", "ESRCH"], () => readText("/proc/2/task/2/children", "latin1")) ?? "";
  for (const pid of children.split(" ")) none.add(Number(pid));
  return none;
}

/** What a look at a directory fills in. */
export interface Spot {
  major: number;
  minor: number;
  /** The mount's id, which no other ever has (Linux ≥ 6.8; before that none at the same time). */
  mount: number;
}

const attributes = new Uint32Array(STATX_SIZE / 4);
const attributeBytes = new Uint8Array(attributes.buffer);

/**
 * What a process's directory may answer who looks at it: it has ended, it is one of the kernel's, we may not, or what its root hangs
 * on is gone.
 */
export const unseen = ["ENOENT", "ESRCH", "EACCES", "ENOTDIR", "ELOOP", "ENOTCONN", "ESTALE"] as const;

/** Paths below /proc, of which one is looked at after the other. */
const pathBytes = new Uint8Array(64);
const encoder = new TextEncoder();

/**
 * Where a directory is: of which device and mount.
 * @returns false where that can't be seen: the first error that is made costs a start 0.1 ms, and there is always one who just ended
 */
export function lookAt(path: string, spot: Spot): boolean {
  const isShort = path.length * 3 < pathBytes.length;
  if (isShort) encoder.encodeInto(`${path}\0`, pathBytes);
  const name = isShort ? pathBytes : cString(path);
  const result = statx_(AT.FDCWD, name, 0, STATX_MNT_ID_UNIQUE, attributeBytes);
  if (result === -1) {
    const errno = errnoName(lastErrno());
    for (const each of unseen) if (each === errno) return false;
    check("stat", path, result);
  }
  spot.major = attributes[34] ?? 0;
  spot.minor = attributes[35] ?? 0;
  spot.mount = (attributes[36] ?? 0) + (attributes[37] ?? 0) * 2 ** 32;
  return true;
}

/** Stands for a path that is longer than a page: Linux doesn't tell it (ENAMETOOLONG, d_path() in fs/d_path.c). */
export const tooFar = Symbol("too far");

let target: Buffer | undefined;

/** Where a link of a process's leads to, as far as we see. */
export function pathOf(link: string): string | typeof tooFar {
  target ??= Buffer.alloc(4096);
  try {
    return target.toString("utf8", 0, check("readlink", link, readlink_(cString(link), target, target.length)));
  } catch (error) {
    if (isErrno(error, "ENAMETOOLONG")) return tooFar;
    throw error;
  }
}
