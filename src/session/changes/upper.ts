import { UserError } from "../../error.ts";
import { E } from "../../kernel/abi/errno.ts";
import { S } from "../../kernel/abi/file.ts";
import { closeFd, fail, must, type Name, stat, statFd, statName, takeAttr } from "../../kernel/at.ts";
import type { Fd } from "../../kernel/fd.ts";
import type { Attr } from "../../kernel/file.ts";
import { SEEK, seek } from "../../kernel/io.ts";
import type { Dialect, DirectoryMarks } from "../../layer/dialect/dialect.ts";
import { isMarkedWhiteout, noMarks, OverlayDialect, readMark } from "../../layer/dialect/overlay.ts";
import { openDirectoryName } from "../../layer/directory.ts";
import { quotePath } from "../../layer/quote.ts";
import { type AttributeNames, attributesOf } from "./attributes.ts";
import { namesInOpened } from "./below.ts";
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
  const attr = takeAttr();
  // It may have been read before.
  must("seek", root.path, seek(root.number, 0, SEEK.SET));
  return new UpperReader(dialect).directory(root.number, "", "", attr);
}

/** A file of the index, which no name in the upper need lead to. */
export function readIndexed(dialect: Dialect, dirfd: number, name: Name): UpperFile | undefined {
  const entry = new UpperReader(dialect).entry(dirfd, "", name, indexMarks);
  return entry?.kind === "file" ? entry : undefined;
}

/** Which marks of an overlay a list of attributes names. */
interface FileMarks {
  readonly isMetacopy: boolean;
  readonly hasRedirect: boolean;
  readonly hasOrigin: boolean;
}

const unmarked: FileMarks = { isMetacopy: false, hasRedirect: false, hasOrigin: false };

/** A directory whose path is put together only where a message names it. */
interface Located {
  readonly path: Name;
}

function pathOf(place: Name | Located): Name {
  return typeof place === "string" ? place : place.path;
}

/** What an entry of an upper is by its attributes; a file that is "marked" has to be asked for its marks. */
export type EntryKind = "gone" | "whiteout" | "directory" | "device" | "unmarked" | "marked";

