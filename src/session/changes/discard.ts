import { UserError } from "../../error.ts";
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from "../../kernel/abi/file.ts";
import { E } from "../../kernel/abi/errno.ts";
import { fail, must, type Name, renameName, rmdirName, unlinkName } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { type Attr, isDirectory, lock, openDirectory } from "../../kernel/file.ts";
import { copyEntry, readOriginal } from "../../layer/copyup.ts";
import { quotePath } from "../../layer/quote.ts";
import { factsOf, readXattrs, setFacts, setTimes } from "../commit/facts.ts";
import { checkSessionId, randomHex } from "../id.ts";
import { sessionDir } from "../paths.ts";
import { readRecord } from "../record.ts";
import { prepareState } from "../state.ts";
import { attrAt, openDirectoryAt } from "./below.ts";
import type { Entry } from "./content.ts";
import { absolutePath, isTimesOnly, isWanted, type ShownChange, show } from "./diff.ts";
import { directoryOf, nameOf } from "./names.ts";
import { readChanges } from "./read.ts";
import { openTrees } from "./trees.ts";
import type { Change, UnionTrees } from "./types.ts";

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
  prepareState();
  using dir = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  if (dir !== undefined) lock(dir, "exclusive");
  const record = dir === undefined ? undefined : readRecord(id);
  if (record === undefined)
    throw new UserError("not-found", `no session ${id}`, { hint: "what there is: fallthru list" });
  using trees = openTrees(record);
  const all = readChanges(trees);
  const wanted = all.filter((change) => isWanted(trees, change, paths) && !isTimesOnly(change));
  for (const path of paths)
    if (!wanted.some((change) => isWanted(trees, change, [path])))
      throw new UserError("not-found", `nothing was changed at ${quotePath(path)}`, {
        hint: `what was: fallthru diff @${id}`,
      });
  const shown = wanted.map((change) => show(trees, change));
  if (dryRun) return shown;
  takeBackChanges(trees, wanted);
  return shown;
}

/** The same, of trees that are open. */
export function takeBackChanges(trees: readonly UnionTrees[], wanted: readonly Change[]): void {
  const inUnion = (union: number): Change[] => wanted.filter((change) => change.union === union);
  for (const [union, tree] of trees.entries()) checkFree(tree, inUnion(union));
  // What is made has the modes that it had.
  const mask = process.umask(0);
  try {
    for (const [union, tree] of trees.entries()) {
      takeBack(tree, inUnion(union));
      resetTimes(tree, readChanges([tree]), inUnion(union));
    }
  } finally {
    process.umask(mask);
  }
}

type Renamed = Change & { kind: "renamed" };

/** Where something was renamed from, nothing may be that stays. */
function checkFree(tree: UnionTrees, wanted: readonly Change[]): void {
  for (const change of wanted) {
    if (change.kind !== "renamed" || attrAt(tree.after, change.from) === undefined) continue;
    const goes = wanted.some(
      (other) =>
        other.path === change.from &&
        (other.kind === "added" || (other.kind === "renamed" && other.from === change.path)),
    );
    if (goes) continue;
    const path = quotePath(absolutePath([tree], 0, change.from));
    throw new UserError("exists", `${path}, from where something was renamed, is there again`, {
      hint: `discard that too, or move it away: fallthru discard @ID ${path}`,
    });
  }
}

