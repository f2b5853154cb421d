import { readFileSync } from "node:fs";
import type { Fd } from "../../kernel/fd.ts";

/** So much is written to a disk in no time. */
const littleKb = 16 * 1024;

/**
 * Lets go of a mount that is in no tree any more. An overlay's last user waits until all that is dirty on its upper's file
 * system is on the disk; where that is much, a process of its own does.
 */
export function letGo(mount: Fd | undefined): void {
  if (mount === undefined) return;
  if (dirtyKb() > littleKb) {
    const { spawn } = process.getBuiltinModule("node:child_process");
    // As its standard input, which it lets go of as it ends.
    const child = spawn("/bin/true", { stdio: [mount.number, "ignore", "ignore"], detached: true });
    child.on("error", () => {});
    child.unref();
  }
  mount.close();
}

/** @see proc_meminfo(5) */
function dirtyKb(): number {
  return Number(/^Dirty:\s*(\d+)/m.exec(readFileSync("/proc/meminfo", "latin1"))?.[1] ?? 0);
}
