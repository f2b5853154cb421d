import { unless } from "./error.ts";
import { readLinkAt } from "./file.ts";
import { readText } from "./trusted.ts";

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

/** Of an owner, or a group, that has no id in a user's name space, as what is the machine's superuser's: Linux says 65534 then. */
export function isNobodys({ uid, gid }: { readonly uid: number; readonly gid: number }): boolean {
  const overflow = 65_534;
  return (uid === overflow || gid === overflow) && !isMachinesUserSpace();
}

/** Who the superuser of this user name space is outside of it. @see user_namespaces(7), uid_map */
export function superuserOutside(): number {
  const first = /^ *0 +(\d+) /.exec(readText("/proc/self/uid_map", "latin1"));
  return Number(first?.[1] ?? 0);
}
