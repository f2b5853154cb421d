import { UserError } from "../../error.ts";
import { E } from "../../kernel/abi/errno.ts";
import { S } from "../../kernel/abi/file.ts";
import { closeFd, fail, must, type Name, stat, statFd, statName, takeAttr } from "../../kernel/at.ts";
import type { Fd } from "../../kernel/fd.ts";
import type { Attr } from "../../kernel/file.ts";
import { listDirectory } from "../../kernel/io.ts";
import type { Dialect, DirectoryMarks } from "../../layer/dialect/dialect.ts";
import { isMarkedWhiteout, OverlayDialect, readMark } from "../../layer/dialect/overlay.ts";
import { openDirectoryName } from "../../layer/directory.ts";
import { quotePath } from "../../layer/quote.ts";
import { type AttributeNames, attributesOf } from "./attributes.ts";
import { join } from "./names.ts";

export interface UpperDirectory {
  readonly kind: "directory";
  readonly name: Name;
  readonly attr: Attr;
  /** Nothing below merges into it. */
  readonly isOpaque: boolean;
  /** Where it lies below: a name in the same directory, or with a slash first a path from the root. */
  readonly redirect: Name | undefined;
  /** Of its extended attributes, the layer's own too. */
  readonly attributes: AttributeNames;
  /** By their names, sorted. */
  readonly children: readonly UpperEntry[];
}

/** Anything but a directory. */
export interface UpperFile {
  readonly kind: "file";
  readonly name: Name;
  readonly attr: Attr;
  /** Its content is below: at `redirect`, where there is one. */
  readonly isMetacopy: boolean;
  readonly redirect: Name | undefined;
  /** It says which file below it was copied from. */
  readonly hasOrigin: boolean;
  /** The names of its extended attributes, the layer's own too, if they have been looked at. */
  readonly attributes: AttributeNames | undefined;
}

export type UpperEntry = UpperDirectory | UpperFile | { readonly kind: "whiteout"; readonly name: Name };

/**
 * Reads the tree of an upper, names and attributes. What goes meanwhile is passed over: processes may run in the session.
 * It is read whole before anything is compared, since what was moved is marked only where it has gone.
 */
export function readUpper(root: Fd, dialect: Dialect): UpperDirectory {
  must("stat", root.path, statFd(root.number));
  return readDirectory({ dialect, path: "" }, root.number, "", takeAttr());
}

interface Place {
  readonly dialect: Dialect;
  readonly path: Name;
}

function readDirectory({ dialect, path }: Place, fd: number, name: Name, attr: Attr): UpperDirectory {
  const attributes = attributesOf(fd, "");
  const marks = readDirectoryMarks(dialect, fd, attributes);
  const names: Name[] = [];
  const result = listDirectory(fd, (found) => {
    if (found !== "." && found !== "..") names.push(found);
  });
  if (result < 0) fail("readdir", path, result);
  const place = { dialect, path };
  // As bytes: each character is one.
  names.sort();
  const { plain, deleted } = dialect.whiteouts === "beside" ? splitNames(names, dialect) : { plain: names };
  const children: UpperEntry[] = [];
  for (const child of plain) {
    const entry = readEntry(place, fd, child, marks);
    if (entry?.kind === "directory" && deleted?.has(child) === true) children.push({ ...entry, isOpaque: true });
    else if (entry !== undefined) children.push(entry);
    deleted?.delete(child);
  }
  for (const child of deleted ?? []) children.push({ kind: "whiteout", name: child });
  if (deleted !== undefined && deleted.size > 0) children.sort((a, b) => (a.name < b.name ? -1 : 1));
  const redirect = marks.redirect === undefined || marks.isOpaque ? undefined : checkRedirect(marks.redirect, path);
  return { kind: "directory", name, attr, isOpaque: marks.isOpaque, redirect, attributes, children };
}

/** Most have none. */
function readDirectoryMarks(dialect: Dialect, fd: number, attributes: AttributeNames): DirectoryMarks {
  const { prefix } = dialect;
  if (prefix === undefined) return dialect.readMarks(fd);
  return attributes !== "none possible" && hasAny(attributes, prefix) ? dialect.readMarks(fd, attributes) : noMarks;
}

/** The names that show, and those that others delete. */
function splitNames(names: readonly Name[], dialect: Dialect): { plain: readonly Name[]; deleted: Set<Name> } {
  const deleted = new Set<Name>();
  for (const name of names) {
    const victim = dialect.isReserved(name) ? dialect.deletedBy(name) : undefined;
    if (victim !== undefined) deleted.add(victim);
  }
  return { plain: names.filter((name) => !dialect.isReserved(name)), deleted };
}

