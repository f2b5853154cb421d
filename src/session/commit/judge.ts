import { S } from "../../kernel/abi/file.ts";
import type { Name } from "../../kernel/at.ts";
import { type Attr, isDirectory } from "../../kernel/file.ts";
import type { Change } from "../changes/types.ts";
import type { Window } from "./journal.ts";

/** What is in the target isn't what the session began with. */
export interface Conflict {
  /** From the session's root. */
  readonly path: Name;
  readonly reason: "changed" | "appeared" | "vanished" | "in the way";
  /** What the session has made of it; undefined: nothing is there. */
  readonly ours?: Attr;
  readonly theirs?: Attr;
}

/** Tells whether what is in a target is still what a session saw. */
export interface Judge {
  /** @param before what is below the session's upper */
  isChanged(target: Attr, before: Attr, change: Change): boolean;
  /** Whether others have deleted, or moved away, what something in the session was copied from. */
  isVanished(origin: Attr | "gone"): boolean;
}

/**
 * What is changed is given the time of the last tick of the kernel's clock (current_time(), fs/inode.c), which may be so much
 * before the time that the session's beginning was read at. A kernel has 100 to 1000 ticks a second.
 */
const longestTickMs = 10;

/**
 * For the session's own target: what is below its upper is the target itself, so what counts is when that was changed. What
 * this session itself has committed was changed in one of the `windows`.
 */
export function judgeByTime(sinceMs: number, windows: readonly Window[]): Judge {
  const since = BigInt(sinceMs - longestTickMs) * 1_000_000n;
  const own = windows.map(({ from, to }) => [BigInt(from), BigInt(to)] as const);
  const isNew = ({ ctimeNs }: Attr): boolean =>
    ctimeNs >= since && !own.some(([from, to]) => from <= ctimeNs && ctimeNs < to);
  return {
    isChanged(target, before, change) {
      if (!isSameType(target, before)) return true;
      if (!isNew(target)) return false;
      // Each name that comes or goes sets both of a directory's times; an attribute that is changed only one.
      return !isDirectory(target) || (target.ctimeNs !== target.mtimeNs && changesMore(change));
    },
    isVanished: (origin) => origin === "gone" || isNew(origin),
  };
}

/** For another target: what is there must look like what is below the session's upper. */
export const judgeByLooks: Judge = {
  isChanged(target, before, change) {
    if (!isSameType(target, before)) return true;
    if (isDirectory(target))
      return changesMore(change) && (target.mode !== before.mode || !isSameOwner(target, before));
    const type = target.mode & S.IFMT;
    if (type === S.IFCHR || type === S.IFBLK)
      return target.rdev.major !== before.rdev.major || target.rdev.minor !== before.rdev.minor;
    return (
      target.mode !== before.mode ||
      !isSameOwner(target, before) ||
      target.size !== before.size ||
      target.mtimeNs !== before.mtimeNs
    );
  },
  isVanished: () => false,
};

/** More than the times of a directory, which each change in it sets. */
function changesMore(change: Change): boolean {
  return change.kind !== "modified" || change.aspects.some((aspect) => aspect !== "time");
}

export function isSameType(one: Attr, other: Attr): boolean {
  return (one.mode & S.IFMT) === (other.mode & S.IFMT);
}

function isSameOwner(one: Attr, other: Attr): boolean {
  return one.uid === other.uid && one.gid === other.gid;
}
