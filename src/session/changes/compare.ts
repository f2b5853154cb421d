import { S } from "../../kernel/abi/file.ts";
import { fail, hasSameMtime, type Name, readlinkName } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import type { Attr } from "../../kernel/file.ts";
import { type AttributeNames, differingAttributes } from "./attributes.ts";
import { type Entry, openEntry, type Opener, sameContent } from "./content.ts";
import type { Aspect } from "./types.ts";

/** One side of a comparison. */
export interface Side extends Entry {
  readonly attr: Attr;
  /** Of the attributes that its layer keeps to itself. */
  readonly prefix: Name | undefined;
  readonly attributes?: AttributeNames | undefined;
  /** Where its content isn't in the entry itself. */
  readonly open?: Opener;
}

/** "same": the content of what is compared is known to be one, as where only attributes were copied up. */
export type KnownContent = "same" | "unknown";

/**
 * What differs between two things of one type; empty: nothing. What has gone meanwhile is no difference: whatever took its
 * place comes with the next look.
 */
export function differ(before: Side, after: Side, content: KnownContent = "unknown"): readonly Aspect[] {
  return unless(["ENOENT"], () => differences(before, after, content)) ?? [];
}

function differences(before: Side, after: Side, content: KnownContent): Aspect[] {
  const [was, now] = [before.attr, after.attr];
  const aspects: Aspect[] = [];
  if (content === "unknown" && isOtherContent(before, after)) aspects.push("content");
  if (was.mode !== now.mode) aspects.push("mode");
  if (was.uid !== now.uid || was.gid !== now.gid) aspects.push("owner");
  if (!hasSameMtime(was, now)) aspects.push("time");
  const type = now.mode & S.IFMT;
  if (
    (type === S.IFCHR || type === S.IFBLK) &&
    (was.rdev.major !== now.rdev.major || was.rdev.minor !== now.rdev.minor)
  )
    aspects.push("device");
  if (type === S.IFLNK && targetOf(before) !== targetOf(after)) aspects.push("target");
  for (const name of differingAttributes(before, after)) aspects.push(`xattr:${name}`);
  return aspects;
}

/** Times alone say nothing: anybody may set them. */
function isOtherContent(before: Side, after: Side): boolean {
  if ((after.attr.mode & S.IFMT) !== S.IFREG) return false;
  if (before.attr.size !== after.attr.size) return true;
  const opener = (side: Side): Opener => side.open ?? (() => openEntry(side));
  return !sameContent(opener(before), opener(after), after.attr.size);
}

function targetOf({ fd, name }: Entry): Name {
  const target = readlinkName(fd, name);
  return typeof target === "number" ? fail("readlink", name, target) : target.toString("latin1");
}

export function isSameType(one: Attr, other: Attr): boolean {
  return (one.mode & S.IFMT) === (other.mode & S.IFMT);
}
