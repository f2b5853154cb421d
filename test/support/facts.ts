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
import { getXattrAt, listXattrsAt } from "../../src/kernel/xattr.ts";
import type { Change } from "../../src/session/changes/types.ts";

/** What is to be known of one path, by aspect; an attribute as `xattr:NAME`. */
export type Facts = ReadonlyMap<string, string>;
export type TreeFacts = ReadonlyMap<string, Facts>;

/** Which names are one inode is a fact, too: "links" has another name for each inode, or none where there is but one. */
const inode = "inode";

/** All of a tree, by reading all of it: paths as bytes, one character each; the root is "". */
export function factsOf(root: Fd): TreeFacts {
  const tree = new Map<string, Facts>();
  describe(root, "", tree);
  return tree;
}

function describe(dir: Fd, path: string, tree: Map<string, Facts>): void {
  tree.set(path, factsAt(dir, Buffer.from(".")));
  for (const { name } of readDirectory(dir)) {
    const below = path === "" ? name.toString("latin1") : `${path}/${name.toString("latin1")}`;
    const attr = statAt(dir, name);
    if (isDirectory(attr)) {
      using open = openDirectory(name, dir);
      describe(open, below, tree);
    } else {
      tree.set(below, factsAt(dir, name));
    }
  }
}

function factsAt(dir: Fd, name: Buffer): Facts {
  const attr = statAt(dir, name);
  const type = attr.mode & S.IFMT;
  const facts = new Map([
    ["type", `${type}`],
    ["mode", attr.mode.toString(8)],
    ["owner", `${attr.uid}:${attr.gid}`],
    ["time", `${attr.mtimeNs}`],
  ]);
  if (type !== S.IFDIR) facts.set(inode, `${attr.ino}`);
  if (type === S.IFCHR || type === S.IFBLK) facts.set("device", `${attr.rdev.major}:${attr.rdev.minor}`);
  if (type === S.IFLNK) facts.set("target", readLinkAt(dir, name).toString("latin1"));
  if (type === S.IFREG) {
    using file = openAt(dir, name, O.RDONLY | O.NOFOLLOW);
    facts.set("content", createHash("sha256").update(readAll(file, attr.size)).digest("hex"));
  }
  for (const attribute of listXattrsAt(dir, name)) {
    const shown = attribute.toString("latin1");
    if (!shown.startsWith("trusted.overlay."))
      facts.set(`xattr:${shown}`, getXattrAt(dir, name, attribute).toString("hex"));
  }
  return facts;
}

/** What the list of changes makes of the tree before, where `after` says no more than what the list says is new. */
export function applyChanges(before: TreeFacts, after: TreeFacts, changes: readonly Change[]): Map<string, Facts> {
  const deleted = new Set(changes.flatMap((one) => (one.kind === "deleted" ? [one.was ?? one.path] : [])));
  const moves = changes.flatMap((one) => (one.kind === "renamed" ? [[one.from, one.path] as const] : []));
  const result = new Map<string, Facts>();
  for (const [path, facts] of before) {
    if (deleted.delete(path)) continue;
    const to = movedPath(path, moves);
    if (result.has(to)) throw new Error(`${to} is there twice`);
    result.set(to, facts);
  }
  if (deleted.size > 0) throw new Error(`deleted, but not there: ${[...deleted].join(", ")}`);
  for (const change of changes) applyOne(change, result, after);
  for (const change of changes) applyLinks(change, result);
  return result;
}

/** Which inode a file is now: a new one, that of another name, or the one that it was. */
function applyLinks(change: Change, result: Map<string, Facts>): void {
  const facts = result.get(change.path);
  if (change.kind === "deleted" || facts === undefined || !facts.has(inode)) return;
  const isNew = change.kind === "added" || change.kind === "type" || change.aspects.includes("links");
  const other = change.linkTo === undefined ? `new ${change.path}` : result.get(change.linkTo)?.get(inode);
  if (other === undefined) throw new Error(`${change.path}: linked to ${change.linkTo}, which isn't there`);
  if (isNew) result.set(change.path, new Map([...facts, [inode, other]]));
  else if (change.linkTo !== undefined && facts.get(inode) !== other)
    throw new Error(`${change.path}: was not linked to ${change.linkTo}`);
}

function movedPath(path: string, moves: readonly (readonly [string, string])[]): string {
  let best: readonly [string, string] | undefined;
  for (const move of moves) {
    const isInside = path === move[0] || path.startsWith(`${move[0]}/`);
    if (isInside && (best === undefined || move[0].length > best[0].length)) best = move;
  }
  return best === undefined ? path : best[1] + path.slice(best[0].length);
}

function applyOne(change: Change, result: Map<string, Facts>, after: TreeFacts): void {
  if (change.kind === "deleted") return;
  const { path } = change;
  const now = after.get(path);
  if (now === undefined) throw new Error(`${change.kind}, but not there: ${path}`);
  const was = result.get(path);
  if ((change.kind === "added") === (was !== undefined))
    throw new Error(`${change.kind} ${path}: ${was === undefined}`);
  if (change.kind === "added" || change.kind === "type") {
    if (was?.get("type") === now.get("type")) throw new Error(`${path} has the type that it had`);
    result.set(path, now);
    return;
  }
  const facts = new Map(was);
  for (const aspect of change.aspects) {
    const value = now.get(aspect);
    if (aspect !== "links" && facts.get(aspect) === value) throw new Error(`${path}: ${aspect} is what it was`);
    if (value === undefined) facts.delete(aspect);
    else facts.set(aspect, value);
  }
  result.set(path, facts);
}

/** Lines to be compared: an inode is called by the first of its names. */
export function factLines(tree: TreeFacts): string[] {
  const names = new Map<string, string>();
  const lines: string[] = [];
  for (const path of [...tree.keys()].toSorted()) {
    const words = Array.from(tree.get(path) ?? [], ([aspect, value]) => {
      if (aspect !== inode) return `${aspect}=${value}`;
      if (!names.has(value)) names.set(value, path);
      return `${inode}=${names.get(value)}`;
    });
    lines.push(`${JSON.stringify(path)} ${words.toSorted().join(" ")}`);
  }
  return lines;
}
