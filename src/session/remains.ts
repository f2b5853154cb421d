import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { O } from "../kernel/abi/file.ts";
import { findAt, lock, openAt, openDirectory, removeDirectoryAt } from "../kernel/file.ts";
import { detachMount } from "../kernel/mount.ts";
import { letGoLater } from "../kernel/pass.ts";
import { exists } from "../kernel/trusted.ts";
import { removeTree } from "../layer/remove.ts";
import { canBuildDetached } from "../mount/detached.ts";
import type { MountPlan } from "../mount/plan.ts";
import { isUsers } from "../places.ts";
import { heldIds, type Hold, takeLeftover } from "./hold.ts";
import { canLetGoLater } from "./letgo.ts";
import {
  commitMark,
  mountPlaceOf,
  mountPointOf,
  replacedDir,
  schrootFileOf,
  schrootTemporaryOf,
  sessionDir,
  sessionsDir,
  setupFile,
  unsavedFile,
} from "./paths.ts";
import { askToEnd, describeProcess, killInside, type Look, lookInside } from "./processes.ts";
import { keepAsked, recordKind } from "./record.ts";
import { readNote } from "./root/note.ts";
import { removeLayers } from "./removelayers.ts";
import type { SessionSetup } from "./sessionsetup.ts";
import type { SetupStatus } from "./setup.ts";
import type { SetupFailed } from "./setupfailed.ts";
import { isMounted } from "./state.ts";
import type { SetupContext } from "./types.ts";
import { undo } from "./undo.ts";

/** How a session goes. */
export interface Removal {
  /** What was seen of its processes, by a caller who has locked its directory before, and so keeps others out. */
  readonly look?: Look;
  /** How long its processes have to end by themselves once they are asked to (SIGTERM); without it they are killed. */
  readonly graceMs?: number;
  /** What the administrator's scripts are told: "fail" where the session never was whole. */
  readonly setup?: SetupStatus;
  readonly context?: SetupContext | undefined;
  /** Those that need the session as it was have been run already. */
  readonly isStopped?: boolean;
  /** Its record says that it has no control groups, which needn't be looked for then. */
  readonly isUnlimited?: boolean;
  /** Files of a person's that nobody has decided about go with it where they can't be saved. */
  readonly isGivenUp?: boolean;
  /** What was mounted for it, where that is known. */
  readonly plan?: MountPlan | undefined;
}

/** What went with a session. */
export interface Removed {
  /** How many processes were still running in it. */
  readonly killed: number;
  /** What somebody should know, a line each. */
  readonly warnings: readonly string[];
  /** Of a script of the administrator's; the session went all the same. */
  readonly failure?: SetupFailed | undefined;
}

/** As schroot has it, for each process; here it is for all of them together. */
export const usualGraceMs = 5000;

/**
 * Removes everything that a session may have: processes, mounts, control groups, layers, directories. Each step
 * passes over what isn't there, so it clears a session that was killed anywhere, and may itself be killed and repeated.
 * The session must have no record any more, or only an automatic one's, and the caller holds it.
 * @throws {UserError} no-space, failed: files of a person's couldn't be saved, and it is all there, but for its processes
 */
export async function removeRemains(hold: Hold, how: Removal = {}): Promise<Removed> {
  const { id } = hold;
  const mountPoint = mountPointOf(id);
  using dir = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  // Whoever is just entering (run) has a shared lock until the command is started, and is killed after that.
  if (dir !== undefined && how.look === undefined) lock(dir, "exclusive");
  let look = how.look ?? lookInside(mountPoint);
  let killed = 0;
  const warnings: string[] = [];
  if (dir !== undefined && hasUnsaved(id)) {
    killed = await endProcesses(id, look, how);
    look = { ...look, inside: [], isEmpty: true };
    const { rescueHome } = await import("./home/rescue.ts");
    warnings.push(...(await rescueHome(hold, dir, how.isGivenUp === true ? "give up" : "keep")));
  }
  // While its directory still tells whose it is: a session of a real schroot may have the same name.
  if (hasSchrootFile(id)) (await import("./schrootfile.ts")).removeSchrootFile(id);
  const setup = dir === undefined ? undefined : await findSetup(dir, how.context);
  const status = how.setup ?? "fail";
  let failure = how.isStopped === true ? undefined : await setup?.stopAnyway(status);
  if (dir !== undefined) setup?.markStopped(dir);
  killed += await endProcesses(id, look, how);
  failure ??= await setup?.stopLateAnyway(status, "mounted");
  const note = dir === undefined ? undefined : readNote(dir);
  {
    // Kept open while the layers are deleted: the last one to let go of the mount has to sync all of its upper's
    // file system (2.9 s after 100 MB), and what is deleted before that needn't be written.
    // A device or snapshot below it must be let go of before.
    using mount =
      note === undefined && isMounted(mountPoint) ? openAt(null, mountPoint, O.PATH | O.DIRECTORY) : undefined;
    const isLater = dir !== undefined && how.plan !== undefined && canLetGoLater(how.plan, dir);
    while (isMounted(mountPoint)) detachMount(mountPoint);
    await clearHalfMounted(mountPoint);
    removeMountPoint(id);
    failure ??= await setup?.stopLateAnyway(status, "unmounted");
    if (dir !== undefined && note !== undefined)
      await (await import("./root/root.ts")).removeRoot(note, { id, dir, hold: hold.file });
    // Where those of a user's are, its directory says.
    if (how.isUnlimited !== true) (await import("./cgroup.ts")).removeControlGroups(id);
    if (dir !== undefined) await removeSessionDir(id, dir);
    if (mount !== undefined && isLater) letGoLater(mount);
  }
  if (exists(replacedDir))
    warnings.push(...(await import("./replaced.ts")).clearReplaced().map(({ reason }) => reason));
  warnings.push(...look.standing.map((pid) => warnOfStanding(id, pid)));
  return { killed, warnings, failure };
}

