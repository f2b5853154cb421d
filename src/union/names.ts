import { fail, type Name } from "../kernel/at.ts";
import type { LayerDirectory } from "../layer/directory.ts";
import type { Inode } from "./inode.ts";

/** A directory that merges this many lowers is read as a whole once some names were looked for in all of them. */
const MANY_LOWERS = 4;
const MANY_LOOKUPS = 4;

/**
 * Those lowers of a directory that have anything to say of a name, from the top: all, or where there are many, the
 * few that a reading of their entries has shown. Lowers don't change while they are mounted.
 */
export function lowersWith(parent: Inode, name: Name): readonly LayerDirectory[] {
  const { lowerDirs } = parent;
  if (lowerDirs.length < MANY_LOWERS) return lowerDirs;
  if (parent.lowerNames === undefined) {
    if (++parent.lowerLookups < MANY_LOOKUPS) return lowerDirs;
    parent.lowerNames = readNames(parent);
  }
  return parent.lowerNames.get(name) ?? none;
}

const none: readonly LayerDirectory[] = [];

function readNames(parent: Inode): Map<Name, readonly LayerDirectory[]> {
  const names = new Map<Name, readonly LayerDirectory[]>();
  for (const directory of parent.lowerDirs) {
    const alone: readonly LayerDirectory[] = [directory];
    const { dialect } = directory.layer;
    const add = (name: Name): void => {
      const known = names.get(name);
      if (known === undefined) names.set(name, alone);
      else if (known.at(-1) !== directory) names.set(name, [...known, directory]);
    };
    const result = directory.list((name) => {
      if (name === "." || name === "..") return;
      add(dialect.isReserved(name) ? (dialect.deletedBy(name) ?? name) : name);
    });
    if (result < 0) fail("readdir", parent.path, result);
  }
  return names;
}
