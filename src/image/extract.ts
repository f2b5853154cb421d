import { ftruncateSync, writeSync } from "node:fs";
import { UserError } from "../error.ts";
import { O, S } from "../kernel/abi/file.ts";
import { isErrno } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import {
  isDirectory,
  linkAt,
  makeDirectoryAt,
  makeNodeAt,
  openAt,
  statAt,
  symlinkAt,
  unlinkAt,
} from "../kernel/file.ts";
import { pathText } from "../kernel/libc.ts";
import { isMachinesUserSpace } from "../kernel/userspace.ts";
import { removeTree } from "../layer/remove.ts";
import { applyAttributes, AttributeProblem, isLeftOut } from "./attributes.ts";
import { LateAttributes } from "./late.ts";
import { openInside, parseInnerPath, Parents, PathProblem, splitPath } from "./parent.ts";
import { noSpace } from "./space.ts";
import type { TarHeader } from "./tar/entry.ts";
import type { TarEntry, TarPiece } from "./tar/read.ts";

export interface ExtractOptions {
  /** How messages name the archive. */
  readonly archive: string;
  readonly onWarning: (text: string) => void;
}

/**
 * Unpacks an archive into an empty directory that nobody else writes to. The archive is hostile: what would land
 * outside stops it, links are never written through, and of two entries with one name the later one stays.
 * @throws {UserError} data: a bad entry, by its name; no-space; unsupported: the file system can't keep something
 */
export async function extractTar(entries: AsyncIterable<TarEntry>, root: Fd, options: ExtractOptions): Promise<void> {
  const { archive, onWarning } = options;
  using parents = new Parents(root);
  const target: Target = { root, parents, late: new LateAttributes(), leftOut: { devices: 0 } };
  let marked = 0;
  for await (const { header, body } of entries) {
    try {
      const isMarked = header.xattrs.some(isLeftOut);
      if (isMarked) marked++;
      await placeEntry(target, isMarked ? withoutMarks(header) : header, body);
    } catch (error) {
      throw explain(error, root, pathText(header.name), archive);
    }
  }
  target.late.apply(root, (error, path) => explain(error, root, path, archive));
  const { devices } = target.leftOut;
  if (marked > 0)
    onWarning(
      `left out overlayfs's own attributes ${isMachinesUserSpace() ? "(trusted.overlay.*) " : "and those that only root may set "}of ${marked} entries`,
    );
  if (devices > 0)
    onWarning(`left out ${devices} devices, which only root may make: sessions have the machine's in /dev`);
}

function withoutMarks(header: TarHeader): TarHeader {
  return { ...header, xattrs: header.xattrs.filter((xattr) => !isLeftOut(xattr)) };
}

/** What isn't about the entry passes: the reader's own errors, and the reason why somebody stopped it. */
function explain(error: unknown, root: Fd, path: string, archive: string): unknown {
  const task = `unpack ${path} from ${archive}`;
  if (error instanceof PathProblem) {
    const hint = "nothing of this archive was kept";
    return new UserError("data", `${archive}: the entry ${path} ${error.message}`, { hint });
  }
  if (error instanceof AttributeProblem) {
    return new UserError(error.code, `${task}: ${error.message}`, { hint: error.hint, cause: error });
  }
  if (isErrno(error, "ENOSPC", "EDQUOT")) return noSpace(root, task, error);
  if (!(error instanceof Error && "syscall" in error)) return error;
  const code = isErrno(error, "ENAMETOOLONG") ? "data" : "failed";
  return new UserError(code, `${task}: ${error.message}`, { cause: error });
}

interface Target {
  readonly root: Fd;
  readonly parents: Parents;
  readonly late: LateAttributes;
  readonly leftOut: { devices: number };
}

const nodeTypes = { character: S.IFCHR, block: S.IFBLK, fifo: S.IFIFO } as const;

async function placeEntry(target: Target, header: TarHeader, body: AsyncIterable<TarPiece>): Promise<void> {
  const path = parseInnerPath(header.name);
  if ((header.kind === "character" || header.kind === "block") && !isMachinesUserSpace()) {
    target.leftOut.devices++;
    return;
  }
  target.late.note(path, header);
  if (path === "") {
    if (header.kind !== "directory") throw new PathProblem("stands for the root itself and is no directory");
    return;
  }
  const { parent, base } = splitPath(path);
  const dir = target.parents.open(parent);
  const { kind } = header;
  switch (kind) {
    case "file":
      await placeFile(target, dir, base, header, body);
      break;
    case "hardlink":
      placeHardLink(target, header, dir, base);
      break;
    case "directory":
      placeDirectory(target, dir, base);
      break;
    case "symlink":
      makeOver(target, dir, base, () => symlinkAt(header.linkName, dir, base));
      applyAttributes(dir, base, header, "link");
      break;
    case "character":
    case "block":
    case "fifo":
      makeOver(target, dir, base, () => makeNodeAt(dir, base, nodeTypes[kind] | 0o600, header.device));
      applyAttributes(dir, base, header, "other");
      break;
  }
}

async function placeFile(
  target: Target,
  dir: Fd,
  base: Buffer,
  header: TarHeader,
  body: AsyncIterable<TarPiece>,
): Promise<void> {
  const flags = O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW;
  using file = makeOver(target, dir, base, () => openAt(dir, base, flags, { mode: 0o600 }));
  for await (const { offset, data } of body) {
    for (let done = 0; done < data.length;)
      done += writeSync(file.number, data, done, data.length - done, offset + done);
  }
  if (header.sparse !== undefined) ftruncateSync(file.number, header.size);
  applyAttributes(dir, base, header, "other");
}

/** Its attributes come late; until then only the superuser can look into it. */
function placeDirectory(target: Target, dir: Fd, base: Buffer): void {
  try {
    makeDirectoryAt(dir, base, 0o700);
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
    if (isDirectory(statAt(dir, base))) return;
    remove(target, dir, base);
    makeDirectoryAt(dir, base, 0o700);
  }
}

function placeHardLink(target: Target, header: TarHeader, dir: Fd, base: Buffer): void {
  const linked = `is a link to ${pathText(header.linkName)}, which`;
  try {
    const from = splitPath(parseInnerPath(header.linkName));
    using linkedDir = openInside(target.root, from.parent);
    const link = () => linkAt(linkedDir, from.base, dir, base);
    try {
      link();
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error;
      if (statAt(linkedDir, from.base).ino === statAt(dir, base).ino) return;
      remove(target, dir, base);
      link();
    }
  } catch (error) {
    if (error instanceof PathProblem) throw new PathProblem(`${linked} ${error.message}`);
    if (isErrno(error, "ENOENT")) throw new PathProblem(`${linked} isn't there`);
    if (isErrno(error, "EPERM")) throw new PathProblem(`${linked} is a directory`);
    throw error;
  }
}

/** Makes an entry; what already has its name gives way. */
function makeOver<T>(target: Target, dir: Fd, base: Buffer, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
  }
  remove(target, dir, base);
  return make();
}

function remove({ parents }: Target, dir: Fd, base: Buffer): void {
  parents.invalidate();
  try {
    unlinkAt(dir, base);
  } catch (error) {
    if (!isErrno(error, "EISDIR")) throw error;
    removeTree(dir, base);
  }
}
