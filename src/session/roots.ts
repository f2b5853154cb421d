import { O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { findAt, type LockMode, lock, openAt, openDirectory, readFile, readLinkAt, statAt } from "../kernel/file.ts";
import { exists, namesIn } from "../kernel/trusted.ts";
import { UserError } from "../error.ts";
import type { MountPlan, PlanStep } from "../mount/plan.ts";
import { replacedDir, sessionsDir } from "./paths.ts";

/**
 * Records name what lies below a session by its path, and an update puts another root there (renameat2(2),
 * RENAME_EXCHANGE). So a record notes as well which inode it was; and where that was replaced, a note of the update's, written
 * before, says where it went. Whoever opens or mounts what lies below asks atTheirPlaces() first, with lockRoots("shared").
 */

/** Which root it is, wherever it goes: the number of its inode, and the path, without links, that it had. */
export type RootIdentity = string;

/** What lies below a session, by its paths in the plan. */
export type NotedRoots = Readonly<Record<string, RootIdentity>>;

/** A root in whose place another was put; the content of a file below replacedDir. */
export interface Replaced {
  readonly identity: RootIdentity;
  readonly path: string;
  /** Where it is now. */
  readonly old: string;
  readonly kind: "directory" | "image";
  /** Milliseconds since 1970. */
  readonly replacedMs: number;
  /** The session of the update. */
  readonly updatedBy: string;
}

/** Keeps roots where they are: shared, for whoever finds them by their paths; exclusive, for who puts another there. */
export function lockRoots(mode: LockMode): Fd {
  const sessions = openDirectory(sessionsDir);
  lock(sessions, mode);
  return sessions;
}

/** Undefined where nothing is. */
export function identityOf(path: string): RootIdentity | undefined {
  const opened = unless(["ENOENT", "ENOTDIR"], () => openAt(null, path, O.PATH));
  if (opened === undefined) return undefined;
  using file = opened;
  return `${statAt(file).ino}@${readLinkAt(null, file.procPath).toString("utf8")}`;
}

export function inodeOf(identity: RootIdentity): string {
  return identity.slice(0, identity.indexOf("@"));
}

/** Notes what a plan's unions lie over, and what is bound as its root. @param own whether a path is the session's own */
export function noteRoots({ steps }: MountPlan, own: (path: string) => boolean): NotedRoots {
  const roots: Record<string, RootIdentity> = {};
  for (const path of steps.flatMap(pathsBelow)) {
    const identity = own(path) || path in roots ? undefined : identityOf(path);
    if (identity !== undefined) roots[path] = identity;
  }
  return roots;
}

function pathsBelow(step: PlanStep): readonly string[] {
  if (step.kind === "union") return step.union.lowers;
  return step.kind === "bind" && step.at === "/" ? [step.from] : [];
}

/** A session's plan with all that was replaced meanwhile where it is now. Doing it twice is the same as once. */
export function atTheirPlaces<T extends { readonly plan: MountPlan; readonly roots?: NotedRoots }>(record: T): T {
  const { plan, roots } = record;
  const replaced = roots === undefined ? [] : readReplaced();
  if (roots === undefined || replaced.length === 0) return record;
  const placeOf = (path: string): string => {
    const identity = roots[path];
    return (identity === undefined ? undefined : findReplaced(identity, replaced)?.old) ?? path;
  };
  const steps = plan.steps.map((step): PlanStep => {
    if (step.kind === "union") return { ...step, union: { ...step.union, lowers: step.union.lowers.map(placeOf) } };
    return step.kind === "bind" && step.at === "/" ? { ...step, from: placeOf(step.from) } : step;
  });
  return { ...record, plan: { ...plan, steps } };
}

/** One look where there is none. @throws {UserError} data */
export function readReplaced(): Replaced[] {
  if (!exists(replacedDir)) return [];
  const names = unless(["ENOENT"], () => namesIn(replacedDir)) ?? [];
  return names.flatMap((name) => (name.startsWith(".") ? [] : (readReplacedBy(name) ?? [])));
}

/** @param name of the update's copy */
export function readReplacedBy(name: string): Replaced | undefined {
  const path = `${replacedDir}/${name}`;
  const content = unless(["ENOENT"], () => readFile(path));
  if (content === undefined) return undefined;
  try {
    return JSON.parse(content.toString("utf8")) as Replaced;
  } catch (error) {
    throw new UserError("data", `${path} is damaged`, {
      hint: "it says where a root is that sessions lie over: end those of the chroot, then delete it",
      cause: error,
    });
  }
}

/** Where a root is that another was put in the place of; undefined: where it was. */
export function findReplaced(
  identity: RootIdentity,
  replaced: readonly Replaced[] = readReplaced(),
): Replaced | undefined {
  return replaced.find((each) => each.identity === identity && isReplaced(each));
}

/** Whether the roots have changed places: what the note says was to be done, and one rename does it. */
export function isReplaced({ identity, path, old }: Replaced): boolean {
  const inode = inodeOf(identity);
  const there = inodeAt(old);
  return there === undefined ? inodeAt(path) !== inode : there === inode;
}

function inodeAt(path: string): string | undefined {
  const attr = findAt(null, path);
  return attr === undefined ? undefined : String(attr.ino);
}
