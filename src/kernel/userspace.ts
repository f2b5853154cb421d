import { unless } from "./error.ts";
import { readLinkAt } from "./file.ts";

/**
 * Whether this process's user name space is the machine's own, whose superuser may do everything. Without /proc nobody can
 * tell.
 * @see user_namespaces(7); PROC_USER_INIT_INO in include/linux/proc_ns.h
 */
export function isMachinesUserSpace(): boolean {
  isMachines ??= ask();
  return isMachines;
}

/** It stays what it is: a process of several threads can't change it. */
let isMachines: boolean | undefined;

function ask(): boolean {
  const name = unless(["ENOENT"], () => readLinkAt(null, "/proc/self/ns/user"))?.toString("latin1");
  return name === undefined || name === "user:[4026531837]";
}
