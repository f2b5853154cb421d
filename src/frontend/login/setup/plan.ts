import { existsSync } from "node:fs";
import { findChroot } from "../../../chroot/config.ts";
import { UserError } from "../../../error.ts";
import { findLogin, readLogins } from "../find.ts";
import { readShells, shellsFile } from "../shells.ts";
import { displayEdit, type DisplayManager, displayRemovals } from "./display.ts";
import { type Command, type Edit, editOf, readText } from "./edits.ts";
import { pamEdits, pamRemovals } from "./pam.ts";
import { type Entry, groupsOf, membersOf, peopleOf, readEntries, refuseLockOut, type Subject } from "./people.ts";
import { withLogin } from "./policyfile.ts";
import { checkSshd, sshdFileOf, sshdText } from "./sshd.ts";

export const ownShell = "/usr/bin/fallthru-login";

export type Via = "shell" | "force-command";

/** By what programs. */
interface Ways {
  readonly via: Via;
  /** The services of PAM that count logins besides. */
  readonly pam: readonly string[];
  readonly displayManager: DisplayManager | undefined;
}

/** What makes the logins of somebody sessions of a chroot. @throws {UserError} not-found, busy, usage */
export function planEnable(subject: Subject, chrootName: string, { via, pam, displayManager }: Ways): Edit[] {
  checkName(subject.name);
  const chroot = findChroot(chrootName);
  const people = via === "shell" || subject.name === "root" ? peopleOf(subject) : knownPeople(subject);
  refuseLockOut(subject, people, hasLogin);
  if (via === "shell" && !existsSync(ownShell)) {
    throw new UserError("not-found", `there is no ${ownShell}`, { hint: `ln -s fallthru ${ownShell}` });
  }
  const policy = editOf(chroot.file, (text) => withLogin(text, chroot.name, subject, "add"));
  const switches = via === "shell" ? shellEdits(people) : [forceEdit(subject, people)];
  const display = displayManager === undefined ? undefined : displayEdit(displayManager);
  return [policy, ...pamEdits(pam), display, ...switches].filter((edit) => edit !== undefined);
}

/** Takes away all that planEnable() does for somebody, whichever way. */
export function planDisable(subject: Subject): Edit[] {
  checkName(subject.name);
  const ours = knownPeople(subject).filter(({ shell }) => shell === ownShell);
  const files = new Set(readLogins().logins.map(({ chroot }) => chroot.file));
  const names = readLogins().logins.map(({ chroot }) => chroot.name);
  const remove = (text: string): string => names.reduce((now, name) => withLogin(now, name, subject, "remove"), text);
  return [
    editOf(sshdFileOf(subject), () => undefined, { check: () => checkAfterRemoval() }),
    ...restoreEdits(ours),
    ...(isAnybodyLeft(subject) ? [] : [...pamRemovals(), ...displayRemovals()]),
    ...[...files].map((file) => editOf(file, remove)),
  ].filter((edit) => edit !== undefined);
}

/** Whether somebody's logins are still sessions then. */
function isAnybodyLeft({ kind, name }: Subject): boolean {
  return readLogins().logins.some(({ policy: { users, groups } }) => {
    const others = (names: readonly string[], own: boolean): boolean => names.some((each) => !own || each !== name);
    return others(users, kind === "user") || others(groups, kind === "group");
  });
}

function checkAfterRemoval(): void {
  if (existsSync("/usr/sbin/sshd")) checkSshd(undefined);
}

/** They become words of files and of commands. */
function checkName(name: string): void {
  if (name !== "" && !/[\s:,#]/.test(name) && !name.startsWith("-")) return;
  throw new UserError("usage", `${JSON.stringify(name)} is no name of a user or group`);
}

function knownPeople({ kind, name }: Subject): Entry[] {
  return kind === "group" ? (membersOf(name) ?? []) : readEntries().filter((entry) => entry.name === name);
}

function hasLogin(name: string): boolean {
  try {
    findLogin({ name, groups: () => groupsOf(name) });
    return true;
  } catch (error) {
    if (error instanceof UserError) return error.code !== "not-found";
    throw error;
  }
}

/** The shell's name must be known, and what was there before it remembered, before anybody has it. */
function shellEdits(people: readonly Entry[]): (Edit | undefined)[] {
  const changed = people.filter(({ shell }) => shell !== ownShell);
  const remembered = new Map([
    ...readShells(),
    ...changed.map(({ name, shell }) => [name, shell || "/bin/sh"] as const),
  ]);
  return [
    editOf("/etc/shells", (text) =>
      text.split("\n").includes(ownShell) ? text : `${text.replace(/\n?$/, "\n")}${ownShell}\n`,
    ),
    editOf(shellsFile, () => shellsText(remembered)),
    passwdEdit(changed.map(({ name, shell }) => ({ name, from: shell || "/bin/sh", to: ownShell }))),
  ];
}

function restoreEdits(people: readonly Entry[]): (Edit | undefined)[] {
  if (people.length === 0) return [];
  const remembered = readShells();
  const back = people.map(({ name }) => ({ name, from: ownShell, to: remembered.get(name) ?? "/bin/bash" }));
  for (const { name } of people) remembered.delete(name);
  const isUsed = readEntries().some(
    ({ name, shell }) => shell === ownShell && !people.some((each) => each.name === name),
  );
  const without = (text: string): string =>
    isUsed
      ? text
      : text
          .split("\n")
          .filter((line) => line !== ownShell)
          .join("\n");
  return [passwdEdit(back), editOf(shellsFile, () => shellsText(remembered)), editOf("/etc/shells", without)];
}

function shellsText(shells: ReadonlyMap<string, string>): string | undefined {
  return shells.size === 0 ? undefined : [...shells].map(([name, shell]) => `${name} ${shell}\n`).join("");
}

/** By usermod(8), which takes the lock that all who change accounts take. */
function passwdEdit(changes: readonly { name: string; from: string; to: string }[]): Edit | undefined {
  const before = readText("/etc/passwd") ?? "";
  const set = (text: string, name: string, shell: string): string =>
    text
      .split("\n")
      .map((line) => (line.startsWith(`${name}:`) ? line.replace(/[^:]*$/, shell) : line))
      .join("\n");
  const after = changes.reduce((text, { name, to }) => set(text, name, to), before);
  const command = (name: string, shell: string): Command => ["usermod", "--shell", shell, name];
  if (after === before) return undefined;
  const apply = changes.map(({ name, to }) => command(name, to));
  return {
    file: "/etc/passwd",
    before,
    after,
    commands: { apply, undo: changes.map(({ name, from }) => command(name, from)) },
  };
}

function forceEdit(subject: Subject, people: readonly Entry[]): Edit | undefined {
  const [someone] = people;
  return editOf(sshdFileOf(subject), () => sshdText(subject), { check: () => checkSshd(someone?.name) });
}
