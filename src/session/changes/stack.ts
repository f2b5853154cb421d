import type { Name } from "../../kernel/at.ts";
import { sourceOf } from "./moves.ts";
import { join } from "./names.ts";
import type { UpperDirectory, UpperEntry, UpperFile } from "./upper.ts";

/**
 * What several uppers say, the topmost first, as if one said it over what is below all of them: a session that was forked
 * has those that were frozen, and its own.
 */
export function mergeUppers([top, ...others]: readonly UpperDirectory[]): UpperDirectory | undefined {
  const below = others.length === 0 ? undefined : mergeUppers(others);
  if (top === undefined || below === undefined) return top;
  return new Merge(below).directory(top, { kind: "directory", node: below, was: "", isMerged: !below.isOpaque });
}

/** Where a directory of the upper one lies in what is below it: the other uppers, and what is below those. */
interface DirectoryPlace {
  readonly kind: "directory";
  readonly node: UpperDirectory | undefined;
  /** Its path below all uppers. */
  readonly was: Name;
  /** What is below all uppers shows in it. */
  readonly isMerged: boolean;
}

type Place =
  | DirectoryPlace
  | { readonly kind: "file"; readonly file: UpperFile; readonly directory: DirectoryPlace }
  | { readonly kind: "nothing" };

const nothing: Place = { kind: "nothing" };

class Merge {
  readonly #below: UpperDirectory;

  constructor(below: UpperDirectory) {
    this.#below = below;
  }

  directory(top: UpperDirectory, place: DirectoryPlace): UpperDirectory {
    const named = new Set(top.children.map(({ name }) => name));
    const own = top.children.map((child) => this.#child(child, place));
    const kept = (place.node?.children ?? []).filter(({ name }) => !named.has(name));
    const children = [...own, ...kept.map((child) => rehome(child, place))].toSorted((a, b) =>
      a.name < b.name ? -1 : 1,
    );
    const redirect = place.isMerged && place.was !== "" ? `/${place.was}` : undefined;
    return { ...top, isOpaque: !place.isMerged, redirect, children };
  }

  /** @param parent undefined: its directory merges with nothing */
  #child(child: UpperEntry, parent: DirectoryPlace | undefined): UpperEntry {
    if (child.kind === "whiteout") return child;
    if (child.kind === "file")
      return child.isMetacopy ? this.#metacopy(child, this.#placeOf(child, parent)) : plain(child);
    const place = child.isOpaque ? nothing : this.#placeOf(child, parent);
    if (place.kind === "directory") return this.directory(child, place);
    const children = child.children.map((below) => this.#child(below, undefined));
    return { ...child, isOpaque: true, redirect: undefined, children };
  }

  #placeOf({ name, redirect }: UpperDirectory | UpperFile, parent: DirectoryPlace | undefined): Place {
    if (redirect?.startsWith("/") !== true) return parent === undefined ? nothing : placeIn(parent, redirect ?? name);
    let place: Place = { kind: "directory", node: this.#below, was: "", isMerged: !this.#below.isOpaque };
    for (const part of redirect.slice(1).split("/"))
      place = place.kind === "directory" ? placeIn(place, part) : nothing;
    return place;
  }

  /** Of which the content is further down: in another upper, or below all of them. */
  #metacopy(file: UpperFile, place: Place): UpperFile {
    if (place.kind === "directory") return { ...plain(file), isMetacopy: true, redirect: `/${place.was}` };
    if (place.kind === "nothing" || !place.file.isMetacopy) return plain(file);
    const source = sourceOf(place.file.redirect ?? place.file.name, place.directory.was);
    return { ...plain(file), isMetacopy: true, redirect: `/${source ?? ""}` };
  }
}

/** What a name leads to in a directory; what no upper says is taken for a directory below, which may be anything. */
function placeIn(directory: DirectoryPlace, name: Name): Place {
  const child = directory.node?.children.find((one) => one.name === name);
  const natural = join(directory.was, name);
  if (child === undefined)
    return directory.isMerged ? { kind: "directory", node: undefined, was: natural, isMerged: true } : nothing;
  if (child.kind === "whiteout") return nothing;
  if (child.kind === "file") return { kind: "file", file: child, directory };
  const isMerged = !child.isOpaque && (child.redirect !== undefined || directory.isMerged);
  return { kind: "directory", node: child, was: sourceOf(child.redirect, directory.was) ?? natural, isMerged };
}

/** What only a frozen upper says; its names in the same directory become paths. */
function rehome(child: UpperEntry, { was, isMerged }: DirectoryPlace): UpperEntry {
  if (child.kind === "whiteout") return child;
  const source = child.redirect === undefined ? undefined : sourceOf(child.redirect, was);
  if (child.kind === "file") {
    const redirect = child.isMetacopy ? `/${source ?? join(was, child.name)}` : undefined;
    return { ...plain(child), isMetacopy: child.isMetacopy, redirect };
  }
  const isNatural = isMerged && !child.isOpaque && source === undefined;
  const redirect = source === undefined ? (isNatural ? `/${join(was, child.name)}` : undefined) : `/${source}`;
  return { ...child, redirect };
}

/** What is said of its origin is said in its own upper. */
function plain(file: UpperFile): UpperFile {
  return { ...file, isMetacopy: false, redirect: undefined, hasOrigin: false, attributes: undefined };
}
