import { E } from "../kernel/abi/errno.ts";
import { S } from "../kernel/abi/file.ts";
import { closeFd, fail, type Name, stat, statName } from "../kernel/at.ts";
import { attributeName, listDirectory, listXattrs } from "../kernel/io.ts";
import { isAufsBranch } from "./dialect/aufs.ts";
import { readMark } from "./dialect/overlay.ts";
import { openDirectoryName } from "./directory.ts";
import { decodeOrigin } from "./handle.ts";
import { openLayerRoot } from "./layer.ts";
import { quotePath } from "./quote.ts";

/** What an entry of a layer says of the layers below, beside its content. */
export type MarkKind = "whiteout" | "opaque" | "redirect" | "metacopy" | "origin";

export interface LayerMark {
  readonly kind: MarkKind;
  /** From the layer's top directory, which is `.`; what git would quote is quoted as git does it. */
  readonly path: string;
  readonly type: "file" | "directory" | "link" | "other" | "none";
  /** How it is written: `device`, `aufs`, `trusted.overlay` or `user.overlay`. */
  readonly written: "device" | "aufs" | "trusted.overlay" | "user.overlay";
  /** Of a redirect: where it lies below, a name in the same directory or, with a slash first, from the top; quoted. */
  readonly from?: string;
  /** Of an origin: the file system and the handle there of what it was copied from, hexadecimal; absent where unknown. */
  readonly fileSystem?: string;
  readonly handle?: string;
}

export interface LayerContents {
  readonly marks: readonly LayerMark[];
  /** Entries that are there by themselves: neither whiteouts nor aufs's own files. */
  readonly entries: number;
  /** aufs, or a union of ours in its format, has written to it. */
  readonly isAufsBranch: boolean;
}

/**
 * Reads what a directory holds as a layer. Nothing is changed, no link followed, no mount below entered; of one that is
 * in use, what goes meanwhile is passed over. Marks that begin with `trusted.` are seen by the superuser alone.
 * @throws {KernelError} ENOENT, ENOTDIR, EACCES
 */
export function readLayer(path: string): LayerContents {
  using root = openLayerRoot(path, "noatime");
  const walk: Walk = { marks: [], entries: 0 };
  readDirectory(walk, root.number, "");
  return { marks: walk.marks, entries: walk.entries, isAufsBranch: isAufsBranch(root.number) };
}

interface Walk {
  readonly marks: LayerMark[];
  entries: number;
}

const prefixes = ["trusted.overlay", "user.overlay"] as const;
type Prefix = (typeof prefixes)[number];

const reserved = ".wh.";

function readDirectory(walk: Walk, fd: number, path: Name): void {
  const attributes = attributesOf(fd, "");
  const opaque = addMarks(walk, fd, "", path === "" ? "." : path, "directory", attributes);
  const names: Name[] = [];
  const result = listDirectory(fd, (name) => names.push(name));
  if (result < 0) fail("readdir", path, result);
  for (const name of names.toSorted()) {
    const below = path === "" ? name : `${path}/${name}`;
    if (name === "." || name === "..") continue;
    if (name.startsWith(reserved)) addAufsMark(walk, name, path);
    else readEntry(walk, fd, name, below, opaque);
  }
}

/** @param marked the prefix by which empty files of this directory may be whiteouts */
function readEntry(walk: Walk, dirfd: number, name: Name, path: Name, marked: Prefix | undefined): void {
  const result = statName(dirfd, name);
  if (result === -E.NOENT) return;
  if (result < 0) fail("stat", path, result);
  const { type, size, isWhiteoutDevice } = stat;
  if (isWhiteoutDevice) {
    add(walk, { kind: "whiteout", path, type: "none", written: "device" });
    return;
  }
  if (type === S.IFDIR) {
    walk.entries++;
    enter(walk, dirfd, name, path);
    return;
  }
  const attributes = attributesOf(dirfd, name);
  if (type === S.IFREG && size === 0 && marked !== undefined && attributes.has(`${marked}.whiteout`)) {
    add(walk, { kind: "whiteout", path, type: "none", written: marked });
    return;
  }
  walk.entries++;
  addMarks(walk, dirfd, name, path, type === S.IFREG ? "file" : type === S.IFLNK ? "link" : "other", attributes);
}

function enter(walk: Walk, dirfd: number, name: Name, path: Name): void {
  const fd = openDirectoryName(dirfd, name);
  if (fd === -E.NOENT || fd === -E.NOTDIR || fd === -E.LOOP) return;
  if (fd < 0) fail("open", path, fd);
  try {
    readDirectory(walk, fd, path);
  } finally {
    closeFd(fd);
  }
}

function addAufsMark(walk: Walk, name: Name, directory: Name): void {
  const written = "aufs";
  const victim = name.slice(reserved.length);
  if (name === ".wh..wh..opq") add(walk, { kind: "opaque", path: directory || ".", type: "directory", written });
  else if (!victim.startsWith(reserved))
    add(walk, { kind: "whiteout", path: directory === "" ? victim : `${directory}/${victim}`, type: "none", written });
}

const list = Buffer.alloc(65536);

/** The names of its attributes; none where there can't be any, or it is gone. */
function attributesOf(dirfd: number, name: Name): ReadonlySet<Name> {
  const length = listXattrs(dirfd, name, list);
  if (length < 0 && length !== -E.OPNOTSUPP && length !== -E.NOENT) fail("listxattr", name, length);
  return new Set(length <= 0 ? [] : list.toString("latin1", 0, length).split("\0"));
}

/** @returns the prefix by which files in this directory may be whiteouts */
function addMarks(
  walk: Walk,
  fd: number,
  name: Name,
  path: Name,
  type: LayerMark["type"],
  attributes: ReadonlySet<Name>,
): Prefix | undefined {
  let marked: Prefix | undefined;
  for (const written of prefixes) {
    const value = (mark: string): Buffer | undefined =>
      attributes.has(`${written}.${mark}`) ? readMark(fd, name, attributeName(`${written}.${mark}`)) : undefined;
    const opaque = type === "directory" ? value("opaque")?.toString("latin1") : undefined;
    if (opaque === "y") add(walk, { kind: "opaque", path, type, written });
    if (opaque === "x") marked = written;
    const from = value("redirect")?.toString("latin1");
    if (from !== undefined) add(walk, { kind: "redirect", path, type, written, from: quotePath(from) });
    if (value("metacopy") !== undefined) add(walk, { kind: "metacopy", path, type, written });
    const origin = value("origin");
    if (origin !== undefined) add(walk, { kind: "origin", path, type, written, ...describeOrigin(origin) });
  }
  return marked;
}

function describeOrigin(mark: Buffer): Pick<LayerMark, "fileSystem" | "handle"> {
  const origin = decodeOrigin(mark);
  return origin === undefined ? {} : { fileSystem: origin.uuid.toString("hex"), handle: origin.bytes.toString("hex") };
}

function add(walk: Walk, mark: LayerMark): void {
  walk.marks.push({ ...mark, path: quotePath(mark.path) });
}