export class UpperReader {
  readonly #dialect: Dialect;
  readonly #overlay: OverlayDialect | undefined;
  /** Of a tree's files nearly all have one of a few lists. */
  readonly #marks = new Map<AttributeNames, FileMarks>();
  readonly #directoryMarks = new Map<AttributeNames, DirectoryMarks>();

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
    this.#overlay = dialect instanceof OverlayDialect ? dialect : undefined;
  }

  /** An open directory, at its start. */
  directory(fd: number, path: Name, name: Name, attr: Attr): UpperDirectory {
    const attributes = attributesOf(fd, "");
    const marks = this.directoryMarks(fd, attributes);
    const names = namesInOpened(fd, path);
    const isBeside = this.#dialect.whiteouts === "beside";
    const children = isBeside ? this.#beside(fd, path, names, marks) : this.#entries(fd, path, names, marks);
    const redirect = marks.redirect === undefined || marks.isOpaque ? undefined : checkRedirect(marks.redirect, path);
    return { kind: "directory", name, attr, isOpaque: marks.isOpaque, redirect, attributes, children };
  }

  #entries(fd: number, path: Name, names: readonly Name[], marks: DirectoryMarks): UpperEntry[] {
    const entries: UpperEntry[] = [];
    for (const name of names) {
      const entry = this.entry(fd, path, name, marks);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  /** Where whiteouts stand beside what they delete. */
  #beside(fd: number, path: Name, names: readonly Name[], marks: DirectoryMarks): UpperEntry[] {
    const { plain, deleted } = splitNames(names, this.#dialect);
    const children = this.#entries(fd, path, plain, marks).map((entry) =>
      entry.kind === "directory" && deleted.has(entry.name) ? { ...entry, isOpaque: true } : entry,
    );
    for (const name of plain) deleted.delete(name);
    for (const name of deleted) children.push({ kind: "whiteout", name });
    return children.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Most have none. */
  directoryMarks(fd: number, attributes: AttributeNames): DirectoryMarks {
    const { prefix } = this.#dialect;
    if (prefix === undefined) return this.#dialect.readMarks(fd);
    if (attributes === "none possible" || attributes.length === 0) return noMarks;
    const known = this.#directoryMarks.get(attributes);
    if (known !== undefined) return known;
    const marks = hasAny(attributes, prefix) ? this.#dialect.readMarks(fd, attributes) : noMarks;
    // Of others the attributes' values say it.
    if (!hasValued(attributes, prefix) && this.#directoryMarks.size < 16) this.#directoryMarks.set(attributes, marks);
    return marks;
  }

  /** @param path of the directory that it is in, which has these marks */
  entry(dirfd: number, path: Name, name: Name, marks: DirectoryMarks): UpperEntry | undefined {
    const kind = this.kindOf(dirfd, path, name, marks);
    if (kind === "gone") return undefined;
    if (kind === "whiteout") return { kind, name };
    const attr = takeAttr();
    if (kind === "directory") return this.#enter(dirfd, path, name, attr);
    return kind === "marked" ? this.marked(dirfd, path, name, attr) : plainFile(kind, name, attr);
  }

  /** What an entry is; takeAttr() then gives its attributes. */
  kindOf(dirfd: number, path: Name | Located, name: Name, marks: DirectoryMarks): EntryKind {
    const result = statName(dirfd, name);
    if (result === -E.NOENT) return "gone";
    if (result < 0) fail("stat", join(pathOf(path), name), result);
    if (stat.isWhiteoutDevice && this.#dialect.whiteouts === "in-place") return "whiteout";
    const { type } = stat;
    if (type === S.IFDIR) return "directory";
    const overlay = this.#overlay;
    if (overlay === undefined) return "unmarked";
    const isEmpty = type === S.IFREG && stat.size === 0;
    if (isEmpty && marks.hasMarkedWhiteouts && isMarkedWhiteout(dirfd, name, overlay.marks)) return "whiteout";
    if (isEmpty && marks.hasNestedWhiteouts && readMark(dirfd, name, overlay.marks.nestedWhiteout) !== undefined)
      return "device";
    // Uppers that were copied by other programs may have lost the mark of the directory.
    const isLikelyMetacopy = type === S.IFREG && stat.size > 0 && stat.blocks * 512 < stat.size;
    return marks.isImpure || isLikelyMetacopy ? "marked" : "unmarked";
  }

  /** A file that may have marks. */
  marked(dirfd: number, path: Name | Located, name: Name, attr: Attr): UpperFile {
    const overlay = this.#overlay;
    if (overlay === undefined) return file(name, attr, unmarked);
    const attributes = attributesOf(dirfd, name);
    const own = this.#fileMarks(attributes, overlay.prefix);
    if (!own.isMetacopy) return file(name, attr, own, attributes);
    if ((attr.mode & S.IFMT) !== S.IFREG) return file(name, attr, { ...own, isMetacopy: false }, attributes);
    if (!own.hasRedirect) return file(name, attr, own, attributes);
    const redirect = readMark(dirfd, name, overlay.marks.redirect)?.toString("latin1");
    const checked = redirect === undefined ? undefined : checkRedirect(redirect, join(pathOf(path), name));
    return file(name, attr, own, attributes, checked);
  }

  #fileMarks(attributes: AttributeNames, prefix: Name): FileMarks {
    if (attributes === "none possible" || attributes.length === 0) return unmarked;
    return this.#marks.get(attributes) ?? this.#readFileMarks(attributes, prefix);
  }

  #readFileMarks(attributes: readonly Name[], prefix: Name): FileMarks {
    const has = (mark: string): boolean => attributes.includes(`${prefix}${mark}`);
    const marks = { isMetacopy: has("metacopy"), hasRedirect: has("redirect"), hasOrigin: has("origin") };
    if (this.#marks.size < 16) this.#marks.set(attributes, marks);
    return marks;
  }

  #enter(dirfd: number, path: Name, name: Name, attr: Attr): UpperDirectory | undefined {
    const fd = openDirectoryName(dirfd, name);
    if (fd === -E.NOENT || fd === -E.NOTDIR || fd === -E.LOOP) return undefined;
    const here = join(path, name);
    if (fd < 0) fail("open", here, fd);
    try {
      return this.directory(fd, here, name, attr);
    } finally {
      closeFd(fd);
    }
  }
}

/** A file without marks; a "device" is what stands for one. */
export function plainFile(kind: "device" | "unmarked", name: Name, attr: Attr): UpperFile {
  return file(name, kind === "device" ? asDevice(attr) : attr, unmarked);
}

function file(
  name: Name,
  attr: Attr,
  { isMetacopy, hasOrigin }: FileMarks,
  attributes?: AttributeNames,
  redirect?: Name,
): UpperFile {
  return { kind: "file", name, attr, isMetacopy, redirect, hasOrigin, attributes };
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

function hasAny(attributes: readonly Name[], prefix: Name): boolean {
  for (const attribute of attributes) if (attribute.startsWith(prefix)) return true;
  return false;
}

/** Whether something says by its value what a directory is. */
function hasValued(attributes: readonly Name[], prefix: Name): boolean {
  return ["opaque", "redirect", "protattr"].some((mark) => attributes.includes(prefix + mark));
}

/** What stands for a device 0:0 of a union above this one. */
function asDevice(attr: Attr): Attr {
  const { uid, gid, nlink, ino, dev, rdev, atimeNs, mtimeNs, ctimeNs, mountId, isMountRoot } = attr;
  const mode = S.IFCHR | (attr.mode & 0o7777);
  return { mode, uid, gid, nlink, ino, size: 0, blocks: 0, dev, rdev, atimeNs, mtimeNs, ctimeNs, mountId, isMountRoot };
}

const indexMarks: DirectoryMarks = { ...noMarks, isImpure: true };

/** What leads out of the layer is no mark of a union's. */
function checkRedirect(value: Name, path: Name): Name {
  const names = value.startsWith("/") ? value.slice(1).split("/") : [value];
  if (!names.some((name) => name === "" || name === "." || name === ".." || name.includes("/"))) return value;
  throw new UserError("data", `the upper is damaged: ${quotePath(path)} has the redirect ${quotePath(value)}`);
}
