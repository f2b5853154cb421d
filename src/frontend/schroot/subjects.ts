import type { Chroot } from "../../chroot/types.ts";
import type { UserError } from "../../error.ts";
import { readSchrootFile } from "../../session/schrootfile.ts";
import type { Verdict } from "../../session/schrootlist.ts";
import { isOwnSession, isSessionThere } from "../../session/there.ts";
import { type Keys, parseGroup } from "./keys.ts";
import type { Caller } from "./caller.ts";
import { refusal, tellProblems } from "./messages.ts";

/** What a name given with -c can mean. */
export interface Subject {
  readonly namespace: Namespace;
  readonly name: string;
  readonly keys: Keys;
  /** Used as it is: it has no sessions, and is its own. */
  readonly isPlain: boolean;
  /** Its sessions are copies, or it is such a session. */
  readonly isCloned: boolean;
  /** What it is described as; of sessions only what stands in their file is known. */
  readonly chroot?: Chroot;
  /** The name it was asked for by, without the name space. */
  readonly selectedName: string;
}

export type Namespace = "chroot" | "source" | "session";

/** Which subjects an action can be about. */
export type Scope = "chroots" | "sessions" | "all";

/**
 * Finds what each name means; all of those that mean nothing are told at once. Only the files that contain a name are
 * read, so a thousand chroots cost no more than one.
 * @throws {UserError} in schroot's words; config where a description is wrong
 */
export async function findSubjects(names: readonly string[], scope: Scope, caller: Caller): Promise<Subject[]> {
  const found = await Promise.all(names.map((name) => findSubject(name, scope)));
  const missing = names.filter((_, index) => found[index] === undefined);
  const subjects = found.filter((subject) => subject !== undefined);
  // Who begins a session tells them then.
  for (const { chroot, isPlain } of subjects)
    if (chroot !== undefined && (isPlain || scope === "all")) tellProblems(caller, chroot.warnings);
  if (missing.length === 0) return subjects;
  (await import("./catalogue.ts")).explainMissing(scope, caller);
  throw notFound(missing);
}

export function notFound(names: readonly string[]): UserError {
  return refusal(`${names.join(", ")}: ${names.length === 1 ? "Chroot" : "Chroots"} not found`);
}

/** @returns undefined where there is none */
async function findSubject(given: string, scope: Scope): Promise<Subject | undefined> {
  const { namespace, name } = splitName(given, scope === "sessions" ? "session" : "chroot");
  const session = namespace === "session" && scope !== "chroots" ? readSession(name) : undefined;
  if (session !== undefined) return session;
  const { findDescribed, findPlain } = await import("./described.ts");
  // Where sessions are meant, nothing else is loaded but what is its own session.
  if (namespace === "session" || scope === "sessions") return findPlain(name, namespace);
  return findDescribed(namespace, name);
}

function splitName(given: string, otherwise: Namespace): { namespace: Namespace; name: string } {
  const colon = given.indexOf(":");
  if (colon < 1) return { namespace: otherwise, name: given };
  const namespace = given.slice(0, colon);
  if (namespace !== "chroot" && namespace !== "source" && namespace !== "session") {
    throw refusal(`${namespace}: No such namespace`);
  }
  return { namespace, name: given.slice(colon + 1) };
}

/** What a session's file says of it; undefined where that is nothing. */
function parseSession(id: string, text: string | undefined): Keys | undefined {
  const group = text === undefined ? undefined : parseGroup(text);
  return group?.name === id ? group.keys : undefined;
}

/** For who lists sessions. */
export function judgeSession(id: string, text: string): Verdict {
  const keys = isSessionName(id) ? parseSession(id, text) : undefined;
  if (keys === undefined) return "nothing";
  return isOwnSession(id, keys["mount-location"]) ? "ours" : "theirs";
}

function isSessionName(id: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(id);
}

/** A session of ours or of a real schroot's; undefined where its file is there without it. */
export function readSession(id: string): Subject | undefined {
  const keys = isSessionName(id) ? parseSession(id, readSchrootFile(id)) : undefined;
  if (keys === undefined || !isSessionThere(id, keys["mount-location"])) return undefined;
  const union = keys["union-type"];
  const isUnion = union !== undefined && union !== "none";
  return {
    namespace: "session",
    name: id,
    // schroot leaves them out of the file, and knows them again when it reads it.
    keys: isUnion ? { ...noSources, ...keys } : withoutUnion(keys),
    isPlain: false,
    isCloned: isUnion || /-snapshot$|^file$/.test(keys["type"] ?? ""),
    selectedName: id,
  };
}

/**
 * Whether a session is still the one that the caller was allowed to use: another may have been begun by its name. To be
 * asked where no session can end.
 */
export function isStill({ name, keys }: Subject): boolean {
  const now = readSession(name)?.keys ?? {};
  const all = new Set([...Object.keys(keys), ...Object.keys(now)]);
  return [...all].every((key) => keys[key] === now[key]);
}

const noSources = {
  "source-clone": "true",
  "source-groups": "",
  "source-root-groups": "",
  "source-root-users": "",
  "source-users": "",
};

function withoutUnion(keys: Keys): Keys {
  const canHaveOne = ["directory", "block-device", "loopback"].includes(keys["type"] ?? "");
  return canHaveOne && keys["union-type"] === undefined ? { ...keys, "union-type": "none" } : keys;
}
