import { UserError } from "../../error.ts";
import { E } from "../../kernel/abi/errno.ts";
import { fail, linkName, must, type Name, renameName, rmdirName, unlinkName } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { type Attr, isDirectory, lock, openDirectory } from "../../kernel/file.ts";
import { quotePath } from "../../layer/quote.ts";
import { factsOf, readXattrs, setFacts, setTimes } from "../commit/facts.ts";
import { ancestorsOf } from "../commit/tree.ts";
import { checkSessionId, randomHex } from "../id.ts";
import { sessionDir } from "../paths.ts";
import { readRecord } from "../record.ts";
import { explainFull, prepareState } from "../state.ts";
import { attrAt, openDirectoryAt } from "./below.ts";
import type { Entry } from "./content.ts";
import { absolutePath, isTimesOnly, isWanted, type ShownChange, show, wantedPaths } from "./diff.ts";
import { directoryOf, nameOf } from "./names.ts";
import { isOtherFile, Originals } from "./originals.ts";
import { readChanges } from "./read.ts";
import { openTrees } from "./trees.ts";
import type { Change, UnionTrees } from "./types.ts";
import { type Renamed, takeRenamesBack } from "./unrename.ts";

export interface DiscardOptions {
  /** What was changed there or below; at least one. */
  readonly paths: readonly string[];
  /** Only says what would be discarded. */
  readonly dryRun?: boolean;
}

/**
 * Takes changes of a session back, in the session itself, as somebody in it would: what is running there sees it at once,
 * and whatever holds a file open keeps what it has. Nobody enters meanwhile. Killed in between, the rest is still changed.
 * @throws {UserError} not-found: no such session, or nothing was changed there; exists: something has taken a name
 */
export function discardChanges(id: string, { paths, dryRun = false }: DiscardOptions): readonly ShownChange[] {
  checkSessionId(id);
  const wanted = wantedPaths(paths);
  prepareState();
  using dir = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  if (dir !== undefined) lock(dir, "exclusive");
  const record = dir === undefined ? undefined : readRecord(id);
  if (record === undefined)
    throw new UserError("not-found", `no session ${id}`, { hint: "what there is: fallthru list" });
  using trees = openTrees(record);
  const all = readChanges(trees);
  const named = all.filter((change) => isWanted(trees, change, wanted) && !isTimesOnly(change));
  for (const path of wanted)
    if (!all.some((change) => isWanted(trees, change, [path])))
      throw new UserError("not-found", `nothing was changed at ${quotePath(path)}`, {
        hint: `what was: fallthru diff @${id}`,
      });
  const chosen = withDirectories(trees, all, named);
  const shown = chosen.map((change) => show(trees, change));
  if (dryRun) return shown;
  const hint = "free some space there, and do it again: what was not reached yet is still changed";
  explainFull(
    record.upper.kind === "directory" ? record.upper.path : sessionDir(id),
    () => takeBackChanges(trees, chosen, wanted),
    hint,
  );
  return shown;
}

/** Adds the deleted directories that something comes back into. In the order of all. */
function withDirectories(trees: readonly UnionTrees[], all: readonly Change[], named: readonly Change[]): Change[] {
  const keyOf = ({ union }: Change, was: Name): string => `${union}/${was}`;
  const gone = new Map(
    all.flatMap((change) =>
      change.kind === "deleted" || change.kind === "type" ? [[keyOf(change, change.was ?? change.path), change]] : [],
    ),
  );
  const chosen = new Set(named);
  for (const change of named) {
    if (change.kind !== "deleted" && change.kind !== "renamed") continue;
    const was = change.kind === "renamed" ? change.from : (change.was ?? change.path);
    for (const above of ancestorsOf(was)) {
      const directory = gone.get(keyOf(change, above));
      if (directory === undefined || chosen.has(directory)) continue;
      if (directory.kind === "type") {
        const path = quotePath(absolutePath(trees, directory.union, directory.path));
        const hint = `discard that, too: fallthru discard @ID ${path}`;
        throw new UserError("exists", `${path}, in which something is to come back, is no directory now`, { hint });
      }
      chosen.add(directory);
    }
  }
  return all.filter((change) => chosen.has(change));
}

