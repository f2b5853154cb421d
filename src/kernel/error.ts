import { lastErrno, type Path, pathText } from "./libc.ts";

/** errno by its name, as in errno(3). Names that a platform lacks are shown as numbers. */
export type ErrnoName = string;

// include/uapi/asm-generic/errno-base.h and errno.h: 1 to 40, then those above that file systems and mounts give.
const base =
  "EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV " +
  "ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK " +
  "ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP";
const others: Readonly<Record<number, ErrnoName>> = {
  61: "ENODATA",
  71: "EPROTO",
  75: "EOVERFLOW",
  87: "EUSERS",
  95: "EOPNOTSUPP",
  103: "ECONNABORTED",
  107: "ENOTCONN",
  110: "ETIMEDOUT",
  111: "ECONNREFUSED",
  112: "EHOSTDOWN",
  116: "ESTALE",
  117: "EUCLEAN",
  122: "EDQUOT",
  130: "EOWNERDEAD",
};

let names: readonly ErrnoName[] | undefined;

export function errnoName(number: number): ErrnoName {
  names ??= base.split(" ");
  return names[number - 1] ?? others[number] ?? `errno ${number}`;
}

/** What strerror(3) says in the C locale, for those errors that a user of ours meets. */
const texts: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EAGAIN: "resource temporarily unavailable",
  EBADF: "bad file descriptor",
  EBUSY: "device or resource busy",
  EDQUOT: "disk quota exceeded",
  EEXIST: "file exists",
  EFBIG: "file too large",
  EINTR: "interrupted",
  EINVAL: "invalid argument",
  EIO: "input/output error",
  EISDIR: "is a directory",
  ELOOP: "too many symbolic links",
  EMFILE: "too many open files",
  EMLINK: "too many links",
  ENAMETOOLONG: "file name too long",
  ENODATA: "no such attribute",
  ENODEV: "no such device",
  ENOENT: "no such file or directory",
  ENOEXEC: "not in an executable format",
  ENOMEM: "out of memory",
  ENOSPC: "no space left on device",
  ENOSYS: "not in this kernel",
  ENOTDIR: "not a directory",
  ENOTEMPTY: "directory not empty",
  EOPNOTSUPP: "not supported",
  EPERM: "operation not permitted",
  EROFS: "read-only file system",
  ESRCH: "no such process",
  ESTALE: "stale file handle",
  ETXTBSY: "text file busy",
  EXDEV: "crosses file systems",
};

/** A system call that the kernel refused: fields for programs, the message for people. */
export class KernelError extends Error {
  readonly syscall: string;
  readonly path: string;
  readonly errno: ErrnoName;
  readonly hint: string | undefined;

  constructor(fields: { syscall: string; path: Path; errno: ErrnoName; hint?: string | undefined }) {
    const path = pathText(fields.path);
    const text = texts[fields.errno];
    const reason = text === undefined ? fields.errno : `${text} (${fields.errno})`;
    super(`${fields.syscall}${path === "" ? "" : ` ${path}`}: ${reason}`);
    this.name = "KernelError";
    this.syscall = fields.syscall;
    this.path = path;
    this.errno = fields.errno;
    this.hint = fields.hint;
  }
}

/**
 * Passes a call's result on; −1 becomes the error that errno names.
 * @param place what it was about; of an open file the path is put together only for the message
 */
export function check(syscall: string, place: Path | { readonly path: Path }, result: number): number {
  if (result !== -1) return result;
  const errno = errnoName(lastErrno());
  const path = typeof place === "object" && "path" in place ? place.path : place;
  throw new KernelError({ syscall, path, errno });
}

/** Whether an error is one of these errnos, from our own calls or from node:fs. */
export function isErrno(error: unknown, ...expected: readonly ErrnoName[]): boolean {
  if (error instanceof KernelError) return expected.includes(error.errno);
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && expected.includes(code);
}

/** Runs `call`; an error that is one of `expected` becomes `undefined`, every other is thrown. */
export function unless<T>(expected: readonly ErrnoName[], call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (isErrno(error, ...expected)) return undefined;
    throw error;
  }
}

let numbers: Map<ErrnoName, number> | undefined;

/** The number that errnoName() names, for those who hand errors back to the kernel; undefined for what isn't one. */
export function errnoNumber(name: ErrnoName): number | undefined {
  numbers ??= new Map([
    ...base.split(" ").map((known, index): [ErrnoName, number] => [known, index + 1]),
    ...Object.entries(others).map(([number, known]): [ErrnoName, number] => [known, Number(number)]),
  ]);
  return numbers.get(name);
}
