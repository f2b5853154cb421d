import { E } from "../kernel/abi/errno.ts";
import { S } from "../kernel/abi/file.ts";
import { fail, type Name, stat } from "../kernel/at.ts";
import { LayerDirectory } from "../layer/directory.ts";
import type { Layer } from "../layer/layer.ts";
import { openMarked, probe } from "../layer/probe.ts";
import { bad, type Core } from "./core.ts";

/** The value of a `redirect` mark: a name in the same directory, or a path from the layers' roots. */
function checkRedirect(core: Core, value: Name): Name {
  const names = value.startsWith("/") ? value.slice(1).split("/") : [value];
  for (const name of names) {
    if (
      name === "" ||
      name === "." ||
      name === ".." ||
      name.includes("/") ||
      name.includes("\0") ||
      name.length > 255
    ) {
      return bad(core, "a redirect that leads out of its layer", value);
    }
  }
  if (value.length > 4096) return bad(core, "a redirect that is too long", value.slice(0, 100));
  return value;
}

/** What is being looked for in the lowers, which marks on the way may change. */
export interface Search {
  /** A name in the parent's lowers, or with a leading slash a path from each lower's root. */
  target: Name;
  /** Nothing further down belongs to it. */
  isStopped: boolean;
  /** "all": a file's marks are read even where its size says that it has its content. */
  readonly marks: "likely" | "all";
}

/** A mark has been met: what follows it is looked for under another name. `rest`: the path's names still to come. */
export function follow(core: Core, search: Search, redirect: Name, prefix: Name, rest: Name): void {
  const value = checkRedirect(core, redirect);
  if (value.startsWith("/")) search.isStopped = false;
  search.target = (value.startsWith("/") ? value : prefix + value) + rest;
  if (search.target.length > 8000) bad(core, "redirects that grow without end", search.target.slice(0, 100));
}

/**
 * Walks a path from a layer's root to the directory that holds its last name, as overlayfs does: marks of the
 * directories on the way count.
 * @returns undefined where the layer doesn't have it
 */
export function walkToParent(
  core: Core,
  layer: Layer,
  search: Search,
): { directory: LayerDirectory; name: Name } | undefined {
  const names = search.target.slice(1).split("/");
  let directory = layer.rootDir;
  for (let at = 0; at < names.length - 1; at++) {
    const name = names[at] ?? "";
    const presence = probe(directory, name);
    if (presence === "absent") return undefined;
    if (presence === "whiteout" || stat.type !== S.IFDIR) {
      search.isStopped = true;
      return undefined;
    }
    if (layer.isLast) {
      directory = new LayerDirectory(layer, directory, name);
      continue;
    }
    const opened = openMarked(directory, name);
    directory = opened.directory;
    if (opened.marks.isOpaque) search.isStopped = true;
    if (opened.marks.redirect !== undefined) {
      const prefix = names.slice(0, at).map((name) => `/${name}`);
      follow(core, search, opened.marks.redirect, `${prefix.join("")}/`, `/${names.slice(at + 1).join("/")}`);
    }
  }
  return { directory, name: names[names.length - 1] ?? fail("follow redirect", search.target, -E.IO) };
}
