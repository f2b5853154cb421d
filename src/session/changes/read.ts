import { compileEarlier } from "../long.ts";
import { useHugePages } from "../../kernel/hugepages.ts";
import { addIndexed } from "./indexed.ts";
import { nameLinks } from "./links.ts";
import { comparePaths } from "./names.ts";
import { pairRenames } from "./renames.ts";
import { mergeUppers } from "./stack.ts";
import type { Change, Detail, UnionTrees } from "./types.ts";
import { readUpper } from "./upper.ts";
import { Moved, visitUpper } from "./visit.ts";
import { Walk } from "./walk.ts";

/** All that was changed, union by union, each sorted by path. Takes as long as there are changes, however large the root. */
export function readChanges(trees: readonly UnionTrees[], detail: Detail = "all"): Change[] {
  // Also after a `run`, whose own code is no such.
  compileEarlier();
  useHugePages();
  return trees.flatMap((one, union) => changesOf(one, union, detail));
}

function changesOf(trees: UnionTrees, union: number, detail: Detail): Change[] {
  const walk = compare(trees, union, detail);
  const changes: (Change | undefined)[] = walk.changes;
  const inOrder = changes.length;
  const indexed = addIndexed(trees, walk);
  pairRenames(trees, changes, walk.met, detail);
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

/** Where nothing was moved while it is read; else the upper, or what several make together, is read whole first. */
function compare(trees: UnionTrees, union: number, detail: Detail): Walk {
  const visited = trees.frozen.length > 0 ? undefined : visitUpper(trees.upper, trees.dialect, detail);
  try {
    if (visited !== undefined) return new Walk(trees, union, visited, detail);
  } catch (error) {
    if (!(error instanceof Moved)) throw error;
  }
  const top = readUpper(trees.upper, trees.dialect);
  const uppers = [top, ...trees.frozen.map((upper) => readUpper(upper, trees.dialect))];
  return new Walk(trees, union, mergeUppers(uppers) ?? top, detail);
}