/** @param place of the directory that it is in */
function readEntry(place: Place, dirfd: number, name: Name, marks: DirectoryMarks): UpperEntry | undefined {
  const result = statName(dirfd, name);
  if (result === -E.NOENT) return undefined;
  if (result < 0) fail("stat", join(place.path, name), result);
  if (stat.isWhiteoutDevice && place.dialect.whiteouts === "in-place") return { kind: "whiteout", name };
  const attr = takeAttr();
  if (stat.type === S.IFDIR) return enter(place, dirfd, name, attr);
  const plain = unmarked(name, attr);
  const { dialect } = place;
  if (!(dialect instanceof OverlayDialect)) return plain;
  const isEmpty = stat.type === S.IFREG && stat.size === 0;
  if (isEmpty && marks.hasMarkedWhiteouts && isMarkedWhiteout(dirfd, name, dialect.marks))
    return { kind: "whiteout", name };
  if (isEmpty && marks.hasNestedWhiteouts && readMark(dirfd, name, dialect.marks.nestedWhiteout) !== undefined)
    return { ...plain, attr: asDevice(attr) };
  return marks.isImpure || isLikelyMetacopy(attr) ? readMarks(place, dialect, dirfd, plain) : plain;
}

function hasAny(attributes: readonly Name[], prefix: Name): boolean {
  return attributes.some((attribute) => attribute.startsWith(prefix));
}

function unmarked(name: Name, attr: Attr): UpperFile {
  return { kind: "file", name, attr, isMetacopy: false, redirect: undefined, hasOrigin: false, attributes: undefined };
}

/** What stands for a device 0:0 of a union above this one. */
function asDevice(attr: Attr): Attr {
  const { uid, gid, nlink, ino, dev, rdev, atimeNs, mtimeNs, ctimeNs, mountId, isMountRoot } = attr;
  const mode = S.IFCHR | (attr.mode & 0o7777);
  return { mode, uid, gid, nlink, ino, size: 0, blocks: 0, dev, rdev, atimeNs, mtimeNs, ctimeNs, mountId, isMountRoot };
}

/** A file of the index, which no name in the upper need lead to. */
export function readIndexed(dialect: Dialect, dirfd: number, name: Name): UpperFile | undefined {
  const entry = readEntry({ dialect, path: "" }, dirfd, name, indexMarks);
  return entry?.kind === "file" ? entry : undefined;
}

const noMarks: DirectoryMarks = {
  isOpaque: false,
  hasMarkedWhiteouts: false,
  redirect: undefined,
  isImpure: false,
  hasDefaultAcl: false,
  hasNestedWhiteouts: false,
};
const indexMarks: DirectoryMarks = { ...noMarks, isImpure: true };

/** Uppers that were copied by other programs may have lost the mark of the directory. */
function isLikelyMetacopy({ mode, size, blocks }: Attr): boolean {
  return (mode & S.IFMT) === S.IFREG && size > 0 && blocks * 512 < size;
}

function readMarks({ path, dialect }: Place, { marks }: OverlayDialect, dirfd: number, file: UpperFile): UpperFile {
  const attributes = attributesOf(dirfd, file.name);
  const has = (mark: string): boolean =>
    attributes !== "none possible" && attributes.includes(`${dialect.prefix}${mark}`);
  const isMetacopy = has("metacopy") && (file.attr.mode & S.IFMT) === S.IFREG;
  const isElsewhere = isMetacopy && has("redirect");
  const redirect = isElsewhere ? readMark(dirfd, file.name, marks.redirect)?.toString("latin1") : undefined;
  const { kind, name, attr } = file;
  const checked = redirect === undefined ? undefined : checkRedirect(redirect, join(path, name));
  return { kind, name, attr, isMetacopy, redirect: checked, hasOrigin: has("origin"), attributes };
}

function enter(place: Place, dirfd: number, name: Name, attr: Attr): UpperDirectory | undefined {
  const fd = openDirectoryName(dirfd, name);
  if (fd === -E.NOENT || fd === -E.NOTDIR || fd === -E.LOOP) return undefined;
  const path = join(place.path, name);
  if (fd < 0) fail("open", path, fd);
  try {
    return readDirectory({ dialect: place.dialect, path }, fd, name, attr);
  } finally {
    closeFd(fd);
  }
}

/** What leads out of the layer is no mark of a union's. */
function checkRedirect(value: Name, path: Name): Name {
  const names = value.startsWith("/") ? value.slice(1).split("/") : [value];
  if (!names.some((name) => name === "" || name === "." || name === ".." || name.includes("/"))) return value;
  throw new UserError("data", `the upper is damaged: ${quotePath(path)} has the redirect ${quotePath(value)}`);
}
