import { E } from "../kernel/abi/errno.ts";
import { DT, S } from "../kernel/abi/file.ts";
import { fail, type Name, stat, statName } from "../kernel/at.ts";
import { unless } from "../kernel/error.ts";
import type { LayerDirectory } from "../layer/directory.ts";
import { isNestedWhiteout, probe } from "../layer/probe.ts";
import { type Core, encodeIno } from "./core.ts";
import { find } from "./find.ts";
import type { Inode } from "./inode.ts";
import { answeredEntries } from "./remote.ts";

/** The entries of a directory at one time. */
export interface Listing {
  readonly names: readonly Name[];
  readonly inos: readonly number[];
  /** DT_ values: the S_IF bits, shifted. */
  readonly types: readonly number[];
}

/** Reads what a directory merges; `.` and `..` are first. */
export function list(core: Core, directory: Inode): Listing {
  const parent = directory.links[0]?.parent ?? directory;
  const names: Name[] = [".", ".."];
  const inos = [directory.ino, parent.ino];
  const types: number[] = [DT.DIR, DT.DIR];
  if (!directory.isDead) {
    const add = (name: Name, ino: number, type: number): void => {
      names.push(name);
      inos.push(ino);
      types.push(type);
    };
    readLayers(core, directory, add);
  }
  return { names, inos, types };
}

type Add = (name: Name, ino: number, type: number) => void;

function readLayers(core: Core, inode: Inode, add: Add): void {
  const seen = inode.isMerged ? new Set<Name>() : undefined;
  if (inode.upperDir !== undefined) readLayer(core, inode, inode.upperDir, seen, add);
  for (const directory of inode.lowerDirs) readLayer(core, inode, directory, seen, add);
}

function readLayer(core: Core, inode: Inode, directory: LayerDirectory, seen: Set<Name> | undefined, add: Add): void {
  const { layer } = directory;
  const { fileSystem, dialect, isUpper } = layer;
  const deleted: Name[] = [];
  const answered = answeredEntries(core, directory);
  const each = (name: Name, inoHigh: number, inoLow: number, type: number): void => {
    if (name === "." || name === "..") return;
    if (dialect.isReserved(name)) {
      const victim = dialect.deletedBy(name);
      if (victim !== undefined) deleted.push(victim);
      return;
    }
    if (seen?.has(name) === true) return;
    let shown = type;
    if (type === DT.CHR || type === DT.UNKNOWN || (directory.hasMarkedWhiteouts && type === DT.REG)) {
      shown = probe(directory, name) === "present" ? typeOf(directory, name) : -1;
    }
    if (
      directory.hasNestedWhiteouts &&
      shown === DT.REG &&
      statName(directory.fd, name) === 0 &&
      isNestedWhiteout(directory, name)
    ) {
      shown = DT.CHR;
    }
    seen?.add(name);
    if (shown < 0) return;
    const ino = encodeIno(core.inoSpace, fileSystem, inoHigh, inoLow);
    add(name, isUpper ? upperEntryIno(core, inode, name, shown, ino) : ino, shown);
  };
  const result = answered?.status ?? directory.list(each);
  for (const entry of answered?.entries ?? []) each(...entry);
  if (result < 0) fail("readdir", inode.path, result);
  for (const name of deleted) seen?.add(name);
}

function typeOf(directory: LayerDirectory, name: Name): number {
  if (statName(directory.fd, name) < 0) return -1;
  return (stat.mode & S.IFMT) >> 12;
}

/** st_ino of what lies in the upper: where it may come from below, that says it. */
function upperEntryIno(core: Core, inode: Inode, name: Name, type: number, ino: number): number {
  const known = inode.children?.get(name);
  if (known !== undefined) return known.inode.ino;
  if (!inode.isImpure && (type !== DT.DIR || inode.lowerDirs.length === 0)) return core.origins.of(ino) ?? ino;
  // What can't be looked up is listed all the same, and spoils nothing else.
  const found = unless(["EIO", "ELOOP", "ENAMETOOLONG", "ESTALE"], () => find(core, inode, name));
  return found?.ino ?? ino;
}

export function countSubdirectories(core: Core, directory: Inode): number {
  return list(core, directory).types.reduce((sum, type) => sum + (type === DT.DIR ? 1 : 0), -2);
}

/** @throws {KernelError} ENOTEMPTY */
export function checkEmpty(core: Core, directory: Inode): void {
  if (list(core, directory).names.length > 2) fail("rmdir", directory.path, -E.NOTEMPTY);
}
