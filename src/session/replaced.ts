import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import {
  makeDirectoryAt,
  openAt,
  openDirectory,
  readFile,
  removeDirectoryAt,
  renameAt,
  sync,
  tryLock,
  unlinkAt,
  writeAll,
} from "../kernel/file.ts";
import { nameOf, parentOf } from "../kernel/names.ts";
import { exists, namesIn } from "../kernel/trusted.ts";
import { removeTree } from "../layer/remove.ts";
import { sessionIds } from "./names.ts";
import { replacedDir, sessionDir, sessionsDir } from "./paths.ts";
import { readRecord, recordFileOf, type SessionRecord } from "./record.ts";
import { noteFileOf, readNote } from "./root/note.ts";
import { findReplaced, inodeOf, isReplaced, readReplacedBy, type Replaced, readReplaced } from "./roots.ts";

/** Notes where a root goes, on the disk before it goes. @param name of the update's copy, whose place it takes */
export function noteReplaced(name: string, replaced: Replaced): void {
  // Whoever forgets the last one removes the directory.
  while (unless(["ENOENT"], () => writeReplaced(name, replaced)) === undefined);
}

function writeReplaced(name: string, replaced: Replaced): "written" {
  unless(["EEXIST"], () => makeDirectoryAt(null, replacedDir, 0o700));
  using sessions = openDirectory(sessionsDir);
  using dir = openDirectory(replacedDir);
  {
    using file = openAt(dir, `.${name}`, O.WRONLY | O.CREAT | O.TRUNC | O.NOFOLLOW, { mode: 0o600 });
    writeAll(file, Buffer.from(JSON.stringify(replaced)));
    sync(file);
  }
  renameAt(dir, `.${name}`, dir, name);
  sync(dir);
  sync(sessions);
  return "written";
}

/** Forgets it, when what is at `old` is gone. */
export function dropReplaced(name: string): void {
  const opened = unless(["ENOENT"], () => openDirectory(replacedDir));
  if (opened === undefined) return;
  using dir = opened;
  for (const each of [`.${name}`, name]) unless(["ENOENT"], () => unlinkAt(dir, each));
  removeIfEmpty();
}

function removeIfEmpty(): void {
  unless(["ENOENT", "ENOTEMPTY", "EEXIST"], () => removeDirectoryAt(null, replacedDir));
}

/**
 * Whether a session lies over a root that was replaced, or may: of one that is just being begun or forked nobody has written
 * down yet what it lies over. Where nobody does, nobody will again.
 * @param except the update's own session
 */
export function isUsed({ identity }: Replaced, except?: string): boolean {
  const mark = `"${inodeOf(identity)}@`;
  return sessionIds().some((id) => {
    if (id === except) return false;
    const read = (path: string) => unless(["ENOENT"], () => readFile(path))?.toString("utf8");
    const note = read(noteFileOf(id));
    if (note?.includes(mark) === true) return true;
    const record = read(recordFileOf(id, "automatic")) ?? read(recordFileOf(id, "named"));
    if (record !== undefined) return record.includes(mark);
    // An update has a copy, and lies over nothing; while that is made there is no record.
    return note?.includes('"kind":"update"') !== true && exists(sessionDir(id));
  });
}

/** A root that should have gone and couldn't be removed, by the session of the update. */
interface StuckRoot {
  readonly id: string;
  readonly reason: string;
}

/**
 * Deletes the roots that were replaced and that no session lies over any more; one look where there is none. Killed in between,
 * it is done again, for the note goes last.
 * @returns what couldn't be deleted
 */
export function clearReplaced(): StuckRoot[] {
  if (!exists(replacedDir)) return [];
  const stuck: StuckRoot[] = [];
  for (const name of unless(["ENOENT"], () => namesIn(replacedDir)) ?? []) {
    const replaced = name.startsWith(".") ? undefined : readReplacedBy(name);
    if (replaced === undefined || !isReplaced(replaced) || isUsed(replaced)) continue;
    try {
      removeReplaced(name, replaced);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const reason = `${replaced.old}, which was ${replaced.path} before an update, can't be deleted: ${why}`;
      stuck.push({ id: replaced.updatedBy, reason });
    }
  }
  removeIfEmpty();
  return stuck;
}

/** Where somebody else is at it, it is left to them. */
export function removeReplaced(name: string, { old }: Replaced): void {
  const opened = unless(["ENOENT"], () => openAt(null, `${replacedDir}/${name}`, O.RDONLY | O.NOFOLLOW));
  if (opened === undefined) return;
  using file = opened;
  if (!tryLock(file, "exclusive")) return;
  const place = unless(["ENOENT"], () => openDirectory(parentOf(old)));
  if (place !== undefined) {
    using dir = place;
    removeTree(dir, nameOf(old));
    sync(dir);
  }
  dropReplaced(name);
}

/** What a session was begun over, where another root is in its place now. */
export function replacedBelow(id: string, all: readonly Replaced[] = readReplaced()): Replaced | undefined {
  if (all.length === 0) return undefined;
  const roots = Object.values(readRecord(id)?.roots ?? {});
  const opened = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  if (opened === undefined) return undefined;
  using dir = opened;
  const identity = readNote(dir)?.identity;
  for (const each of identity === undefined ? roots : [...roots, identity]) {
    const found = findReplaced(each, all);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * @param path what the session lies over, or lay over when it was looked at
 * @throws {UserError} conflict: that isn't its chroot's root any more
 */
export function refuseReplaced({ id, chroot }: Pick<SessionRecord, "id" | "chroot">, path: string): void {
  const replaced = replacedBelow(id);
  if (replaced === undefined || ![replaced.path, replaced.old].includes(path)) return;
  throw new UserError(
    "conflict",
    `${replaced.path} was updated since session ${id} began, which lies over what it was`,
    {
      hint: `take its changes over to what it is now: fallthru commit @${id} --to ${chroot}`,
    },
  );
}
