import { E } from "../kernel/abi/errno.ts";
import { DT, O, S } from "../kernel/abi/file.ts";
import { closeFd, must, type Name, openName, readlinkName, stat, statName } from "../kernel/at.ts";
import { errnoNumber, KernelError } from "../kernel/error.ts";
import { attributeName, getXattr, listDirectory, listXattrs } from "../kernel/io.ts";
import { copyEntry, fillFile, type Original, readOriginal } from "../layer/copyup.ts";
import { openDirectoryName } from "../layer/directory.ts";
import { isMarkedProtected } from "../layer/protected.ts";

/**
 * Something to be asked of a lower that may keep its asker waiting: of `name` below an open directory, or of that itself ("").
 * Files are named by their place in a list of descriptors. It can be told as JSON; names are bytes.
 */
export type Errand = { readonly directory: number; readonly name: Name } & (
  | { readonly kind: "list" | "readlink" | "listxattr" }
  | { readonly kind: "getxattr"; readonly attribute: Name }
  | ({ readonly kind: "copy"; readonly upper: UpperFacts; readonly mayLeave: boolean } & Copy)
  | ({ readonly kind: "content" } & Copy)
);

/** A copy in another directory, under a name that is free there. */
interface Copy {
  readonly to: number;
  readonly temporary: Name;
  /** Where the content is, if it isn't where the attributes are. */
  readonly content?: { readonly directory: number; readonly name: Name };
  /** No more of the content is wanted; undefined: all of it. */
  readonly upTo?: number;
  readonly isSynced: boolean;
}

/** What a copy for the upper depends on: see CopyPlan. */
interface UpperFacts {
  readonly ownUid: number;
  readonly ownGid: number;
  readonly hasOwners: boolean;
  /** Attributes that begin so aren't copied, unless `overlay.` follows. */
  readonly marks: Name;
}

/** What became of it. `text`: what a link or an attribute says, as bytes. */
export interface Result {
  /** 0, or −errno. */
  readonly status: number;
  readonly text?: Name;
  readonly entries?: readonly RawEntry[];
  readonly copied?: Copied;
}

/** A directory's entry: its name, its inode's number in two halves, its DT_ value. */
export type RawEntry = readonly [Name, number, number, number];

export interface Copied {
  readonly original: Omit<Original, "rdev">;
  /** chattr(1): nothing was copied. */
  readonly isProtected: boolean;
  /** Only the attributes, and the size, were copied. */
  readonly leaves: boolean;
}

/** Does what may take for ever, in a process that nobody else waits for. */
export function runErrand(errand: Errand, descriptors: readonly number[]): Result {
  try {
    return run(errand, descriptors);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return { status: -(errnoNumber(error.errno) ?? E.IO) };
  }
}

const value = Buffer.alloc(65536);

function run(errand: Errand, descriptors: readonly number[]): Result {
  const fd = descriptors[errand.directory] ?? -1;
  const { name } = errand;
  switch (errand.kind) {
    case "list":
      return list(fd);
    case "readlink": {
      const target = readlinkName(fd, name);
      return typeof target === "number" ? { status: target } : { status: 0, text: target.toString("latin1") };
    }
    case "listxattr":
      return textOf(listXattrs(fd, name, value));
    case "getxattr":
      return textOf(getXattr(fd, name, attributeName(errand.attribute), value));
    case "copy":
      return copy(errand, descriptors);
    case "content":
      return copyContent(errand, descriptors);
  }
}

function textOf(length: number): Result {
  return length < 0 ? { status: length } : { status: 0, text: value.toString("latin1", 0, length) };
}

/** Of an open directory anew: where reading it stands is shared by all who have got it from us. */
function list(directory: number): Result {
  const fd = must("open", "", openDirectoryName(directory, "."));
  try {
    const entries: RawEntry[] = [];
    const status = listDirectory(fd, (name, inoHigh, inoLow, type) => entries.push([name, inoHigh, inoLow, type]));
    if (status < 0) return { status };
    return { status: 0, entries: entries.map((entry) => (entry[3] === DT.UNKNOWN ? withType(fd, entry) : entry)) };
  } finally {
    closeFd(fd);
  }
}

function withType(fd: number, entry: RawEntry): RawEntry {
  const [name, inoHigh, inoLow] = entry;
  return statName(fd, name) < 0 ? entry : [name, inoHigh, inoLow, (stat.mode & S.IFMT) >> 12];
}

type CopyErrand = Extract<Errand, { kind: "copy" }>;

function copy(errand: CopyErrand, descriptors: readonly number[]): Result {
  const from = { fd: descriptors[errand.directory] ?? -1, name: errand.name };
  const to = { fd: descriptors[errand.to] ?? -1, name: errand.temporary };
  const { rdev, ...original } = readOriginal(from);
  const isProtected = original.type !== S.IFDIR && isMarkedProtected(from.fd, from.name);
  const leaves = errand.mayLeave && original.type === S.IFREG && original.size > 0;
  if (isProtected) return { status: 0, copied: { original, isProtected, leaves } };
  const { ownUid, ownGid, hasOwners, marks } = errand.upper;
  const isPrivate = (attribute: Name): boolean =>
    attribute.startsWith(marks) && !attribute.startsWith(`${marks}overlay.`);
  const content = leaves ? undefined : contentOf(errand, descriptors);
  copyEntry({ ...original, rdev }, from, to, { content, ownUid, ownGid, hasOwners, isPrivate, mark: () => {} });
  return { status: 0, copied: { original, isProtected, leaves } };
}

function contentOf(errand: CopyErrand | Extract<Errand, { kind: "content" }>, descriptors: readonly number[]) {
  const { directory, name } = errand.content ?? errand;
  return { fd: descriptors[directory] ?? -1, name, upTo: errand.upTo ?? Infinity, isSynced: errand.isSynced };
}

/** A file of ours with what another one holds. */
function copyContent(errand: Extract<Errand, { kind: "content" }>, descriptors: readonly number[]): Result {
  const flags = O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW;
  const fd = must("create", errand.temporary, openName(descriptors[errand.to] ?? -1, errand.temporary, flags, 0o600));
  try {
    fillFile(fd, contentOf(errand, descriptors));
  } finally {
    closeFd(fd);
  }
  return { status: 0 };
}