/**
 * The same, of trees that are open.
 * @param paths where directories get their times back even if nothing else was changed in them
 */
export function takeBackChanges(
  trees: readonly UnionTrees[],
  wanted: readonly Change[],
  paths: readonly string[] = [],
): void {
  const inUnion = (union: number): Change[] => wanted.filter((change) => change.union === union);
  for (const [union, tree] of trees.entries()) checkFree(tree, inUnion(union));
  // What is made has the modes that it had.
  const mask = process.umask(0);
  try {
    for (const [union, tree] of trees.entries()) {
      takeBack(tree, inUnion(union));
      const isMeant = (change: Change): boolean => paths.length > 0 && isWanted([tree], change, paths);
      resetTimes(tree, readChanges([tree]), inUnion(union), isMeant);
    }
  } finally {
    process.umask(mask);
  }
}

/** Where something was renamed from, nothing may be that stays. */
function checkFree(tree: UnionTrees, wanted: readonly Change[]): void {
  const renamed = wanted.filter((change) => change.kind === "renamed");
  const byPath = new Map(wanted.map((change) => [change.path, change]));
  for (const { from } of renamed) {
    const place = placeOf(from, renamed);
    const there = byPath.get(place);
    if (there?.kind === "added" || there?.kind === "renamed") continue;
    const path = quotePath(absolutePath([tree], 0, place));
    if (attrAt(tree.after, place) !== undefined)
      throw new UserError("exists", `${path}, from where something was renamed, is there again`, {
        hint: `discard that too, or move it away: fallthru discard @ID ${path}`,
      });
  }
}

/** Where the place is now that something was renamed from: with the nearest directory above that was renamed itself. */
function placeOf(from: Name, renamed: readonly Renamed[]): Name {
  let nearest: Renamed | undefined;
  for (const one of renamed)
    if (from.startsWith(`${one.from}/`) && one.from.length > (nearest?.from.length ?? -1)) nearest = one;
  return nearest === undefined ? from : nearest.path + from.slice(nearest.from.length);
}

/** What was added goes first, the deepest first of all; renamed names come last, when there is room for them. */
function takeBack(tree: UnionTrees, changes: readonly Change[]): void {
  // Something that was there before may have been moved into a new directory.
  const full = changes.toReversed().filter((change) => change.kind === "added" && !remove(tree, change.path));
  const originals = new Originals(tree, changes);
  const directories: [Name, Attr][] = [];
  for (const change of changes) {
    if (change.kind === "added" || change.kind === "renamed") continue;
    if (change.kind === "type" && !remove(tree, change.path)) throw notEmpty(tree, change.path);
    if (change.kind === "modified") restore(tree, change, change.path, originals);
    else putBack(tree, change, originals);
    if (isDirectory(change.before)) directories.push([change.path, change.before]);
  }
  for (const [path, of] of originals.parted()) rejoin(tree, path, of);
  for (const [path, before] of directories.toReversed()) setTimesOf(tree, path, before);
  const left = takeRenamesBack(
    tree,
    changes.toReversed().filter((change) => change.kind === "renamed"),
    {
      full: full.map(({ path }) => path),
      remove: (path) => remove(tree, path),
      restore: (change, path) => restore(tree, change, path, originals),
    },
  );
  for (const path of left) if (!remove(tree, path)) throw notEmpty(tree, path);
}

function notEmpty(tree: UnionTrees, path: Name): UserError {
  const hint = "discard that, too";
  return new UserError("busy", `something is in ${quotePath(absolutePath([tree], 0, path))} that stays`, { hint });
}

/** @returns false for a directory in which something is */
function remove(tree: UnionTrees, path: Name): boolean {
  let result = 0;
  inSession(tree, path, ({ fd, name }) => {
    result = unlinkName(fd, name);
    if (result === -E.ISDIR) result = rmdirName(fd, name);
  });
  if (result === -E.NOTEMPTY || result === -E.EXIST) return false;
  if (result !== -E.NOENT) must("remove", path, result);
  return true;
}

