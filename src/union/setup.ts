import { E } from "../kernel/abi/errno.ts";
import { S } from "../kernel/abi/file.ts";
import { chmodName, fail, mkdirName, must, type Name, stat, statFd } from "../kernel/at.ts";
import type { Fd } from "../kernel/fd.ts";
import { UserError } from "../error.ts";
import { AufsDialect, markAufsBranch } from "../layer/dialect/aufs.ts";
import type { Dialect } from "../layer/dialect/dialect.ts";
import { OverlayDialect } from "../layer/dialect/overlay.ts";
import { DirectoryCache, LayerDirectory } from "../layer/directory.ts";
import {
  fileSystemOfLayer,
  isRemoteDirectory,
  type Layer,
  type LayerFileSystem,
  makeRootDir,
  openLayerRoot,
  openUpperAndWork,
} from "../layer/layer.ts";
import { AccessTimes, type AtimePolicy } from "./accesstimes.ts";
import { ChangeTimes } from "./changetimes.ts";
import { type Core, statIno, type Writable } from "./core.ts";
import { canHaveOwners, type DialectName, dialectOfLower, dialectOfLowers, dialectOfUpper } from "./dialects.ts";
import { HardLinkIndex } from "./hardlinks.ts";
import { type Inode, InodeTable } from "./inode.ts";
import { seeKnownTimes } from "./keeptimes.ts";
import type { Known, KnownInodes, Ledger } from "./known.ts";
import { Origins } from "./origins.ts";
import { restorePins } from "./pin.ts";
import { checkDurability } from "./volatile.ts";
import { WorkDirectory } from "./work.ts";

/** A lower: its directory, and how it spells whiteouts; "auto", as without: it is looked at for aufs's traces. */
export type LowerOption = string | LowerLayer;

export interface LowerLayer {
  readonly path: string;
  readonly dialect: DialectName | "auto";
  /** Only the content of files that redirects of other lowers lead to; such lowers come last. */
  readonly isDataOnly?: boolean;
}

export interface UnionOptions {
  /** From the top. */
  readonly lowers: readonly LowerOption[];
  /** Without it the union is read-only. */
  readonly upper?: string;
  /** An empty directory on the upper's file system; overlayfs's own layout, which it takes over. */
  readonly work?: string;
  /** Attributes may be copied up without the content (default: true). */
  readonly metacopy?: boolean;
  /** Lower files with several names stay one file (default: true). */
  readonly index?: boolean;
  /**
   * Directories that lie in a lower can be renamed (default: true), else that is EXDEV; attributes are then copied up with
   * the content, which they couldn't be found by under another name.
   */
  readonly redirects?: boolean;
  /** Which attributes hold the marks; by default `trusted.` where that is allowed. */
  readonly marks?: "trusted" | "user";
  /** What the upper is written in; by default what it was, or overlayfs's format where its file system can hold that. */
  readonly dialect?: DialectName;
  /** Nothing need survive a loss of power: neither copy-up nor fsync(2) and syncfs(2) write to the disk (default: false). */
  readonly volatile?: boolean;
  /** Files are opened before they are used (default: true); without it, what is read and written is named by inode. */
  readonly knowsOpens?: boolean;
  /** How many directories are kept open. */
  readonly openDirectories?: number;
  readonly log?: (line: string) => void;
  /** Called with the nodeid of what was copied up, also of the directories above what is to be changed. */
  readonly onCopyUp?: (nodeid: number) => void;
  readonly ledger?: Ledger;
  /** When reading sets access times (default: relatime). */
  readonly atime?: AtimePolicy;
  /** All that the kernel was told by now, kept by the caller: then a file that isn't used for long needn't be remembered here. */
  readonly told?: KnownInodes;
  /** How many of them are remembered then (default: 32,768). */
  readonly rememberedFiles?: number;
  /** Of a server that this one takes over from. */
  readonly known?: Known;
  /** The directories of all that is named above, where they are open already: closed with the union. */
  readonly open?: OpenLayers;
}

/** The open directories of a union's layers: lowers in their order; upper and work directory on one mount. */
export interface OpenLayers {
  /** One of each file system, in the order of their numbers; by default they are numbered as they come. */
  readonly fileSystems?: readonly Fd[];
  readonly lowers: readonly Fd[];
  readonly pair: { readonly upper: Fd; readonly work: Fd } | undefined;
}

/** Opens the layers' directories, where no mount hides anything. */
export function openLayers({ lowers, upper, work, atime = "relatime" }: UnionOptions): OpenLayers {
  using undo = new DisposableStack();
  const pair = upper === undefined ? undefined : openPair(upper, work, atime);
  if (pair !== undefined) for (const fd of [pair.upper, pair.work]) undo.use(fd);
  // Lowers stay as they are.
  const fds = lowers.map((lower) => undo.use(openLayerRoot(typeof lower === "string" ? lower : lower.path, "noatime")));
  undo.move();
  return { lowers: fds, pair };
}

