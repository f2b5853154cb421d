import { KernelError, errnoName } from "../../kernel/error.ts";
import { type Argument, lastErrno, native } from "../../kernel/libc.ts";

/** Calls that leave something open give it here; undo() lets go of it all, the last first. */
const open: (() => void)[] = [];

export function defer(letGo: () => void): void {
  open.push(letGo);
}

/** After a probe: closes what it left open, ends what it left running. */
export function undo(): void {
  for (let letGo = open.pop(); letGo !== undefined; letGo = open.pop()) letGo();
}

/** A system call that throws where it fails. 64-bit results are exact below 2^53. */
export function call(name: string, result: string, parameters: readonly string[]): (...args: Argument[]) => number {
  const bound = native(name, result, parameters);
  return (...args) => {
    const value = bound(...args);
    if (value === -1) throw new KernelError({ syscall: name, path: "", errno: errnoName(lastErrno()) });
    return value;
  };
}

/** A path or name as the kernel takes it: text, or bytes; NUL-terminated. */
export function path(name: string | Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(name as string), Buffer.alloc(1)]);
}

const isArm = process.arch === "arm64" || process.arch === "arm";

// include/uapi/asm-generic/fcntl.h; arm swaps O_DIRECT and O_DIRECTORY with two others
export const O_DIRECT = isArm ? 0o200000 : 0o40000;
const O_DIRECTORY = isArm ? 0o40000 : 0o200000;
export const O_TMPFILE = 0o20000000 | O_DIRECTORY;
export const O_PATH = 0o10000000;
export const O_NOATIME = 0o1000000;
export const AT_FDCWD = -100;
