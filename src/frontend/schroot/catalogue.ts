import { findChroot, outlineOf, readChroots, readOverview } from "../../chroot/config.ts";
import type { Outline } from "../../chroot/known.ts";
import type { Chroot } from "../../chroot/types.ts";
import { allSessionFiles } from "../../session/schrootfiles.ts";
import type { Caller } from "./caller.ts";
import { tell, tellProblems } from "./messages.ts";
import type { ChrootSet, Request } from "./request.ts";
import { describeChroot, describeSource, plainSession } from "./described.ts";
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
export function readCatalogue(request: Pick<Request, "sets" | "action">, caller: Caller): Entry[] {
  const { sets } = request;
  const entries: Entry[] = [];
  for (const { outline, chroot } of readAll(request, caller)) {
    for (const name of [outline.name, ...outline.aliases]) {
      const isAlias = name !== outline.name;
      entries.push({ name: `chroot:${name}`, isAlias, subject: () => describeChroot(chroot(), name) });
      if (!outline.hasSource) continue;
      const subject = () => describeSource(chroot(), name);
      entries.push({ name: `source:${name}`, isAlias, subject });
      if (isAlias) entries.push({ name: `chroot:${name}-source`, isAlias, subject });
    }
    if (outline.isPlain)
      entries.push({ name: `session:${outline.name}`, isAlias: true, subject: () => plainSession(chroot()) });
  }
  if (sets.has("sessions")) entries.push(...readSessions());
  if (entries.length === 0) tellOfNone(caller);
  return sorted(entries.filter(({ name }) => isIn(name, sets)));
}

/** For a list the outlines do, which are kept from the last one. */
function readAll({ action }: Pick<Request, "action">, caller: Caller): { outline: Outline; chroot: () => Chroot }[] {
  const warn = ({ problems, warnings }: Pick<ReturnType<typeof readChroots>, "problems" | "warnings">) =>
    tellProblems(caller, [...problems, ...warnings]);
  if (action === "list") {
    const overview = readOverview();
    warn(overview);
    return overview.chroots.map((outline) => ({ outline, chroot: () => findChroot(outline.name) }));
  }
  const configuration = readChroots();
  warn(configuration);
  return configuration.chroots.map((chroot) => ({ outline: outlineOf(chroot), chroot: () => chroot }));
}

/**
 * What may be why a name isn't found: files that aren't read. schroot says first that it has nothing at all, whatever it
 * was asked for.
 */
export function explainMissing(scope: Scope, caller: Caller): void {
  const { chroots, problems } = readChroots();
  const isOfSessions = scope !== "chroots";
  if (scope !== "sessions")
    tellProblems(
      caller,
      problems.filter(({ line }) => line === 0),
    );
  if (chroots.length === 0 && !(isOfSessions && readSessions().length > 0)) tellOfNone(caller);
}

function tellOfNone(caller: Caller): void {
  tell(caller, "W", "No chroots are defined in ‘/etc/schroot/schroot.conf’ or ‘/etc/schroot/chroot.d’");
}

function readSessions(): Entry[] {
  const files = allSessionFiles();
  const subjects = files.ids.flatMap((id) => readSession(id, files) ?? []);
  return subjects.map((subject) => ({ name: `session:${subject.name}`, isAlias: false, subject: () => subject }));
}

/** By name. Hundreds of strings are sorted by the runtime itself in a fifth of the time that comparing them here takes. */
function sorted(entries: readonly Entry[]): Entry[] {
  const byName = Map.groupBy(entries, ({ name }) => name);
  return [...byName.keys()].toSorted().flatMap((name) => byName.get(name) ?? []);
}

function isIn(name: string, sets: ReadonlySet<ChrootSet>): boolean {
  const namespace = name.slice(0, name.indexOf(":"));
  return sets.has(namespace === "source" ? "source-chroots" : namespace === "session" ? "sessions" : "chroots");
}
