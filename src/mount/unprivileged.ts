import { isErrno, unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { cloneMount, makeMount, makePrivate, type MountOption, setMountAttributes } from "../kernel/mount.ts";
import { isMachinesUserSpace } from "../kernel/userspace.ts";

/** What else is tried in a user name space, where the kernel refuses what the machine's superuser may. */

/**
 * As cloneMount(). In a user name space a directory can't be had without what the machine has mounted below it: what that hides
 * would be seen.
 */
export function cloneAsAllowed(path: string, depth: "single" | "recursive"): { mount: Fd; depth: typeof depth } {
  if (depth === "single" && !isMachinesUserSpace()) {
    const single = unless(["EINVAL"], () => cloneMount(null, path));
    return single === undefined
      ? { mount: cloneMount(null, path, "recursive"), depth: "recursive" }
      : { mount: single, depth };
  }
  return { mount: cloneMount(null, path, depth), depth };
}

/** File systems that show the kernel, and where the machine has them. */
const shown: Readonly<Record<string, string>> = { proc: "/proc", sysfs: "/sys" };

/** As makeMount(). A new /proc or /sys belongs to a pid or network name space of one's own: others are shown the machine's. */
export function makeAsAllowed(type: string, options: readonly MountOption[], attributes: number): Fd {
  const machines = shown[type];
  try {
    return makeMount(type, options, attributes);
  } catch (error) {
    if (machines === undefined || !isErrno(error, "EPERM") || isMachinesUserSpace()) throw error;
  }
  const mount = cloneMount(null, machines, "recursive");
  try {
    makePrivate(mount, "recursive");
    setMountAttributes(mount, { set: attributes }, "recursive");
    return mount;
  } catch (error) {
    mount.close();
    throw error;
  }
}
