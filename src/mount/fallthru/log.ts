import { O } from "../../kernel/abi/file.ts";
import { unless } from "../../kernel/error.ts";
import { openAt, writeAll } from "../../kernel/file.ts";

/** One line in the kernel's log, where overlayfs has its own; nowhere, where that isn't allowed. */
export function log(line: string): void {
  const device = unless(["ENOENT", "EACCES", "EPERM"], () => openAt(null, "/dev/kmsg", O.WRONLY));
  if (device === undefined) return;
  using open = device;
  // <4>: a warning; a record has one line, of at most 1,024 bytes.
  writeAll(open, Buffer.from(`<4>fallthru: ${line.replace(/\s*\n\s*/g, "; ")}`).subarray(0, 900));
}
