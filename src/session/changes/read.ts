import { addIndexed } from "./indexed.ts";
import { nameLinks } from "./links.ts";
import { comparePaths } from "./names.ts";
import { pairRenames } from "./renames.ts";
import { mergeUppers } from "./stack.ts";
import type { Change, UnionTrees } from "./types.ts";
import { readUpper } from "./upper.ts";
import { Walk } from "./walk.ts";

/** All that was changed, union by union, each sorted by path. Takes as long as there are changes, however large the root. */
export function readChanges(trees: readonly UnionTrees[]): Change[] {
  return trees.flatMap(changesOf);
}

function changesOf(trees: UnionTrees, union: number): Change[] {
  const uppers = [trees.upper, ...trees.frozen].map((upper) => readUpper(upper, trees.dialect));
  const root = mergeUppers(uppers);
  if (root === undefined) return [];
  const walk = new Walk(trees, union, root);
  const changes: (Change | undefined)[] = walk.changes;
  const inOrder = changes.length;
  const indexed = addIndexed(trees, walk);
  pairRenames(trees, changes, walk.met);
  const linked = walk.met.filter(({ file, before }) => file.attr.nlink > 1 || (before?.nlink ?? 0) > 1);
  nameLinks(
    changes,
    linked.toSorted((a, b) => comparePaths(a.path, b.path)),
    union,
    indexed,
  );
  const isInOrder = changes.length === inOrder;
  const all = changes.filter((change) => change !== undefined);
  return isInOrder ? all : all.toSorted((a, b) => comparePaths(a.path, b.path));
}