/** The administrator's scripts that were run for a session. */
export async function findSetup(dir: Fd, context?: SetupContext): Promise<SessionSetup | undefined> {
  if (findAt(dir, setupFile) === undefined) return undefined;
  const { SessionSetup } = await import("./sessionsetup.ts");
  return SessionSetup.read(dir, context);
}

/** Ends what runs in a session. @returns how many there were */
export async function endProcesses(
  id: string,
  look: Look,
  { graceMs = 0, isUnlimited = false }: Pick<Removal, "graceMs" | "isUnlimited">,
): Promise<number> {
  const mountPoint = mountPointOf(id);
  const ended = new Set<number>();
  if (graceMs > 0 && !look.isEmpty) await askToEnd(mountPoint, graceMs, ended, look);
  if (!isUnlimited) (await import("./cgroup.ts")).killControlGroups(id);
  return look.isEmpty ? 0 : killInside(mountPoint, undefined, ended, look);
}

function warnOfStanding(id: string, pid: number): string {
  const { command } = describeProcess(pid);
  return `process ${pid} (${command}) stands in a directory of the session ${id}, which is gone`;
}

/** Of a user's session there is none: what stands there is the superuser's. */
function hasSchrootFile(id: string): boolean {
  if (isUsers) return false;
  const isThere = (path: string) => unless(["ENOTDIR"], () => findAt(null, path)) !== undefined;
  return isThere(schrootFileOf(id)) || isThere(schrootTemporaryOf(id));
}

/** Whether its directory says anything of frozen layers; see frozen.ts. */
function isForked(dir: Fd): boolean {
  return findAt(dir, "frozen") !== undefined;
}

/** Puts a session in order whose fork was killed. @returns whether there was anything to be done */
export async function finishFork(hold: Hold): Promise<boolean> {
  using dir = openDirectory(sessionDir(hold.id));
  if (!isForked(dir)) return false;
  const { settleFork } = await import("./fork/freeze.ts");
  settleFork(hold.id, dir);
  return true;
}

/** An archive that was being packed when its session's `end` was killed. */
async function clearHalfSaved(id: string): Promise<void> {
  using dir = openDirectory(sessionDir(id));
  if (readNote(dir)?.root.kind === "archive") (await import("./root/archive.ts")).dropPacked(dir);
}

/** On a kernel where trees aren't built detached. */
async function clearHalfMounted(mountPoint: string): Promise<void> {
  if (!canBuildDetached()) (await import("../mount/attach.ts")).clearBeside(mountPoint);
}

/** Where a session was mounted. Passes over what isn't there. */
export function removeMountPoint(id: string): void {
  for (const path of [mountPointOf(id), mountPlaceOf(id)]) unless(["ENOENT"], () => removeDirectoryAt(null, path));
}

/** The layers first: until they are gone the directory tells where they are. */
async function removeSessionDir(id: string, dir: Fd): Promise<void> {
  removeLayers(id, dir);
  if (isForked(dir)) (await import("./frozen.ts")).dropGenerations({ id, dir });
  using sessions = openDirectory(sessionsDir);
  removeTree(sessions, id);
}

/** Removes what could be made of a session before an error; see undo(). */
export async function undoSession(hold: Hold, context?: SetupContext): Promise<void> {
  using held = hold;
  await undo(async () => {
    await removeRemains(held, { context });
    held.release();
  });
}

/** Whether there are files of a person's in it that nobody has decided about. */
export function hasUnsaved(id: string): boolean {
  return findAt(null, `${sessionDir(id)}/${unsavedFile}`) !== undefined;
}

/** What became of leftovers. */
export interface Cleared {
  readonly removed: string[];
  /** Those that can't be cleared away, and why: a disk that fails, a process that hangs in the kernel. */
  readonly stuck: { readonly id: string; readonly reason: string; readonly commit?: string }[];
}

/**
 * Clears away what killed processes left. Costs one look at an empty directory where there is nothing.
 * @param saving whose files are saved where that must come before: it takes as long as they are large
 */
export async function clearLeftovers(saving: (id: string) => boolean = () => false): Promise<Cleared> {
  const cleared: Cleared = { removed: [], stuck: [] };
  for (const id of heldIds()) {
    try {
      if (hasUnsaved(id) && !saving(id)) continue;
      using hold = takeLeftover(id);
      if (hold === undefined) continue;
      if (id === commitMark) {
        const stuck = await (await import("./commit/settle.ts")).settleAll();
        for (const { commit, reason } of stuck) cleared.stuck.push({ id, reason, commit });
        if (stuck.length > 0) continue;
      } else if (await clearOne(hold)) cleared.removed.push(id);
      hold.release();
    } catch (error) {
      // One that is stuck must keep nobody from beginning another.
      cleared.stuck.push({ id, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return cleared;
}

/**
 * A named session's record that stands means whole: it was killed just after the last step of begin, or just before the
 * first of end. Also a damaged one: there may be somebody's changes, and `end` is the way to give them up.
 */
async function clearOne(hold: Hold): Promise<boolean> {
  if (recordKind(hold.id) === "automatic") {
    using dir = openDirectory(sessionDir(hold.id));
    keepAsked(dir);
  }
  if (recordKind(hold.id) === "named") {
    await clearHalfMounted(mountPointOf(hold.id));
    await clearHalfSaved(hold.id);
    await finishFork(hold);
    return false;
  }
  // Without a directory it may be a begin that has just made its mark, and will find it gone and make another.
  const isThere = findAt(null, sessionDir(hold.id)) !== undefined;
  await removeRemains(hold);
  return isThere;
}
