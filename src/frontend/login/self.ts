import { findHostUser, groupNameOf } from "../../session/accounts.ts";
import { findLogin, type Login, type Person } from "./find.ts";

/** This process's own user; undefined where the machine doesn't know them. */
export function ownPerson(): Person | undefined {
  const user = findHostUser(process.getuid?.() ?? 0);
  if (user === undefined) return undefined;
  const groups = (): Set<string> => new Set([user.gid, ...(process.getgroups?.() ?? [])].map(groupNameOf));
  return { name: user.name, groups };
}

/** Which chroot's sessions somebody's logins are, and where that is said. */
export interface OwnLogin {
  readonly user: string;
  readonly chroot: string;
  readonly file: string;
  readonly line: number;
}

/** What this process's user gets where they log in. @throws {UserError} not-found, config */
export function ownLogin(): OwnLogin {
  const person = ownPerson() ?? { name: String(process.getuid?.() ?? 0), groups: () => new Set<string>() };
  const { chroot }: Login = findLogin(person);
  return { user: person.name, chroot: chroot.name, file: chroot.file, line: chroot.line };
}