/** What has to be closed at the end, beside what the cache holds. */
export interface Opened {
  readonly core: Core;
  readonly fds: readonly Fd[];
}

/** Opens all layers, and makes the work directory ready. @throws {UserError} where a directory can't be what it is to be */
export function openUnion(options: UnionOptions): Opened {
  using undo = new DisposableStack();
  const open = options.open ?? openLayers(options);
  const { upper, work } = open.pair ?? {};
  const fds = [...open.lowers, ...(open.pair === undefined ? [] : [open.pair.upper, open.pair.work])];
  for (const fd of fds) undo.use(fd);
  const fileSystems: LayerFileSystem[] = [];
  for (const fd of open.fileSystems ?? []) fileSystemOfLayer(fd, fileSystems);
  const cache = new DirectoryCache(options.openDirectories ?? 512);
  const { pair } = open;
  const dialect = pair && dialectOfUpper(pair.upper, pair.work, { dialect: options.dialect, marks: options.marks });
  const overlay = dialectOfLowers(dialect, work, options.marks);
  const layer = (index: number, path: string, fd: Fd, dialect: Dialect, isDataOnly = false): Layer => {
    const fileSystem = fileSystemOfLayer(fd, fileSystems);
    const isLast = index === options.lowers.length;
    const [isUpper, isRemote] = [index === 0, index > 0 && isRemoteDirectory(fd.number)];
    const made = { index, isUpper, path, dialect, fileSystem, cache, isDataOnly, isLast, isRemote } as {
      -readonly [K in keyof Layer]: Layer[K];
    };
    made.rootDir = makeRootDir(made, fd);
    return made;
  };
  const lowers = options.lowers.map((lower, at) => {
    const { path, dialect, isDataOnly } = typeof lower === "string" ? { path: lower, dialect: "auto" as const } : lower;
    const fd = open.lowers[at] ?? fail("open", path, -E.BADF);
    return layer(at + 1, path, fd, dialectOfLower(fd, dialect, overlay), isDataOnly);
  });
  nameFileSystem(lowers);
  const upperLayer =
    upper === undefined || dialect === undefined ? undefined : layer(0, options.upper ?? "", upper, dialect);
  const core = makeCore(options, { cache, fileSystems, lowers, upperLayer, work });
  if (options.known !== undefined) {
    restorePins(core);
    seeKnownTimes(core, options.known);
  }
  undo.move();
  return { core, fds };
}

/** As overlayfs has it: one file system without a UUID, as squashfs, is known by all zeros; of several, none is. */
function nameFileSystem(lowers: readonly Layer[]): void {
  const nameless = new Set(lowers.map(({ fileSystem }) => fileSystem).filter(({ uuid }) => uuid === undefined));
  const [first] = nameless;
  if (first !== undefined && nameless.size === 1) first.uuid = Buffer.alloc(16);
}

function openPair(upper: string, work: string | undefined, atime: AtimePolicy): { upper: Fd; work: Fd } {
  if (work === undefined) {
    throw new UserError("usage", "an upper needs a work directory", {
      hint: "name an empty directory on the same file system",
    });
  }
  const pair = openUpperAndWork(upper, work, atime);
  must("stat", upper, statFd(pair.upper.number));
  const device = stat.device;
  must("stat", work, statFd(pair.work.number));
  if (stat.device === device) return pair;
  pair.upper.close();
  pair.work.close();
  throw new UserError("usage", `the work directory ${work} is not on the upper's file system`);
}

/** How many inode numbers each of so many file systems has. */
export function inoSpaceFor(fileSystems: number): number {
  return 2 ** (53 - Math.max(4, Math.ceil(Math.log2(fileSystems + 1))));
}

interface Parts {
  readonly cache: DirectoryCache;
  readonly fileSystems: LayerFileSystem[];
  readonly lowers: readonly Layer[];
  readonly upperLayer: Layer | undefined;
  readonly work: Fd | undefined;
}

