import { UserError } from "../../error.ts";
import type { Name } from "../../kernel/at.ts";
import { openLayerRoot } from "../../layer/layer.ts";
import { quotePath } from "../../layer/quote.ts";
import { splitLowers } from "../../mount/plan.ts";
import { kindAt } from "../changes/below.ts";
import { sourceOf } from "../changes/moves.ts";
import type { Change, UnionTrees } from "../changes/types.ts";
import { readUpper, type UpperDirectory } from "../changes/upper.ts";
import { namesWithoutContent } from "../fork/aliases.ts";
import { isWithin, joinPath } from "./tree.ts";

export type Pair = readonly [from: Name, to: Name];

/** What an upper says of other places below it, which a commit may change. */
export interface Relocated {
  /**
   * Directories that lie elsewhere below, but don't count as renamed, because something else is where they are now: both
   * sides are compared and committed name by name, after which they lie where they are.
   */
  readonly directories: readonly Pair[];
  /** Files whose content is elsewhere below. */
  readonly files: readonly Name[];
}

/** @throws {UserError} unsupported, where only a part of such a directory is committed */
export function findRelocated(trees: UnionTrees, all: readonly Change[], chosen: readonly Change[]): Relocated {
  const renamed = new Set(all.flatMap((change) => (change.kind === "renamed" ? [change.path] : [])));
  const directories: Pair[] = [];
  const files: Name[] = [];
  const walk = (directory: UpperDirectory, path: Name, was: Name | undefined): void => {
    for (const child of directory.children) {
      const here = joinPath(path, child.name);
      if (child.kind === "file" && child.redirect !== undefined) files.push(here);
      if (child.kind !== "directory") continue;
      const natural = was === undefined || child.isOpaque ? undefined : joinPath(was, child.name);
      const from = child.isOpaque ? undefined : (sourceOf(child.redirect, was) ?? natural);
      const isElsewhere = from !== undefined && from !== natural && kindAt(trees.before, from) === "directory";
      if (isElsewhere && !renamed.has(here)) directories.push([from, here]);
      walk(child, here, from);
    }
  };
  walk(readUpper(trees.upper, trees.dialect), "", "");
  for (const path of splitLowers(trees.union).own) {
    using layer = openLayerRoot(path, "noatime");
    walk(readUpper(layer, trees.dialect), "", "");
  }
  files.push(...namesWithoutContent(trees.union, trees.after));
  if (chosen.length === all.length) return { directories, files };
  // Of a fork the caller refuses them whole.
  if (splitLowers(trees.union).own.length > 0)
    return { directories: directories.filter((pair) => chosen.some((change) => concerns(change, pair))), files };
  for (const pair of directories) if (chosen.some((change) => concerns(change, pair))) throw onlyPart(pair);
  return { directories: [], files };
}

function concerns(change: Change, pair: Pair): boolean {
  const places = [change.path, "was" in change ? change.was : undefined, "from" in change ? change.from : undefined];
  return places.some((place) => place !== undefined && pair.some((path) => isWithin(place, path)));
}

function onlyPart([from, to]: Pair): UserError {
  const message = `/${quotePath(to)} was /${quotePath(from)} before, and took another's place: that can be committed with everything else only`;
  return new UserError("unsupported", message, { hint: "give no PATH; or leave out what is in both directories" });
}
