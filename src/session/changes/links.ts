import { identityOf } from "./names.ts";
import type { Aspect, Change } from "./types.ts";
import type { Met } from "./walk.ts";

type Changes = (Change | undefined)[];

/**
 * Says of each change that is one inode with another which that is: an unchanged one, else the first; and where names are
 * one inode that weren't, or no longer are.
 * @param met those with other names, now or below, sorted by path
 * @param indexed inodes that all names lead to which the original had, and the upper lacks
 */
export function nameLinks(changes: Changes, met: readonly Met[], union: number, indexed: ReadonlySet<string>): void {
  // First: what is changed by that isn't what others are named after.
  nameParted(changes, met, union, indexed);
  const groups = Map.groupBy(met, ({ file }) => identityOf(file.attr));
  for (const group of groups.values()) if (group.length > 1) nameGroup(changes, group, union);
}

function nameParted(changes: Changes, met: readonly Met[], union: number, indexed: ReadonlySet<string>): void {
  const linked = met.filter(({ before }) => before !== undefined && before.nlink > 1);
  if (linked.length === 0) return;
  const origins = Map.groupBy(linked, ({ before }) => (before === undefined ? "" : identityOf(before)));
  const gone = countGone(changes);
  for (const [origin, members] of origins) {
    const left = (members[0]?.before?.nlink ?? 0) - (gone.get(origin) ?? 0) - members.length;
    const keeper =
      members.find(({ file }) => indexed.has(identityOf(file.attr))) ?? (left > 0 ? undefined : members[0]);
    for (const one of members) {
      const isKept = keeper !== undefined && identityOf(one.file.attr) === identityOf(keeper.file.attr);
      if (!isKept) amend(changes, one, union, {}, "parted");
    }
  }
}

function nameGroup(changes: Changes, group: readonly Met[], union: number): void {
  const [first] = [...group.filter(({ change }) => change === undefined), ...group];
  for (const one of group) {
    if (first === undefined || one === first) continue;
    const isOneBelow =
      first.before !== undefined && one.before !== undefined && identityOf(one.before) === identityOf(first.before);
    amend(changes, one, union, { linkTo: first.path }, isOneBelow ? "as before" : "joined");
  }
}

/** How many names of each inode below are gone. */
function countGone(changes: Changes): Map<string, number> {
  const gone = new Map<string, number>();
  for (const change of changes) {
    if (change?.kind !== "deleted" && change?.kind !== "type") continue;
    const identity = identityOf(change.before);
    gone.set(identity, (gone.get(identity) ?? 0) + 1);
  }
  return gone;
}

function amend(
  changes: Changes,
  one: Met,
  union: number,
  link: { readonly linkTo?: string },
  how: "joined" | "parted" | "as before",
): void {
  const known = one.change === undefined ? undefined : changes[one.change];
  const added = (aspects: readonly Aspect[]): { aspects: readonly Aspect[] } =>
    how === "as before" || aspects.includes("links") ? { aspects } : { aspects: [...aspects, "links"] };
  if (known === undefined) {
    if (how === "as before" || one.before === undefined) return;
    const at = { path: one.path, union, ...(one.was === undefined || one.was === one.path ? {} : { was: one.was }) };
    changes.push({ kind: "modified", ...at, ...added([]), before: one.before, after: one.file.attr, ...link });
    one.change = changes.length - 1;
  } else if (known.kind === "modified" || known.kind === "renamed") {
    changes[one.change ?? -1] = { ...known, ...link, ...added(known.aspects) };
  } else if (known.kind !== "deleted") {
    changes[one.change ?? -1] = { ...known, ...link };
  }
}
