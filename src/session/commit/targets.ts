import { realpathSync, statSync } from "node:fs";
import { findChroot } from "../../chroot/config.ts";
import { locateRoot } from "../../chroot/types/index.ts";
import { UserError } from "../../error.ts";
import { O } from "../../kernel/abi/file.ts";
import { type Name, nameOf } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import { openAt, openDirectory } from "../../kernel/file.ts";
import { cloneMount } from "../../kernel/mount.ts";
import { listSessions } from "../list.ts";
import { sessionDir, sessionsDir } from "../paths.ts";
import { readRecord, type SessionRecord } from "../record.ts";
import { readNote } from "../root/note.ts";
import { refuseReplaced } from "../replaced.ts";
import { hostName } from "../source.ts";
import { areaPrefix } from "./place.ts";
import { Tree } from "./tree.ts";

/** What a union's changes are written to. */
export interface Target {
  /** The host's directory, without links. */
  readonly path: string;
  /** Whether it is what lies below the session. */
  readonly isOwn: boolean;
}

/**
 * Where the changes of a union go.
 * @param to a chroot's name or a directory, instead of the session's own
 * @throws {UserError} not-found; unsupported: the root was made for the session
 */
export function targetOf(record: SessionRecord, union: { at: string; target: string }, to: string | undefined): Target {
  const own = realpathSync(union.target);
  if (to !== undefined) {
    const path = `${directoryOf(to)}${union.at}`.replace(/\/+$/, "") || "/";
    const real = unless(["ENOENT", "ENOTDIR"], () => realpathSync(path));
    if (real === undefined)
      throw new UserError("not-found", `no directory ${path}, for the changes below ${union.at}`, {
        hint: `mkdir -p ${path}`,
      });
    return { path: real, isOwn: real === own && !isMade(record) };
  }
  if (!isMade(record)) {
    refuseReplaced(record, own);
    return { path: own, isOwn: true };
  }
  throw new UserError(
    "unsupported",
    `the root of session ${record.id} was made for it alone: there is no directory to commit to`,
    {
      hint: `change the chroot itself: fallthru chroot update ${record.chroot} -- COMMAND; or commit elsewhere: --to DIRECTORY`,
    },
  );
}

/** A root that was unpacked, snapshotted or mounted, and goes with the session. */
function isMade({ id }: SessionRecord): boolean {
  using dir = openDirectory(sessionDir(id));
  return readNote(dir) !== undefined;
}

function directoryOf(to: string): string {
  if (to.includes("/")) {
    const real = unless(["ENOENT", "ENOTDIR"], () => realpathSync(to));
    if (real === undefined)
      throw new UserError("not-found", `no directory ${to} to commit to`, { hint: `make it first: mkdir ${to}` });
    if (!statSync(real).isDirectory()) throw new UserError("usage", `${to} is no directory that could be committed to`);
    return real;
  }
  if (to === hostName) return "/";
  const root = locateRoot(findChroot(to));
  if (root.kind === "directory") return realpathSync(root.path);
  throw new UserError("unsupported", `the root of chroot ${to} is no directory: nothing can be committed to it`, {
    hint: `change it by a command: fallthru chroot update ${to} -- COMMAND; a directory has a slash: ./${to}`,
  });
}

/** A target on a mount of its own, without what is mounted below it. */
export function openTarget({ path }: Target): Tree {
  using mount = cloneMount(null, path);
  return new Tree(openAt(mount, ".", O.RDONLY | O.DIRECTORY));
}

/** Paths of a target that are ours: other commits' areas, and where it is the host's root, all that we keep of sessions. */
export function reservedIn(tree: Tree, { path }: Target, names: Iterable<Name>): Name[] {
  const areas = Array.from(names).filter((name) => name.startsWith(areaPrefix));
  const prefix = path === "/" ? "/" : `${path}/`;
  const state = nameOf(Buffer.from(sessionsDir));
  return state.startsWith(prefix) && tree.look(state.slice(prefix.length)) !== undefined
    ? [...areas, state.slice(prefix.length)]
    : areas;
}

/** Other sessions that lie over a target. */
export function sessionsOver(target: Target, own: string): string[] {
  return listSessions().flatMap(({ id }) => {
    if (id === own) return [];
    const record = unless(["ENOENT"], () => readRecordOf(id));
    const lowers = record?.plan.steps.flatMap((step) => (step.kind === "union" ? step.union.lowers : [])) ?? [];
    return lowers.some((lower) => lower === target.path || isReally(lower, target.path)) ? [id] : [];
  });
}

/**
 * Where directories are renamed, other sessions' uppers may say that they are where they then aren't any more.
 * @throws {UserError} busy
 */
export function refuseOthersOver(path: string, others: readonly string[]): void {
  if (others.length === 0) return;
  const ids = others.map((id) => `@${id}`).join(" ");
  const message = `directories are renamed, which other sessions over ${path} may have changed: ${ids}`;
  throw new UserError("busy", message, { hint: `end them first (fallthru end ${ids}), or --force` });
}

export function warnOfOthersOver(path: string, others: readonly string[]): string[] {
  if (others.length === 0) return [];
  return [`other sessions see ${path} change below them: ${others.map((id) => `@${id}`).join(" ")}`];
}

function isReally(lower: string, path: string): boolean {
  return unless(["ENOENT", "ENOTDIR"], () => realpathSync(lower)) === path;
}

/** One that can't be read lies over nothing that we know. */
function readRecordOf(id: string): SessionRecord | undefined {
  try {
    return readRecord(id);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}