function makeCore(options: UnionOptions, parts: Parts): Core {
  const { cache, fileSystems, lowers, upperLayer, work } = parts;
  const inoSpace = inoSpaceFor(fileSystems.length);
  const numbers = { inoSpace, fileSystems };
  // What a slow lower is asked for is known before the operation begins only of what is remembered.
  const told = lowers.some(({ isRemote }) => isRemote) ? undefined : options.told;
  const table = new InodeTable(2 ** 53 - inoSpace, told, options.rememberedFiles);
  const inoOf = (layer: Layer, fd = layer.rootDir.fd): number => {
    must("stat", layer.path, statFd(fd));
    return statIno(numbers, layer.fileSystem);
  };
  const traps = new Set([...lowers, ...(upperLayer === undefined ? [] : [upperLayer])].map((layer) => inoOf(layer)));
  const upper =
    upperLayer === undefined || work === undefined ? undefined : makeWritable(options, upperLayer, work, numbers);
  if (upperLayer !== undefined && work !== undefined) traps.add(inoOf(upperLayer, work.number));
  const top = lowers[0] ?? upperLayer ?? fail("open union", "", -E.INVAL);
  const rootInode = table.make(inoOf(top), S.IFDIR, false, 1);
  rootInode.lookups = 1;
  if (options.known !== undefined) table.reserve(options.known);
  fillRoot(rootInode, lowers, upperLayer);
  const useRedirects = upper?.marks !== undefined && (options.redirects ?? true);
  return {
    upper,
    lowers,
    fileSystems,
    cache,
    table,
    rootInode,
    onCopyUp: options.onCopyUp ?? (() => {}),
    answers: undefined,
    accessTimes: openAccessTimes(options, work),
    changeTimes: openChangeTimes(options, work),
    origins: new Origins(options.known?.origins, options.ledger),
    inoSpace,
    traps,
    useRedirects,
    useMetacopy: useRedirects && (options.metacopy ?? true),
    knowsOpens: options.knowsOpens ?? true,
    isVolatile: options.volatile ?? false,
    log: options.log ?? ((line) => process.stderr.write(`fallthru: ${line}\n`)),
  };
}

/** The root is always merged, of all layers but those that have only content. */
function fillRoot(rootInode: Inode, lowers: readonly Layer[], upperLayer: Layer | undefined): void {
  rootInode.upperDir = upperLayer?.rootDir;
  rootInode.lowerDirs = lowers.filter(({ isDataOnly }) => !isDataOnly).map((lower) => lower.rootDir);
  if (upperLayer !== undefined) {
    const marks = upperLayer.dialect.readMarks(upperLayer.rootDir.fd);
    rootInode.isImpure = marks.isImpure;
    rootInode.hasDefaultAcl = marks.hasDefaultAcl;
    rootInode.protection = marks.protection ?? "";
    upperLayer.rootDir.hasMarkedWhiteouts = marks.hasMarkedWhiteouts;
    upperLayer.rootDir.hasNestedWhiteouts = marks.hasNestedWhiteouts;
  }
  for (const { rootDir, dialect } of lowers) {
    const marks = dialect.readMarks(rootDir.fd);
    rootDir.hasMarkedWhiteouts = marks.hasMarkedWhiteouts;
    rootDir.hasNestedWhiteouts = marks.hasNestedWhiteouts;
    rootDir.isImpure = marks.isImpure;
  }
}

function openAccessTimes(options: UnionOptions, work: Fd | undefined): AccessTimes {
  const times = new AccessTimes(options.atime ?? "relatime", options.ledger);
  const known = options.known?.accessTimes;
  if (known !== undefined) times.restore(known);
  else if (work !== undefined) times.load(work.number);
  return times;
}

function openChangeTimes(options: UnionOptions, work: Fd | undefined): ChangeTimes {
  const times = new ChangeTimes(options.ledger);
  const known = options.known?.changeTimes;
  if (known !== undefined) times.restore(known);
  else if (work !== undefined) times.load(work.number);
  return times;
}

type Numbers = Pick<Core, "inoSpace" | "fileSystems">;

/** The layout of overlayfs's work directory: `work` for what is being made, `index` for hard links. */
function makeWritable(options: UnionOptions, layer: Layer, work: Fd, numbers: Numbers): Writable {
  const { dialect } = layer;
  const marks = dialect instanceof OverlayDialect ? dialect.marks : undefined;
  if (dialect instanceof AufsDialect) must("mark", layer.path, markAufsBranch(layer.rootDir.fd));
  const [ownUid, ownGid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  const hasOwners = marks !== undefined || canHaveOwners(work, ownUid, ownGid);
  const base = new LayerDirectory(layer, undefined, "/", work.number);
  const subdirectory = (name: Name): LayerDirectory => {
    const result = mkdirName(work.number, name, 0o700);
    if (result !== 0 && result !== -E.EXIST) fail("mkdir", `${work.path}/${name}`, result);
    if (hasOwners) must("chmod", name, chmodName(work.number, name, 0o700)); // no group to be handed down
    return new LayerDirectory(layer, base, name);
  };
  const workDirectory = new WorkDirectory(subdirectory("work"), dialect);
  checkDurability(layer, workDirectory.directory, options.volatile ?? false);
  workDirectory.clean();
  const index = marks !== undefined && (options.index ?? true) ? new HardLinkIndex(subdirectory("index")) : undefined;
  index?.load(numbers, () => statIno(numbers, layer.fileSystem));
  return {
    layer,
    dialect,
    marks,
    work: workDirectory,
    index,
    ownUid,
    ownGid,
    hasOwners,
  };
}
