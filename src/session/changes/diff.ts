import { S } from "../../kernel/abi/file.ts";
import type { Name } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import { type Attr, isDirectory, lock, openDirectory } from "../../kernel/file.ts";
import { quotePath } from "../../layer/quote.ts";
import { checkSessionId } from "../id.ts";
import { noSession } from "../names.ts";
import { sessionDir } from "../paths.ts";
import { readRecord } from "../record.ts";
import { prepareState } from "../state.ts";
import { runsLater } from "./later.ts";
import { pathInSession } from "./names.ts";
import { type PackageChange, packageChanges } from "./packages.ts";
import { type FilePatch, makePatches } from "./patch/patch.ts";
import { readChanges } from "./read.ts";
import { openTrees } from "./trees.ts";
import type { Change, UnionTrees } from "./types.ts";

/** A path as text; see layer/quote.ts. */
export { quotePath } from "../../layer/quote.ts";

/** A change as people and programs are told of it; paths are absolute and quoted as git does it, where they must be. */
export interface ShownChange {
  readonly change: Change["kind"];
  readonly path: string;
  /** Of what was renamed: where it was. */
  readonly from?: string;
  readonly aspects?: readonly string[];
  readonly linkTo?: string;
  readonly before?: ShownFile;
  readonly after?: ShownFile;
  /** Who runs it later without being asked: `cron`, `setuid`. */
  readonly runsLater?: string;
}

export interface ShownFile {
  readonly type: string;
  /** Four octal digits. */
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
}

/** What a session has changed, while its trees are open. */
export interface SessionDiff {
  readonly changes: readonly ShownChange[];
  readonly packages: readonly PackageChange[];
  /** How many directories differ in nothing but their times, which is because something in them came or went. */
  readonly timesOnly: number;
  /** The same in short. */
  readonly briefly: readonly BriefChange[];
  patches(): Iterable<FilePatch>;
}

/** Paths are bytes, one character each, unquoted; the one that something was renamed from comes first. */
export interface BriefChange {
  readonly change: Change["kind"];
  readonly paths: readonly Name[];
}

export interface DiffOptions {
  /** Only what is there, or below; all of it where there is none. Without a slash in front they are from the session's root. */
  readonly paths?: readonly string[];
  /** Also directories in which only the times differ. */
  readonly times?: boolean;
  /** The caller ends the session, and has locked its directory. */
  readonly isLocked?: boolean;
}

/**
 * Looks at what a session has changed. It can't be ended until `use` is done; processes may go on in it.
 * @throws {UserError} not-found; failed: it isn't mounted; unsupported
 */
export function diffSession<T>(id: string, options: DiffOptions, use: (diff: SessionDiff) => T): T {
  checkSessionId(id);
  const wanted = wantedPaths(options.paths ?? []);
  prepareState();
  using dir = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  if (dir !== undefined && options.isLocked !== true) lock(dir, "shared");
  const record = dir === undefined ? undefined : readRecord(id);
  if (record === undefined) throw noSession(id);
  using trees = openTrees(record);
  const all = readChanges(trees);
  const found = wanted.length === 0 ? all : all.filter((change) => isWanted(trees, change, wanted));
  const changes = options.times === true ? found : found.filter((change) => !isTimesOnly(change));
  return use({
    get changes() {
      return changes.map((change) => show(trees, change));
    },
    packages: packageChanges(trees, found),
    timesOnly: found.length - changes.length,
    briefly: changes.map((change) => ({ change: change.kind, paths: namesOf(trees, change) })),
    patches: () => makePatches(trees, found),
  });
}

/** A directory in which something came or went; nothing that anybody did to it itself. */
export function isTimesOnly(change: Change): boolean {
  if (change.kind !== "modified" || change.aspects.length !== 1 || change.aspects[0] !== "time") return false;
  return isDirectory(change.after);
}

/** What somebody has asked for, absolute, as bytes. */
export function wantedPaths(paths: readonly string[]): Name[] {
  return paths.map(pathInSession);
}

/** @param wanted wantedPaths(); none: all */
export function isWanted(trees: readonly UnionTrees[], change: Change, wanted: readonly Name[]): boolean {
  if (wanted.length === 0) return true;
  return namesOf(trees, change).some((name) =>
    wanted.some((path) => path === "/" || name === path || name.startsWith(`${path}/`)),
  );
}

/** @returns where it was, if that is elsewhere, and where it is */
function namesOf(trees: readonly UnionTrees[], change: Change): Name[] {
  const path = absolutePath(trees, change.union, change.path);
  return change.kind === "renamed" ? [absolutePath(trees, change.union, change.from), path] : [path];
}

export function absolutePath(trees: readonly UnionTrees[], union: number, path: Name): Name {
  const place = trees[union]?.at ?? "/";
  if (place === "/") return `/${path}`;
  const at = Buffer.from(place).toString("latin1");
  return path === "" ? at : `${at}/${path}`;
}

export function show(trees: readonly UnionTrees[], change: Change): ShownChange {
  const tree = trees[change.union];
  const path = absolutePath(trees, change.union, change.path);
  const later = tree && runsLater(tree, change, path);
  const quoted = (below: Name): string => quotePath(absolutePath(trees, change.union, below));
  return {
    change: change.kind,
    path: quotePath(path),
    ...(change.kind === "renamed" ? { from: quoted(change.from) } : {}),
    ...("aspects" in change ? { aspects: change.aspects.map(quotePath) } : {}),
    ...("linkTo" in change && change.linkTo !== undefined ? { linkTo: quoted(change.linkTo) } : {}),
    ...("before" in change ? { before: showFile(change.before) } : {}),
    ...("after" in change ? { after: showFile(change.after) } : {}),
    ...(later === undefined ? {} : { runsLater: later }),
  };
}

const types: Readonly<Record<number, string>> = {
  [S.IFREG]: "file",
  [S.IFDIR]: "directory",
  [S.IFLNK]: "link",
  [S.IFCHR]: "character device",
  [S.IFBLK]: "block device",
  [S.IFIFO]: "fifo",
  [S.IFSOCK]: "socket",
};

function showFile({ mode, uid, gid, size, mtimeNs }: Attr): ShownFile {
  const type = types[mode & S.IFMT] ?? "other";
  return { type, mode: (mode & 0o7777).toString(8).padStart(4, "0"), uid, gid, sizeBytes: size, mtimeNs };
}
