import { existsSync } from "node:fs";
import { problemText } from "../../../chroot/problem.ts";
import { readLogins } from "../find.ts";
import { readShells } from "../shells.ts";
import { toldManagers } from "./display.ts";
import { lowLimits } from "./limits.ts";
import { countingServices } from "./pam.ts";
import { membersOf, readEntries } from "./people.ts";
import { ownShell } from "./plan.ts";
import { forcedSubjects, sshdProblems } from "./sshd.ts";

export interface LoginStatus {
  readonly logins: readonly {
    readonly chroot: string;
    readonly file: string;
    readonly line: number;
    readonly users: readonly string[];
    readonly groups: readonly string[];
    readonly onFailure: "deny" | "host";
  }[];
  /** Whose shell is ours, and which they had before. */
  readonly shells: readonly { readonly user: string; readonly before: string }[];
  readonly forced: readonly { readonly kind: string; readonly name: string; readonly file: string }[];
  /** The services of PAM that count logins. */
  readonly pam: readonly string[];
  readonly displayManagers: readonly string[];
  /** What keeps people from logging in, or lets them past. */
  readonly problems: readonly string[];
}

export function loginStatus(socket: string): LoginStatus {
  const { logins, problems } = readLogins();
  const before = readShells();
  const entries = readEntries().filter(({ shell }) => shell === ownShell);
  const named = new Set(logins.flatMap(({ policy }) => [...policy.users, ...policy.groups.flatMap(namesOf)]));
  const lost = entries
    .filter(({ name }) => !named.has(name))
    .map(({ name }) => `${name} can't log in: no chroot is their login`);
  const isSomebody = logins.length + entries.length > 0;
  return {
    logins: logins.map(({ chroot, policy }) => {
      const { name, file, line } = chroot;
      const { users, groups, onFailure } = policy;
      return { chroot: name, file, line, users, groups, onFailure };
    }),
    shells: entries.map(({ name }) => ({ user: name, before: before.get(name) ?? "" })),
    forced: forcedSubjects(),
    pam: countingServices(),
    displayManagers: toldManagers(),
    problems: [
      ...problems.map(problemText),
      ...lost,
      ...(isSomebody ? lowLimits() : []),
      ...(isSomebody && !existsSync(socket) ? [`the service isn't running: nobody listens on ${socket}`] : []),
      ...(isSomebody ? sshdProblems(entries.length > 0) : []),
    ],
  };
}

function namesOf(group: string): string[] {
  return (membersOf(group) ?? []).map(({ name }) => name);
}
