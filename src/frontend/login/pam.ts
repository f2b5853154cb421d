import { findHostUser, groupNameOf } from "../../session/accounts.ts";
import { closeCounted, Holder } from "../../session/holder.ts";
import { enterLogin, graceMs, groupsOf, type Resident } from "./enter.ts";
import { findLogin, type Login } from "./find.ts";
import { UserError } from "../../error.ts";

/** Somebody for whom PAM opens a session, and the session of ours that all their logins have. */
export interface Opened {
  readonly login: Login;
  readonly person: Resident;
}

/** @returns undefined where that is nothing to us: nobody's login, or one that shares its session with no other */
export function findOpened(name: string): Opened | undefined {
  const user = findHostUser(name);
  if (user === undefined) return undefined;
  try {
    const login = findLogin({ name, groups: () => groupsOf(user) });
    if (login.policy.session !== "user") return undefined;
    const say = (_: 1 | 2, text: string): void => console.error(text.trimEnd());
    return { login, person: { ...user, groupName: groupNameOf(user.gid), say } };
  } catch (error) {
    if (error instanceof UserError && error.code === "not-found") return undefined;
    throw error;
  }
}

/**
 * Is what counts one login: has a part in the person's session until the program that opened PAM's has closed it, or has ended,
 * however.
 * @param pid of that program
 * @param onEntered called when the session is there
 */
export async function countLogin({ login, person }: Opened, pid: number, onEntered: () => void): Promise<void> {
  const session = await enterLogin(login, person);
  using holder = Holder.for({ pid, uid: person.uid });
  try {
    if (holder === undefined) return;
    onEntered();
    holder.wait();
  } finally {
    await session.leave(graceMs);
  }
}

/** Counts one login less of those that a program has opened for somebody; what is over then is gone when it returns. */
export function closeLogin(name: string, pid: number, patienceMs: number): void {
  const user = findHostUser(name);
  if (user !== undefined) closeCounted({ pid, uid: user.uid }, patienceMs);
}
