import { check } from "./error.ts";
import type { Fd } from "./fd.ts";
import { native } from "./libc.ts";

const copyFileRange_ = native("copy_file_range", "long", ["int", "void *", "int", "void *", "size_t", "unsigned int"]);

/**
 * Copies up to `length` bytes from one open file to another inside the kernel, at their positions.
 * @returns bytes copied: fewer than `length` is normal, 0 means the end of `from`
 * @throws {KernelError} EXDEV across file systems; EINVAL not regular files; ENOSPC; EINTR
 * @see copy_file_range(2)
 */
export function copyFileRange(from: Fd, to: Fd, length: number): number {
  return check("copy_file_range", to.path, copyFileRange_(from.number, null, to.number, null, length, 0));
}
