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
import type { Aspect, Change, Detail, UnionTrees } from "./types.ts";

/** Paths as text; see layer/quote.ts. */
export { arePlain, quotePath } from "../../layer/quote.ts";

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

/** The same, whether of what there isn't it says nothing or "undefined". */
export type ToldChange = Pick<ShownChange, "change" | "path"> & {
  readonly [K in Exclude<keyof ShownChange, "change" | "path">]?: ShownChange[K] | undefined;
};

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
  /** The same, of which each is there until the next one is asked for. */
  oneByOne(): Iterable<ToldChange>;
  readonly packages: readonly PackageChange[];
  /** How many directories differ in nothing but their times, which is because something in them came or went. */
  readonly timesOnly: number;
  /** The same in short. */
  readonly briefly: readonly BriefChange[];
  readonly count: number;
  /** The same, without a list of it. */
  eachBriefly(use: (change: Change["kind"], path: Name, from: Name | undefined) => void): void;
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
  /** "kinds": neither `changes` nor patches() are asked for. */
  readonly detail?: Detail;
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
  const all = readChanges(trees, options.detail);
  const found = wanted.length === 0 ? all : all.filter((change) => isWanted(trees, change, wanted));
  const changes = options.times === true ? found : found.filter((change) => !isTimesOnly(change));
  return use({
    get changes() {
      return changes.map((change) => show(trees, change));
    },
    oneByOne: () => showEach(trees, changes),
    packages: packageChanges(trees, found),
    timesOnly: found.length - changes.length,
    get briefly() {
      return changes.map((change) => ({ change: change.kind, paths: namesOf(trees, change) }));
    },
    count: changes.length,
    eachBriefly: (use) => eachBriefly(trees, changes, use),
    patches: () => makePatches(trees, found),
  });
}

function eachBriefly(
  trees: readonly UnionTrees[],
  changes: readonly Change[],
  use: Parameters<SessionDiff["eachBriefly"]>[0],
): void {
  for (const change of changes) {
    const { kind, union, path } = change;
    const from = kind === "renamed" ? absolutePath(trees, union, change.from) : undefined;
    use(kind, absolutePath(trees, union, path), from);
  }
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

function* showEach(trees: readonly UnionTrees[], changes: readonly Change[]): Generator<ToldChange> {
  const shown = new Shown(trees);
  for (const change of changes) yield shown.of(change);
}

export function show(trees: readonly UnionTrees[], change: Change): ShownChange {
  const { path, from, aspects, linkTo, before, after, runsLater: later } = new Shown(trees).of(change);
  return {
    change: change.kind,
    path,
    ...(from === undefined ? {} : { from }),
    ...(aspects === undefined ? {} : { aspects }),
    ...(linkTo === undefined ? {} : { linkTo }),
    ...(before === undefined ? {} : { before: whole(before) }),
    ...(after === undefined ? {} : { after: whole(after) }),
    ...(later === undefined ? {} : { runsLater: later }),
  };
}

/** Says of one change after the other what it is asked for. */
class Shown implements ToldChange {
  readonly #trees: readonly UnionTrees[];
  #change: Change | undefined;
  #path: Name = "";
  change: Change["kind"] = "added";

  constructor(trees: readonly UnionTrees[]) {
    this.#trees = trees;
  }

  of(change: Change): this {
    this.#change = change;
    this.#path = absolutePath(this.#trees, change.union, change.path);
    this.change = change.kind;
    return this;
  }

  get path(): string {
    return quotePath(this.#path);
  }
  get from(): string | undefined {
    const change = this.#change;
    return change?.kind === "renamed" ? quotePath(absolutePath(this.#trees, change.union, change.from)) : undefined;
  }
  get aspects(): readonly string[] | undefined {
    const change = this.#change;
    return change !== undefined && "aspects" in change ? quoteAspects(change.aspects) : undefined;
  }
  get linkTo(): string | undefined {
    const change = this.#change;
    if (change === undefined || !("linkTo" in change) || change.linkTo === undefined) return undefined;
    return quotePath(absolutePath(this.#trees, change.union, change.linkTo));
  }
  get before(): ShownFile | undefined {
    const change = this.#change;
    return change !== undefined && "before" in change ? new ToldFile(change.before) : undefined;
  }
  get after(): ShownFile | undefined {
    const change = this.#change;
    return change !== undefined && "after" in change ? new ToldFile(change.after) : undefined;
  }
  get runsLater(): string | undefined {
    const change = this.#change;
    const tree = change && this.#trees[change.union];
    return tree && runsLater(tree, change, this.#path);
  }
}

/** Most changes share one of a few lists. */
const quotedAspects = new WeakMap<readonly Aspect[], readonly string[]>();

function quoteAspects(aspects: readonly Aspect[]): readonly string[] {
  const known = quotedAspects.get(aspects);
  if (known !== undefined) return known;
  const quoted = aspects.map(quotePath);
  quotedAspects.set(aspects, quoted);
  return quoted;
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

/** Says of a file what it is asked for: a list of changes asks for next to nothing. */
class ToldFile implements ShownFile {
  readonly #attr: Attr;

  constructor(attr: Attr) {
    this.#attr = attr;
  }

  get type(): string {
    return types[this.#attr.mode & S.IFMT] ?? "other";
  }
  get mode(): string {
    return (this.#attr.mode & 0o7777).toString(8).padStart(4, "0");
  }
  get uid(): number {
    return this.#attr.uid;
  }
  get gid(): number {
    return this.#attr.gid;
  }
  get sizeBytes(): number {
    return this.#attr.size;
  }
  get mtimeNs(): bigint {
    return this.#attr.mtimeNs;
  }
}

function whole({ type, mode, uid, gid, sizeBytes, mtimeNs }: ShownFile): ShownFile {
  return { type, mode, uid, gid, sizeBytes, mtimeNs };
}
