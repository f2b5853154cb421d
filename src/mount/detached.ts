import { readText } from "../kernel/trusted.ts";

/** Whether mounts can be attached below a mount that is itself still detached (move_mount(2), Linux 6.15). */
export function canBuildDetached(): boolean {
  const [major = 0, minor = 0] = readText("/proc/sys/kernel/osrelease").split(".").map(Number);
  return major > 6 || (major === 6 && minor >= 15);
}
