import { S } from "../../kernel/abi/file.ts";
import { fail, type Name, readlinkName } from "../../kernel/at.ts";
import { ATTR, differingAttr } from "../../kernel/attr.ts";
import { isErrno } from "../../kernel/error.ts";
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
  readonly open?: Opener | undefined;
}

/**
 * A side that is one for many comparisons, one after the other: to make one for each takes longer than most of them. Its
 * directory is opened only where something is read in it.
 */
export class ReusedSide implements Side {
  directory: { readonly fd: number };
  name: Name = "";
  attr: Attr;
  readonly prefix: Name | undefined;
  /** What knows of its attributes' names, if anything does. */
  node: { readonly attributes: AttributeNames | undefined } | undefined = undefined;
  open: Opener | undefined = undefined;

  constructor(directory: { readonly fd: number }, attr: Attr, prefix: Name | undefined) {
    [this.directory, this.attr, this.prefix] = [directory, attr, prefix];
  }

  get fd(): number {
    return this.directory.fd;
  }

  get attributes(): AttributeNames | undefined {
    return this.node?.attributes;
  }
}

/** "same": the content of what is compared is known to be one, as where only attributes were copied up. */
export type KnownContent = "same" | "unknown";

/**
 * What differs between two things of one type; empty: nothing. What has gone meanwhile is no difference: whatever took its
 * place comes with the next look.
 */
export function differ(before: Side, after: Side, content: KnownContent = "unknown"): readonly Aspect[] {
  try {
    return differences(before, after, content);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

function differences(before: Side, after: Side, content: KnownContent): readonly Aspect[] {
  let found = differingInAttr(before.attr, after.attr);
  const type = after.attr.mode & S.IFMT;
  // Times alone say nothing: anybody may set them.
  if (content === "unknown" && type === S.IFREG && (found & CONTENT) === 0 && isOtherContent(before, after))
    found |= CONTENT;
  if (content === "same") found &= ~CONTENT;
  if (type === S.IFLNK && targetOf(before) !== targetOf(after)) found |= TARGET;
  const attributes = differingAttributes(before, after);
  return attributes.length === 0 ? aspectsOf(found) : [...aspectsOf(found), ...attributes.map(aspectOf)];
}

/** What of two things of one type differs by their attributes alone, wherever their contents are: some of what differ() names. */
export function differAtOnce(before: Attr, after: Attr): readonly Aspect[] {
  return aspectsOf(differingInAttr(before, after) & ~CONTENT);
}

function differingInAttr(before: Attr, after: Attr): number {
  const differing = differingAttr(before, after);
  if (differing === 0) return 0;
  const type = after.mode & S.IFMT;
  let found = 0;
  if ((differing & ATTR.SIZE) !== 0 && type === S.IFREG) found |= CONTENT;
  if ((differing & ATTR.MODE) !== 0) found |= MODE;
  if ((differing & ATTR.OWNER) !== 0) found |= OWNER;
  if ((differing & ATTR.MTIME) !== 0) found |= TIME;
  if ((differing & ATTR.RDEV) !== 0 && (type === S.IFCHR || type === S.IFBLK)) found |= DEVICE;
  return found;
}

const [CONTENT, MODE, OWNER, TIME, DEVICE, TARGET] = [1, 2, 4, 8, 16, 32];
const inOrder = ["content", "mode", "owner", "time", "device", "target"] as const;
/** By the bits of what differs: there are few, and one for each file would be one more thing to be cleared away. */
const known: (readonly Aspect[] | undefined)[] = [];

function aspectsOf(found: number): readonly Aspect[] {
  return known[found] ?? listAspects(found);
}

function listAspects(found: number): readonly Aspect[] {
  return (known[found] = inOrder.filter((_, bit) => (found & (1 << bit)) !== 0));
}

function aspectOf(attribute: Name): Aspect {
  return `xattr:${attribute}`;
}

/** Of two regular files of one size. */
function isOtherContent(before: Side, after: Side): boolean {
  return !sameContent(openerOf(before), openerOf(after), after.attr.size);
}

function openerOf(side: Side): Opener {
  return side.open ?? (() => openEntry(side));
}

function targetOf({ fd, name }: Entry): Name {
  const target = readlinkName(fd, name);
  return typeof target === "number" ? fail("readlink", name, target) : target.toString("latin1");
}

export function isSameType(one: Attr, other: Attr): boolean {
  return (one.mode & S.IFMT) === (other.mode & S.IFMT);
}