/** What was deleted, or was something else, as it was. */
function putBack(tree: UnionTrees, change: Change & { kind: "deleted" | "type" }, originals: Originals): void {
  const { path, before, was = path } = change;
  if (isDirectory(before)) inSession(tree, path, (to) => originals.bring(was, before, to, path));
  else bringWhole(tree, was, before, path, originals);
}

/** A file under another name first, so that nobody sees half of it: not where the disk is full in the middle, either. */
function bringWhole(tree: UnionTrees, was: Name, before: Attr, path: Name, originals: Originals): void {
  inSession(tree, path, ({ fd, name }) => {
    const temporary = `.fallthru-discard-${randomHex()}`;
    try {
      originals.bring(was, before, { fd, name: temporary }, path);
      must("rename", path, renameName(fd, temporary, fd, name, 0));
    } finally {
      // It is still there after an error, and where both are names of one file: then rename(2) does nothing.
      unlinkName(fd, temporary);
    }
  });
}

/** Makes a name one of the file again that another one leads to. Its directory keeps its times. */
function rejoin(tree: UnionTrees, path: Name, of: Name): void {
  const above = attrAt(tree.after, directoryOf(path));
  using directory = openDirectoryAt(tree.after, directoryOf(of));
  if (above === undefined || directory === undefined) return;
  inSession(tree, path, ({ fd, name }) => {
    const temporary = `.fallthru-discard-${randomHex()}`;
    must("link", path, linkName(directory.number, nameOf(of), fd, temporary));
    try {
      must("rename", path, renameName(fd, temporary, fd, name, 0));
    } finally {
      unlinkName(fd, temporary);
    }
  });
  setTimesOf(tree, directoryOf(path), above);
}

/** What was modified as it was: a file by another one in its place. */
function restore(
  tree: UnionTrees,
  change: Change & { kind: "modified" | "renamed" },
  path: Name,
  originals: Originals,
): void {
  if (change.aspects.length === 0) return;
  if (!isOtherFile(change)) return restoreAttributes(tree, change, path);
  const was = change.kind === "renamed" ? change.from : (change.was ?? change.path);
  bringWhole(tree, was, change.before, path, originals);
}

function restoreAttributes(tree: UnionTrees, change: Change & { kind: "modified" | "renamed" }, path: Name): void {
  const was = change.kind === "renamed" ? change.from : (change.was ?? change.path);
  using below = openDirectoryAt(tree.before, directoryOf(was));
  if (below === undefined) return fail("open", was, -E.NOENT);
  const from = { fd: below.number, name: was === "" ? "." : nameOf(was) };
  const names = change.aspects.flatMap((aspect) =>
    aspect.startsWith("xattr:") ? [aspect.slice("xattr:".length)] : [],
  );
  inSession(tree, path, (to) => setFacts(to, factsOf(change.before, readXattrs(from, names)), "all"));
}

/** Directories in which nothing is left that was changed have the times that they had. */
function resetTimes(
  tree: UnionTrees,
  left: readonly Change[],
  discarded: readonly Change[],
  isMeant: (change: Change) => boolean,
): void {
  const placesOf = (one: Change): Name[] => {
    const was = one.kind === "renamed" ? one.from : one.kind === "added" ? undefined : one.was;
    return was === undefined ? [one.path] : [one.path, was];
  };
  const touched = new Set(discarded.flatMap(placesOf).map(directoryOf));
  const changedIn = new Set(left.filter((one) => !isTimesOnly(one)).map(({ path }) => directoryOf(path)));
  for (const change of left) {
    if (change.kind !== "modified" || !isTimesOnly(change) || changedIn.has(change.path)) continue;
    if (touched.has(change.path) || isMeant(change)) setTimesOf(tree, change.path, change.before);
  }
}

function setTimesOf(tree: UnionTrees, path: Name, attr: Attr): void {
  inSession(tree, path, (entry) => setTimes(entry, factsOf(attr, [])));
}

/** Runs `use` with an entry of the session's tree, below a directory that is open for it. */
function inSession(tree: UnionTrees, path: Name, use: (entry: Entry) => void): void {
  using directory: Fd | undefined = openDirectoryAt(tree.after, directoryOf(path));
  if (directory === undefined) return fail("open", path, -E.NOENT);
  use({ fd: directory.number, name: path === "" ? "." : nameOf(path) });
}
