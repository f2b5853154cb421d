import { FS_IOC_GETFLAGS, FS_IOC_SETFLAGS } from "./abi/file.ts";
import { check } from "./error.ts";
import type { Fd } from "./fd.ts";
import { quick } from "./libc.ts";

const ioctl_ = quick("ioctl", "int", ["int", "unsigned long", "void *"]);

/** Sets flags that chattr(1) sets, besides those that a file has. @throws {KernelError} ENOTTY, EOPNOTSUPP: its file system has none */
export function addInodeFlags(file: Fd, flags: number): void {
  const words = new Uint32Array(2);
  const bytes = new Uint8Array(words.buffer);
  check("read flags", file, ioctl_(file.number, FS_IOC_GETFLAGS, bytes));
  const [old = 0] = words;
  if ((old & flags) === flags) return;
  words[0] = old | flags;
  check("set flags", file, ioctl_(file.number, FS_IOC_SETFLAGS, bytes));
}
