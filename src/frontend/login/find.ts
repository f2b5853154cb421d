import { readStanza } from "../../chroot/chroot.ts";
import { readStanzas } from "../../chroot/config.ts";
import { machineDirectory } from "../../chroot/files.ts";
import type { LoginPolicy } from "../../chroot/login.ts";
import { type Problem, problemText } from "../../chroot/problem.ts";
import type { Chroot } from "../../chroot/types.ts";
import { UserError } from "../../error.ts";

/** A chroot that is somebody's login, and how. */
export interface Login {
  readonly chroot: Chroot;
  readonly policy: LoginPolicy;
}

/** Somebody who logs in. */
export interface Person {
  readonly name: string;
  /** The names of all their groups; only asked for where no chroot names the person. */
  readonly groups: () => ReadonlySet<string>;
}

/** All chroots that are logins, and what is wrong with descriptions that may be. */
export function readLogins(directory: string = machineDirectory): {
  readonly logins: readonly Login[];
  readonly problems: readonly Problem[];
} {
  // Only files that speak of logins are parsed: there may be thousands of others.
  const { stanzas, problems } = readStanzas(directory, "login.");
  const logins: Login[] = [];
  for (const stanza of stanzas) {
    if (![...stanza.keys.keys()].some((key) => key.startsWith("login."))) continue;
    const reading = readStanza(stanza);
    if (reading.kind === "spoilt") problems.push(...reading.problems);
    else if (reading.chroot.login !== undefined) logins.push({ chroot: reading.chroot, policy: reading.chroot.login });
  }
  return { logins, problems };
}

/**
 * The login of a person: what names them counts more than what names a group of theirs.
 * @throws {UserError} not-found; config where two want to be it
 */
export function findLogin(person: Person, directory: string = machineDirectory): Login {
  const { logins, problems } = readLogins(directory);
  const own = logins.filter(({ policy }) => policy.users.includes(person.name));
  const ofGroups = own.length > 0 ? [] : logins.filter(({ policy }) => isOfGroup(policy, person));
  const [login, other] = [...own, ...ofGroups];
  if (login === undefined) throw notFound(person, problems);
  if (other === undefined) return login;
  const names = `${login.chroot.name} and ${other.chroot.name}`;
  throw new UserError("config", `both ${names} want to be the login of ${person.name}`, {
    hint: `${other.chroot.file}:${other.chroot.line}: take ${person.name} out of login.users or login.groups of one`,
  });
}

function isOfGroup({ groups }: LoginPolicy, person: Person): boolean {
  if (groups.length === 0) return false;
  const theirs = person.groups();
  return groups.some((group) => theirs.has(group));
}

function notFound({ name }: Person, problems: readonly Problem[]): UserError {
  const [problem] = problems;
  const hint =
    problem === undefined
      ? `the administrator says whose: fallthru login enable --user ${name} --chroot CHROOT`
      : problemText(problem);
  return new UserError("not-found", `no chroot is the login of ${name}`, { hint });
}
