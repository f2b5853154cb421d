import { E } from "../kernel/abi/errno.ts";
import { S } from "../kernel/abi/file.ts";
import { fail, must, type Name, stat, statName } from "../kernel/at.ts";
import type { Dialect, DirectoryMarks } from "./dialect/dialect.ts";
import { isMarkedWhiteout, OverlayDialect, readMark } from "./dialect/overlay.ts";
import { LayerDirectory, openDirectoryName } from "./directory.ts";

/**
 * What one name means in one directory of one layer, and so whether the search goes on below it.
 * `present`: `stat` holds its attributes until the next call.
 */
export type Presence = "absent" | "present" | "whiteout";

export function probe(directory: LayerDirectory, name: Name): Presence {
  const dialect = directory.layer.dialect;
  if (dialect.isReserved(name)) return "absent";
  const result = statName(directory.fd, name);
  if (result === -E.NOENT || result === -E.NAMETOOLONG)
    return hasWhiteoutBeside(directory.fd, dialect, name) ? "whiteout" : "absent";
  if (result < 0) return fail("stat", `${directory.path}/${name}`, result);
  if (stat.isWhiteoutDevice) return "whiteout";
  if (!directory.hasMarkedWhiteouts || stat.type !== S.IFREG || stat.size !== 0) return "present";
  if (dialect instanceof OverlayDialect && isMarkedWhiteout(directory.fd, name, dialect.marks)) return "whiteout";
  must("stat", name, statName(directory.fd, name));
  return "present";
}

/** Whether there is another entry that deletes `name`. */
export function hasWhiteoutBeside(dirfd: number, dialect: Dialect, name: Name): boolean {
  const whiteout = dialect.whiteoutName(name);
  if (whiteout === undefined) return false;
  const result = statName(dirfd, whiteout);
  if (result < 0 && result !== -E.NOENT) fail("stat", whiteout, result);
  return result === 0;
}

/** Whether what probe() has found, and `stat` describes, stands for a device 0:0 of a union above. */
export function isNestedWhiteout(directory: LayerDirectory, name: Name): boolean {
  if (!directory.hasNestedWhiteouts || stat.type !== S.IFREG || stat.size !== 0) return false;
  const { dialect } = directory.layer;
  return dialect instanceof OverlayDialect && readMark(directory.fd, name, dialect.marks.nestedWhiteout) !== undefined;
}

export interface OpenedDirectory {
  readonly directory: LayerDirectory;
  readonly marks: DirectoryMarks;
}

/** Opens a directory that probe() has found, and reads its marks. A link that has taken its place is an error. */
export function openMarked(parent: LayerDirectory, name: Name): OpenedDirectory {
  const fd = must("open", name, openDirectoryName(parent.fd, name));
  const directory = new LayerDirectory(parent.layer, parent, name, fd);
  const { dialect } = parent.layer;
  let marks = dialect.readMarks(fd);
  if (!marks.isOpaque && hasWhiteoutBeside(parent.fd, dialect, name)) marks = { ...marks, isOpaque: true };
  directory.hasMarkedWhiteouts = marks.hasMarkedWhiteouts;
  directory.hasNestedWhiteouts = marks.hasNestedWhiteouts;
  directory.isImpure = marks.isImpure;
  return { directory, marks };
}
