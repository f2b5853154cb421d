import { createHash } from "node:crypto";
import { O, S } from "../../src/kernel/abi/file.ts";
import type { Fd } from "../../src/kernel/fd.ts";
import {
  isDirectory,
  openAt,
  openDirectory,
  readAll,
  readDirectory,
  readLinkAt,
  statAt,
} from "../../src/kernel/file.ts";
import { pathText } from "../../src/kernel/libc.ts";
import { getXattrAt, listXattrsAt } from "../../src/kernel/xattr.ts";

/**
 * One line for each thing in a tree, sorted: path, type and mode, owner, size, time in nanoseconds, what it links
 * to or holds, its extended attributes, which names are one inode, whether it has holes. Two trees are the same
 * where their descriptions are.
 */
export function describeTree(path: string): string[] {
  using root = openDirectory(path);
  const lines: string[] = [];
  const first = new Map<bigint, string>();
  describe(root, ".", ".", lines, first);
  return lines.toSorted();
}

function describe(dir: Fd, name: string | Buffer, path: string, lines: string[], first: Map<bigint, string>): void {
  const attr = statAt(dir, name);
  const type = attr.mode & S.IFMT;
  const words = [path, attr.mode.toString(8), `${attr.uid}:${attr.gid}`, `${attr.mtimeNs}`];
  if (type === S.IFCHR || type === S.IFBLK) words.push(`${attr.rdev.major},${attr.rdev.minor}`);
  if (type === S.IFLNK) words.push(`-> ${pathText(readLinkAt(dir, name))}`);
  if (type === S.IFREG)
    words.push(`${attr.size}`, contentOf(dir, name), attr.blocks * 512 < attr.size ? "holes" : "no holes");
  // In no order that means anything.
  for (const xattr of listXattrsAt(dir, name).toSorted((a, b) => Buffer.compare(a, b)))
    words.push(`${pathText(xattr)}=${getXattrAt(dir, name, xattr).toString("hex")}`);
  if (attr.nlink > 1 && !isDirectory(attr)) {
    words.push(`= ${first.get(attr.ino) ?? path}`);
    if (!first.has(attr.ino)) first.set(attr.ino, path);
  }
  lines.push(words.join(" "));
  if (!isDirectory(attr)) return;
  using open = openDirectory(name, dir);
  const entries = [...readDirectory(open)].toSorted((a, b) => Buffer.compare(a.name, b.name));
  for (const entry of entries) describe(open, entry.name, `${path}/${pathText(entry.name)}`, lines, first);
}

function contentOf(dir: Fd, name: string | Buffer): string {
  using file = openAt(dir, name, O.RDONLY | O.NOFOLLOW);
  return createHash("sha256").update(readAll(file)).digest("hex").slice(0, 16);
}

/** As describeTree(), but whether there are holes: a union's copying up makes and fills some. */
export function describeWithoutHoles(path: string): string[] {
  return describeTree(path).map((line) => line.replace(/ (no )?holes/, ""));
}
