import type { Name } from "../../kernel/at.ts";
import type { Change } from "../changes/types.ts";
import { directoryOf, nameOf } from "../changes/names.ts";
import { ancestorsOf, isWithin, joinPath } from "./tree.ts";

/** The changes at these paths and below them; no paths: all. A rename is at both of its ends. */
export function selectPaths(changes: readonly Change[], paths: readonly Name[]): Change[] {
  return changes.filter((change) => paths.some((path) => isAt(change, path)));
}

function isAt(change: Change, path: Name): boolean {
  return isWithin(change.path, path) || (change.kind === "renamed" && isWithin(change.from, path));
}

/**
 * Adds what the chosen ones can't be without: the directories that they are in, where these have come or moved, and what was
 * moved out of their way. In the order of all.
 */
export function withNeeded(all: readonly Change[], chosen: readonly Change[]): Change[] {
  const byPath = new Map(all.map((change) => [change.path, change]));
  const leaving = new Map(all.flatMap((change) => (change.kind === "renamed" ? [[change.from, change] as const] : [])));
  const needed = new Set(chosen);
  const waiting = [...chosen];
  const need = (change: Change | undefined): void => {
    if (change === undefined || needed.has(change)) return;
    needed.add(change);
    waiting.push(change);
  };
  for (let change = waiting.pop(); change !== undefined; change = waiting.pop()) {
    if (change.kind === "deleted") continue;
    for (const path of ancestorsOf(change.path)) {
      const above = byPath.get(path);
      if (above !== undefined && above.kind !== "modified" && above.kind !== "deleted") need(above);
    }
    if (change.kind === "added" || change.kind === "renamed") need(leaving.get(wasOf(change.path, byPath) ?? ""));
    // A directory that became something else goes with all that it held.
    if (change.kind === "type")
      for (const other of all) if (other.kind === "deleted" && isWithin(other.path, change.path)) need(other);
  }
  return all.filter((change) => needed.has(change));
}

/** Where what is at a path now was before, or would have been; undefined: nowhere, a directory above is new. */
export function wasOf(path: Name, byPath: ReadonlyMap<Name, Change>): Name | undefined {
  if (path === "") return "";
  const above = placeOf(directoryOf(path), byPath);
  return above === undefined ? undefined : joinPath(above, nameOf(path));
}

/** Where a directory was before. */
function placeOf(directory: Name, byPath: ReadonlyMap<Name, Change>): Name | undefined {
  const change = byPath.get(directory);
  if (change?.kind === "renamed") return change.from;
  if (change?.kind === "added" || change?.kind === "type") return undefined;
  return wasOf(directory, byPath);
}

/** Changes that are decided on together: a directory that came, went or became something else, with what is in it. */
export interface Unit {
  readonly change: Change;
  readonly others: readonly Change[];
}

export function unitsOf(changes: readonly Change[]): Unit[] {
  const units: { change: Change; others: Change[] }[] = [];
  const tops = new Map<Name, { change: Change; others: Change[] }>();
  for (const change of changes) {
    const top = [...ancestorsOf(change.path)].map((path) => tops.get(path)).find((unit) => unit !== undefined);
    if (top !== undefined && (top.change.kind !== "added" || change.kind === "added")) {
      top.others.push(change);
      continue;
    }
    const unit = { change, others: [] };
    units.push(unit);
    if (change.kind === "added" || change.kind === "deleted" || change.kind === "type") tops.set(change.path, unit);
  }
  return units;
}
