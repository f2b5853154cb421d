import { readChroots, readOverview } from "../../chroot/config.ts";
import { hasSource } from "../../chroot/cloned.ts";
import { schrootFileNames } from "../../session/schrootfile.ts";
import { listSchrootSessions } from "../../session/schrootlist.ts";
import type { Caller } from "./caller.ts";
import { tell, tellProblems } from "./messages.ts";
import type { ChrootSet, Request } from "./request.ts";
import { describeChroot, describeSource } from "./described.ts";
import { judgeSession, readSession, type Scope, type Subject } from "./subjects.ts";

/**
 * Everything in the sets that are asked for, sorted by its names. What can't be understood of the configuration is told and passed
 * over: schroot would use none of it.
 */
export function readCatalogue({ sets }: Pick<Request, "sets">, caller: Caller): Subject[] {
  const { chroots, problems, warnings } = readChroots();
  tellProblems(caller, [...problems, ...warnings]);
  const subjects = chroots.map((chroot) => describeChroot(chroot, chroot.name));
  subjects.push(...chroots.filter(hasSource).map((chroot) => describeSource(chroot, chroot.name)));
  if (sets.has("sessions")) subjects.push(...readSessions());
  if (subjects.length === 0) tellOfNone(caller);
  const byName = Map.groupBy(subjects, ({ namespace, name }) => `${namespace}:${name}`);
  const sorted = [...byName.keys()].toSorted().flatMap((name) => byName.get(name) ?? []);
  return sorted.filter(({ namespace }) => sets.has(setOf(namespace)));
}

function setOf(namespace: Subject["namespace"]): ChrootSet {
  return namespace === "source" ? "source-chroots" : namespace === "session" ? "sessions" : "chroots";
}

/** The names of the same, for who lists them: of hundreds of files most are only looked at. */
export function listNames({ sets, withAliases }: Pick<Request, "sets" | "withAliases">, caller: Caller): string[] {
  const { names, aliases, sources, sourceAliases, plain, problems, warnings } = readOverview();
  tellProblems(caller, [...problems, ...warnings]);
  const sessions = sets.has("sessions") ? listSchrootSessions(judgeSession) : [];
  if (names.length === 0 && sessions.length === 0) tellOfNone(caller);
  const listed: string[] = [];
  const add = (prefix: string, some: readonly string[], end = ""): void => {
    for (const name of some) listed.push(`${prefix}${name}${end}`);
  };
  if (sets.has("chroots")) {
    add("chroot:", names);
    if (withAliases) add("chroot:", aliases);
    if (withAliases) add("chroot:", sourceAliases, "-source");
  }
  if (sets.has("source-chroots")) {
    add("source:", sources);
    if (withAliases) add("source:", sourceAliases);
  }
  if (sets.has("sessions")) {
    add("session:", sessions);
    // Each is its own session, too.
    if (withAliases) add("session:", plain);
  }
  return listed.toSorted();
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

function readSessions(): Subject[] {
  return schrootFileNames().flatMap((id) => readSession(id) ?? []);
}
