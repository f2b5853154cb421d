import { readChroots } from "../../chroot/config.ts";
import { allSessionFiles } from "../../session/schrootfiles.ts";
import type { Caller } from "./caller.ts";
import { tell } from "./messages.ts";
import type { ChrootSet, Request } from "./request.ts";
import { describeChroot, describeSource, hasSource, plainSession } from "./described.ts";
import { readSession, type Scope, type Subject } from "./subjects.ts";

/** One name under which a subject is known. */
export interface Entry {
  /** With its name space. */
  readonly name: string;
  readonly isAlias: boolean;
  /** Made when it is asked for: of 500 chroots most are only listed. */
  readonly subject: () => Subject;
}

/**
 * Everything in the sets that are asked for, sorted. What can't be understood of the configuration is told and passed
 * over: schroot would use none of it.
 */
export function readCatalogue({ sets }: Pick<Request, "sets">, caller: Caller): Entry[] {
  const { chroots, problems, warnings } = readChroots();
  for (const { file, line, message } of [...problems, ...warnings])
    tell(caller, "W", `${line === 0 ? file : `${file}:${line}`}: ${message}`);
  const entries: Entry[] = [];
  for (const chroot of chroots) {
    const names = [chroot.name, ...chroot.aliases];
    for (const name of names) {
      const isAlias = name !== chroot.name;
      entries.push({ name: `chroot:${name}`, isAlias, subject: () => describeChroot(chroot, name) });
      if (!hasSource(chroot)) continue;
      const subject = () => describeSource(chroot, name);
      entries.push({ name: `source:${name}`, isAlias, subject });
      if (isAlias) entries.push({ name: `chroot:${name}-source`, isAlias, subject });
    }
    if (chroot.type === "plain")
      entries.push({ name: `session:${chroot.name}`, isAlias: true, subject: () => plainSession(chroot) });
  }
  if (sets.has("sessions")) entries.push(...readSessions());
  if (entries.length === 0) tellOfNone(caller);
  return entries.filter(({ name }) => isIn(name, sets)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** schroot says first that it has nothing at all, whatever it was asked for. */
export function warnIfEmpty(scope: Scope, caller: Caller): void {
  if (readChroots().chroots.length > 0 || (scope !== "chroots" && readSessions().length > 0)) return;
  tellOfNone(caller);
}

function tellOfNone(caller: Caller): void {
  tell(caller, "W", "No chroots are defined in ‘/etc/schroot/schroot.conf’ or ‘/etc/schroot/chroot.d’");
}

function readSessions(): Entry[] {
  const files = allSessionFiles();
  const subjects = files.ids.flatMap((id) => readSession(id, files) ?? []);
  return subjects.map((subject) => ({ name: `session:${subject.name}`, isAlias: false, subject: () => subject }));
}

function isIn(name: string, sets: ReadonlySet<ChrootSet>): boolean {
  const namespace = name.slice(0, name.indexOf(":"));
  return sets.has(namespace === "source" ? "source-chroots" : namespace === "session" ? "sessions" : "chroots");
}
