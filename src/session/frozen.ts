import { mkdirSync, readdirSync, readlinkSync, symlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { lock, openDirectory, renameAt, sync, unlinkAt } from "../kernel/file.ts";
import { removeTree } from "../layer/remove.ts";
import { randomHex } from "./id.ts";
import type { Layers } from "./layers.ts";
import { frozenDir } from "./paths.ts";

/**
 * What forks have frozen belongs to no session. A generation is a directory with what one fork froze: `N/upper` for each
 * union, `refs/` with a name for everyone who has it as lowers, and `parent`, a symbolic link to the generation below it, of
 * which it is one of the `refs`. A session's directory has a link to its newest generation, and for the time of a fork a
 * second one. Links are made before what they lead to, and removed after it: so whoever clears a session away,
 * and is killed and repeated, finds all that is its own.
 */

const folder = "frozen";
const link = "frozen/now";
const nextLink = "frozen/next";

/** Where a new generation is to be: on the file system of the uppers. */
export function frozenPlace({ upper }: Pick<Layers, "upper">): string {
  const name = `${randomHex()}${randomHex()}`;
  if (upper.kind === "directory") return `${upper.path}/fallthru-frozen-${name}`;
  unless(["EEXIST"], () => mkdirSync(frozenDir, { mode: 0o700 }));
  return `${frozenDir}/${name}`;
}

/** The newest generation of a session; undefined where it was never forked. */
export function generationOf(dir: Fd): string | undefined {
  return readLink(`${dir.procPath}/${link}`);
}

/** Makes a generation for two sessions, over the first one's present one. Theirs it is by their links from the start. */
export function makeGeneration(path: string, owner: Owner, other: Owner): void {
  addLink(owner.dir, nextLink, path);
  addLink(other.dir, link, path);
  mkdirSync(path, { mode: 0o700 });
  const parent = generationOf(owner.dir);
  if (parent !== undefined) symlinkSync(parent, `${path}/parent`);
  mkdirSync(`${path}/refs`, { mode: 0o700 });
  if (parent !== undefined) addRef(parent, generationRef(path));
  for (const { id } of [owner, other]) addRef(path, id);
}

export interface Owner {
  readonly id: string;
  readonly dir: Fd;
}

/** Gives a session the generation of another that is held: nothing was frozen. */
export function shareGeneration(path: string, { id, dir }: Owner): void {
  addLink(dir, link, path);
  addRef(path, id);
  using open = openDirectory(path);
  sync(open);
}

/**
 * Decides a session's two links, after its record is: whichever of them the record has no use for goes, and what is its
 * own alone with it.
 * @param lowers all that the record names
 */
export function settleGenerations({ id, dir }: Owner, lowers: readonly string[]): void {
  const next = readLink(`${dir.procPath}/${nextLink}`);
  if (next === undefined) return;
  if (!lowers.some((lower) => lower.startsWith(`${next}/`))) {
    dropGeneration(next, id);
    unlinkAt(dir, nextLink);
    return;
  }
  const before = generationOf(dir);
  // The new one keeps that by a name of its own.
  if (before !== undefined && before !== next) removeRef(before, id);
  renameAt(dir, nextLink, dir, link);
}

/** Gives up whatever a session has of frozen layers: those that nobody else has are deleted. */
export function dropGenerations({ id, dir }: Owner): void {
  for (const name of [nextLink, link]) {
    const path = readLink(`${dir.procPath}/${name}`);
    if (path === undefined) continue;
    dropGeneration(path, id);
    unlinkAt(dir, name);
  }
}

/** From the newest; whoever is killed here does it again, for the link that led here is still there. */
function dropGeneration(path: string, ref: string): void {
  const opened = unless(["ENOENT"], () => openDirectory(path));
  if (opened === undefined) return;
  using generation = opened;
  removeRef(path, ref);
  if (hasRefs(path)) return;
  for (const name of readdirSync(generation.procPath)) if (/^\d+$/.test(name)) removeTree(generation, name);
  // Until what a session had mounted before the fork keeps nobody from unmounting what it lay on; see fork/letgo.ts.
  lock(generation, "exclusive");
  const parent = readLink(`${path}/parent`);
  if (parent !== undefined) dropGeneration(parent, generationRef(path));
  using place = openDirectory(dirname(path));
  removeTree(place, basename(path));
  // After a power cut what is still there must have its link.
  sync(place);
}

/** It may lead to another disk: that it is there comes first. */
function addLink(dir: Fd, name: string, path: string): void {
  unless(["EEXIST"], () => mkdirSync(`${dir.procPath}/${folder}`, { mode: 0o700 }));
  symlinkSync(path, `${dir.procPath}/${name}`);
  using open = openDirectory(folder, dir);
  sync(open);
  sync(dir);
}

/** No session's name begins with a dot. */
function generationRef(path: string): string {
  return `.${basename(path)}`;
}

function addRef(path: string, name: string): void {
  symlinkSync("session", `${path}/refs/${name}`);
}

function removeRef(path: string, name: string): void {
  unless(["ENOENT", "ENOTDIR"], () => unlinkAt(null, `${path}/refs/${name}`));
}

function hasRefs(path: string): boolean {
  return (unless(["ENOENT"], () => readdirSync(`${path}/refs`)) ?? []).length > 0;
}

function readLink(path: string): string | undefined {
  return unless(["ENOENT"], () => readlinkSync(path));
}
