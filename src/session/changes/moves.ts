import type { Name } from "../../kernel/at.ts";
import { join } from "./names.ts";
import type { UpperDirectory } from "./upper.ts";

/** A directory of the upper that says that it lies elsewhere below. */
export interface Move {
  readonly node: UpperDirectory;
  /** Where it is in the session. */
  readonly to: Name;
  /** Where it is below. */
  readonly from: Name;
  /** What the name where it is now leads to below, if that is there. */
  readonly natural: Name | undefined;
}

/** What is below: whether there is anything at a path, and whether that is a directory. */
export interface Below {
  has(path: Name): "directory" | "other" | undefined;
}

/** Which directories count as renamed, and those that are too tangled for that: both sides of them are compared whole. */
export interface Moves {
  readonly byNode: ReadonlyMap<UpperDirectory, Move>;
  /** The paths below that are elsewhere now. */
  readonly sources: ReadonlySet<Name>;
  readonly tangled: ReadonlySet<UpperDirectory>;
}

export const noMoves: Moves = { byNode: new Map(), sources: new Set(), tangled: new Set() };

export function findMoves(root: UpperDirectory, below: Below): Moves {
  // Nearly always.
  if (!hasRedirects(root)) return noMoves;
  const all: Move[] = [];
  collect(root, { path: "", was: "" }, below, all);
  const byNode = new Map(all.map((move) => [move.node, move]));
  const tangled = new Set<UpperDirectory>();
  for (let found = true; found;) {
    const sources = new Set([...byNode.values()].map(({ from }) => from));
    const taken = new Set<Name>();
    found = false;
    for (const move of byNode.values()) {
      const { node, from, natural } = move;
      const isFree = natural === undefined || sources.has(natural);
      if (isFree && !taken.has(from)) {
        taken.add(from);
        continue;
      }
      found = true;
      tangled.add(node);
      // Whatever has gone from there or to there is seen by comparing.
      forget(node, byNode);
    }
  }
  return { byNode, sources: new Set([...byNode.values()].map(({ from }) => from)), tangled };
}

function hasRedirects({ children }: UpperDirectory): boolean {
  for (const child of children)
    if (child.kind === "directory" && (child.redirect !== undefined || hasRedirects(child))) return true;
  return false;
}

function forget(node: UpperDirectory, byNode: Map<UpperDirectory, Move>): void {
  byNode.delete(node);
  for (const child of node.children) if (child.kind === "directory") forget(child, byNode);
}

interface At {
  readonly path: Name;
  /** Where it is below; undefined: nowhere. */
  readonly was: Name | undefined;
}

function collect(directory: UpperDirectory, { path, was }: At, below: Below, all: Move[]): void {
  for (const child of directory.children) {
    if (child.kind !== "directory") continue;
    const natural = was === undefined ? undefined : join(was, child.name);
    const from = sourceOf(child.redirect, was);
    const here = join(path, child.name);
    if (from !== undefined && from !== natural && below.has(from) === "directory") {
      const isThere = natural !== undefined && below.has(natural) !== undefined;
      all.push({ node: child, to: here, from, natural: isThere ? natural : undefined });
      collect(child, { path: here, was: from }, below, all);
    } else {
      collect(child, { path: here, was: natural }, below, all);
    }
  }
}

/** What a redirect means, by where its directory is below. */
export function sourceOf(redirect: Name | undefined, was: Name | undefined): Name | undefined {
  if (redirect === undefined) return undefined;
  if (redirect.startsWith("/")) return redirect.slice(1);
  return was === undefined ? undefined : join(was, redirect);
}

/** Where what is below at `was` is in the session, if it is there. */
export function pathNow({ byNode }: Moves, was: Name): Name {
  let best: Move | undefined;
  for (const move of byNode.values()) {
    const isInside = was.startsWith(`${move.from}/`);
    if (isInside && (best === undefined || move.from.length > best.from.length)) best = move;
  }
  return best === undefined ? was : best.to + was.slice(best.from.length);
}