/** What was added goes first, the deepest first of all; renamed names come last, when there is room for them. */
function takeBack(tree: UnionTrees, changes: readonly Change[]): void {
  // Something that was there before may have been moved into a new directory.
  const full = changes.toReversed().filter((change) => change.kind === "added" && !remove(tree, change.path));
  const directories: [Name, Attr][] = [];
  for (const change of changes) {
    if (change.kind === "added" || change.kind === "renamed") continue;
    if (change.kind === "type" && !remove(tree, change.path)) throw notEmpty(tree, change.path);
    if (change.kind === "modified") restore(tree, change, change.path);
    else putBack(tree, change, change.path);
    if (isDirectory(change.before)) directories.push([change.path, change.before]);
  }
  for (const [path, before] of directories.toReversed()) setTimesOf(tree, path, before);
  const done = new Set<Name>();
  for (const change of changes.toReversed()) if (change.kind === "renamed") renameBack(tree, change, changes, done);
  for (const { path } of full) if (!remove(tree, path)) throw notEmpty(tree, path);
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
function putBack(tree: UnionTrees, change: Exclude<Change, { kind: "added" }>, path: Name): void {
  const was = change.kind === "renamed" ? change.from : (change.was ?? change.path);
  inSession(tree, path, (to) => copyFromBelow(tree, was, to));
}

function copyFromBelow(tree: UnionTrees, was: Name, to: Entry): void {
  using below = openDirectoryAt(tree.before, directoryOf(was));
  if (below === undefined) return fail("open", was, -E.NOENT);
  const from = { fd: below.number, name: nameOf(was) };
  const original = readOriginal(from);
  const { prefix } = tree.dialect;
  copyEntry(original, from, to, {
    content: { ...from, upTo: original.size, isSynced: false },
    ownUid: process.geteuid?.() ?? 0,
    ownGid: process.getegid?.() ?? 0,
    hasOwners: true,
    isPrivate: (attribute) => tree.isBeforeRaw && prefix !== undefined && attribute.startsWith(prefix),
    mark: () => {},
  });
}

/** What was modified as it was: a file by another one in its place, so that nobody sees half of it. */
function restore(tree: UnionTrees, change: Change & { kind: "modified" | "renamed" }, path: Name): void {
  const { aspects } = change;
  if (aspects.length === 0) return;
  const isOtherFile = aspects.some((aspect) => ["content", "target", "device", "links"].includes(aspect));
  if (!isOtherFile) return restoreAttributes(tree, change, path);
  inSession(tree, path, ({ fd, name }) => {
    const temporary = `.fallthru-discard-${randomHex()}`;
    try {
      copyFromBelow(tree, change.kind === "renamed" ? change.from : (change.was ?? change.path), {
        fd,
        name: temporary,
      });
      must("rename", path, renameName(fd, temporary, fd, name, 0));
    } catch (error) {
      unlinkName(fd, temporary);
      throw error;
    }
  });
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

/** Two that have changed places do so again. */
function renameBack(tree: UnionTrees, change: Renamed, all: readonly Change[], done: Set<Name>): void {
  const { path, from } = change;
  if (done.has(path)) return;
  const partner = all.find((one) => one.kind === "renamed" && one.path === from && one.from === path);
  if (partner !== undefined) done.add(partner.path);
  inSession(tree, path, (here) =>
    inSession(tree, from, (there) => {
      const flags = partner === undefined ? RENAME_NOREPLACE : RENAME_EXCHANGE;
      must("rename", path, renameName(here.fd, here.name, there.fd, there.name, flags));
    }),
  );
  restore(tree, change, from);
  if (partner?.kind === "renamed") restore(tree, partner, partner.from);
}

/** Directories in which nothing is left that was changed have the times that they had. */
function resetTimes(tree: UnionTrees, left: readonly Change[], discarded: readonly Change[]): void {
  const placesOf = (one: Change): Name[] => {
    const was = one.kind === "renamed" ? one.from : one.kind === "added" ? undefined : one.was;
    return was === undefined ? [one.path] : [one.path, was];
  };
  const touched = new Set(discarded.flatMap(placesOf).map(directoryOf));
  const changedIn = new Set(left.filter((one) => !isTimesOnly(one)).map(({ path }) => directoryOf(path)));
  for (const change of left)
    if (change.kind === "modified" && isTimesOnly(change) && touched.has(change.path) && !changedIn.has(change.path))
      setTimesOf(tree, change.path, change.before);
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
