import type { Name } from "../../../kernel/at.ts";
import { S } from "../../../kernel/abi/file.ts";
import { type Attr, isDirectory } from "../../../kernel/file.ts";
import { attrBelow, namesIn, openDirectoryAt, withDirectory } from "../below.ts";
import { join } from "../names.ts";
import type { Change, UnionTrees } from "../types.ts";
import type { PairSide } from "./side.ts";

/** Two files that are compared; without the one it is new, without the other deleted. */
export interface Pair {
  readonly union: number;
  readonly before?: PairSide;
  readonly after?: PairSide;
  /** The change that it comes from; undefined for a file in a directory that was renamed. */
  readonly change?: Change;
}

/**
 * What a patch has to say, file by file: it knows no directories, so that of one that was renamed all files are. What goes
 * comes before what takes its place.
 */
export function pairsOf(trees: readonly UnionTrees[], changes: readonly Change[]): Pair[] {
  const [gone, others]: [Pair[], Pair[]] = [[], []];
  const moved = movedFiles(trees, changes);
  for (const change of changes) {
    const { union, path } = change;
    const after = "after" in change ? { path, attr: change.after } : undefined;
    const before = "before" in change ? { path: wasAt(change), attr: change.before } : undefined;
    if (change.kind === "type") {
      if (before !== undefined && !isDirectory(before.attr)) gone.push({ union, before, change });
      if (after !== undefined && !isDirectory(after.attr)) others.push({ union, after, change });
    } else {
      moved.delete(keyOf(union, before?.path ?? path));
      const side = after?.attr ?? before?.attr;
      if (side === undefined || isDirectory(side)) continue;
      (change.kind === "deleted" ? gone : others).push({
        union,
        change,
        ...(before && { before }),
        ...(after && { after }),
      });
    }
  }
  return [...gone, ...[...others, ...moved.values()].flatMap(withoutRenamedLinks)];
}

/** patch(1) renames no links: one goes, and one comes. */
function withoutRenamedLinks(pair: Pair): Pair[] {
  const { before, after } = pair;
  const isLink = after !== undefined && patchMode(after.attr) === "120000";
  if (!isLink || before === undefined || before.path === after.path) return [pair];
  const { union, change } = pair;
  const common = { union, ...(change === undefined ? {} : { change }) };
  return [
    { ...common, before },
    { ...common, after },
  ];
}

function wasAt(change: Change): Name {
  return change.kind === "renamed"
    ? change.from
    : "was" in change && change.was !== undefined
      ? change.was
      : change.path;
}

function keyOf(union: number, path: Name): string {
  return `${union}/${path}`;
}

/** The files in renamed directories, of which the list of changes says nothing as long as nothing else happened to them. */
function movedFiles(trees: readonly UnionTrees[], changes: readonly Change[]): Map<string, Pair> {
  const found = new Map<string, Pair>();
  const elsewhere = new Set(changes.flatMap((one) => (one.kind === "renamed" ? [keyOf(one.union, one.from)] : [])));
  for (const change of changes) {
    const tree = trees[change.union];
    if (change.kind !== "renamed" || !isDirectory(change.after) || tree === undefined) continue;
    const { union } = change;
    const walk = (fd: number, from: Name, to: Name): void => {
      for (const name of namesIn(fd, from)) {
        const [was, path] = [join(from, name), join(to, name)];
        const attr = elsewhere.has(keyOf(union, was)) ? undefined : attrBelow(fd, name);
        if (attr === undefined) continue;
        if (isDirectory(attr)) withDirectory(fd, name, (below) => walk(below, was, path));
        else found.set(keyOf(union, was), { union, before: { path: was, attr }, after: { path, attr } });
      }
    };
    using directory = openDirectoryAt(tree.before, change.from);
    if (directory !== undefined) walk(directory.number, change.from, change.path);
  }
  return found;
}

/** Git's: nothing but links, and whether the owner may execute. Undefined: it can't be in a patch. */
export function patchMode({ mode }: Attr): "100644" | "100755" | "120000" | undefined {
  const type = mode & S.IFMT;
  if (type === S.IFLNK) return "120000";
  if (type !== S.IFREG) return undefined;
  return (mode & 0o100) === 0 ? "100644" : "100755";
}
