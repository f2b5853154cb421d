import { threadCallNumbers } from "../../kernel/abi/process.ts";
import { native } from "../../kernel/libc.ts";
import { call } from "./kernel.ts";

const setfsuid_ = native("setfsuid", "int", ["unsigned int"]);
const setfsgid_ = native("setfsgid", "int", ["unsigned int"]);
const setgroups_ = call("syscall", "long", ["long", "long", "void *"]);

export interface User {
  readonly uid: number;
  readonly gid: number;
  readonly groups?: readonly number[];
}

export const alice: User = { uid: 1001, gid: 1001 };
export const bob: User = { uid: 1002, gid: 1002 };

/** Does something with a user's rights in file systems, without a superuser's. @see setfsuid(2) */
export function as<T>(user: User, act: () => T): T {
  const own = process.getgroups?.() ?? [];
  setGroups(user.groups ?? []);
  setfsgid_(user.gid);
  setfsuid_(user.uid);
  try {
    return act();
  } finally {
    setfsuid_(0);
    setfsgid_(0);
    setGroups(own);
  }
}

/** This thread's alone. */
function setGroups(groups: readonly number[]): void {
  const list = new Uint8Array(Uint32Array.from([...groups, 0]).buffer);
  setgroups_(threadCallNumbers().setgroups, groups.length, list);
}

/** Runs with a umask of its own. */
export function withUmask<T>(mask: number, act: () => T): T {
  const before = process.umask(mask);
  try {
    return act();
  } finally {
    process.umask(before);
  }
}
