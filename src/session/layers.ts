import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { isErrno, unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import {
  changeMode,
  changeOwnerAt,
  fileSystemOf,
  makeDirectoryAt,
  openAt,
  openDirectory,
  renameAt,
  setTimesAt,
  statAt,
  symlinkAt,
  sync,
  syncFileSystem,
} from "../kernel/file.ts";
import { attachMount, makeMount } from "../kernel/mount.ts";
import { nodeFs } from "../kernel/trusted.ts";
import { getXattrAt, listXattrsAt, setXattr } from "../kernel/xattr.ts";
import { isMachinesUserSpace, isNobodys } from "../kernel/userspace.ts";
import type { Skeleton, Union, UnionType } from "../mount/plan.ts";
import { elsewhere, readElsewhere } from "./elsewhere.ts";
import { randomHex } from "./id.ts";
import { memoryUpperOf, sessionDir, stateDir } from "./paths.ts";
import { spreadBelow } from "./state.ts";
import type { UnionChoice, Upper } from "./types.ts";

/** File systems that overlayfs refuses as an upper: no device nodes or extended attributes, or an overlay itself. */
const notUpper = new Set(
  "overlay nfs vfat exfat ntfs cifs smb3 9p fuse proc sysfs squashfs erofs iso9660 udf ramfs".split(" "),
);

/** Of those the ones on which our own union can have its upper. */
const oursCan = new Set(["overlay", "fuse"]);

/** Where a session's layers are; the unions' directories below it are numbered. */
export interface Layers {
  readonly base: string;
  readonly upper: Upper;
}

/** Where changes are kept, and whose unions they lie below. */
export interface UpperChoice {
  readonly upper: Upper;
  readonly type: UnionType;
}

/**
 * Decides where layers can be and whose union they belong to, and checks that their file system can hold an upper.
 * Inside a session the state directory lies on an overlay: layers are then kept in memory.
 */
export function chooseUpper(wanted: Upper | undefined, union: UnionChoice): UpperChoice {
  const usual = union === "fallthru" ? union : "overlay";
  // Nothing that isn't just files and directories will be there.
  if (union === "none") return { upper: wanted ?? { kind: "state" }, type: usual };
  if (wanted?.kind === "tmpfs") return { upper: wanted, type: usual };
  const path = wanted?.kind === "directory" ? wanted.path : stateDir;
  const type = typeOf(path);
  if (!notUpper.has(type)) return { upper: wanted ?? { kind: "state" }, type: usual };
  if (wanted === undefined && process.env["FALLTHRU_SESSION"] !== undefined)
    return { upper: { kind: "tmpfs" }, type: usual };
  if (union !== "overlay" && oursCan.has(type)) return { upper: wanted ?? { kind: "state" }, type: "fallthru" };
  throw new UserError("unsupported", `${path} is on ${type}, which can't hold a session's changes`, {
    hint: `keep them on a local file system: --upper DIR, or in memory: --upper tmpfs[:SIZE]${oursCan.has(type) ? ", or take our own union: --union fallthru" : ""}`,
  });
}

function typeOf(path: string): string {
  if (!path.startsWith("/")) throw new UserError("usage", `${path} is not an absolute path`);
  const opened = unless(["ENOENT", "ENOTDIR"], () => openDirectory(path));
  if (opened === undefined) {
    throw new UserError("not-found", `no directory ${path} to keep changes in`, {
      hint: `make it first: mkdir ${path}`,
    });
  }
  using directory = opened;
  return fileSystemOf(directory).type;
}

/**
 * Makes the place for a session's layers, so that removeLayers() finds it whenever we are killed.
 * @param spread "each time": sessions of this name come and go, as logins do
 */
export function makeLayers(id: string, dir: Fd, upper: Upper, spread: "by name" | "each time" = "by name"): Layers {
  switch (upper.kind) {
    case "state":
      if (spread === "each time") makeSpread(dir, "layers");
      else makeDirectoryAt(dir, "layers", 0o700);
      return { base: `${sessionDir(id)}/layers`, upper };
    case "directory": {
      const base = `${upper.path}/fallthru-${id}-${randomHex()}`;
      symlinkAt(base, dir, elsewhere);
      // On another file system the directory could be on the disk before the link that leads to it.
      sync(dir);
      makeDirectoryAt(null, base, 0o700);
      return { base, upper };
    }
    case "tmpfs": {
      const base = memoryUpperOf(id);
      nodeFs().mkdirSync(base, { recursive: true, mode: 0o700 });
      const size = upper.sizeBytes === undefined ? [] : [["size", String(upper.sizeBytes)] as const];
      using tmpfs = makeMount("tmpfs", [["source", "fallthru"], ["mode", "0700"], ...size]);
      using target = openAt(null, base, O.PATH | O.DIRECTORY | O.NOFOLLOW);
      attachMount(tmpfs, target);
      return { base, upper };
    }
  }
}

/**
 * ext4 chooses by the new directory's name where it lies (see spreadBelow()): of the same name always where the one before was
 * deleted. In a view of a machine with ten file systems that took 8 ms of 11 to begin.
 */
function makeSpread(dir: Fd, name: string): void {
  spreadBelow(dir);
  const first = randomHex();
  makeDirectoryAt(dir, first, 0o700);
  renameAt(dir, first, dir, name);
}

/** Makes layers durable that are not on the record's file system, where syncing the record takes them along. */
export async function syncLayers({ base, upper }: Layers, isUnpacked: boolean): Promise<void> {
  if (upper.kind !== "directory" && !isUnpacked) return;
  using directory = openDirectory(base);
  // Of what was unpacked nothing has been synced: after a power cut all of it must be there, or the session not.
  if (isUnpacked) await syncFileSystem(directory);
  else sync(directory);
}

/** What all unions of a session have in common. */
export type UnionStyle = Pick<Union, "type" | "volatile" | "dialect">;

/**
 * Makes the upper and work directories for one union. The merged root has the upper directory's attributes, so they are
 * taken from the topmost lower: owner, mode, times and extended attributes.
 */
export function makeUnion(
  layers: Layers,
  index: number,
  wanted: readonly string[],
  style: UnionStyle,
  skeleton?: Skeleton,
): Union {
  const base = `${layers.base}/${index}`;
  const lowers = skeleton === undefined ? wanted : [...wanted, `${base}/skeleton`];
  makeDirectoryAt(null, base, 0o700);
  if (skeleton !== undefined) makeSkeleton(`${base}/skeleton`, skeleton);
  // Whoever reads the upper later is to know whose marks are in it.
  const marks = style.type === "overlay" && !isMachinesUserSpace() ? { options: ["userxattr"] } : {};
  return { ...style, ...marks, lowers, ...makePair(base, lowers[0]) };
}

/**
 * Makes an upper and a work directory in a directory that is there.
 * @param top what the upper has its attributes from
 */
export function makePair(base: string, top: string | undefined): Pick<Union, "upper" | "work"> {
  const pair = { upper: `${base}/upper`, work: `${base}/work` };
  for (const path of [pair.upper, pair.work]) makeDirectoryAt(null, path, 0o700);
  if (top !== undefined) copyAttributes(top, pair.upper);
  return pair;
}

/** Where the layers of a session are that is there. */
export function layersOf(id: string, dir: Fd, upper: Upper): Layers {
  switch (upper.kind) {
    case "state":
      return { base: `${sessionDir(id)}/layers`, upper };
    case "directory":
      return { base: readElsewhere(dir), upper };
    case "tmpfs":
      return { base: memoryUpperOf(id), upper };
  }
}

/** Nobody writes there any more: it is a lower. */
function makeSkeleton(base: string, skeleton: Skeleton): void {
  const { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } = nodeFs();
  mkdirSync(base, { mode: 0o755 });
  for (const entry of skeleton) {
    const path = `${base}${entry.path}`;
    if (entry.kind === "link") symlinkSync(entry.target, path);
    else if (entry.kind === "directory") mkdirSync(path);
    else if (entry.content === "copied") copyFileSync(entry.path, path);
    else writeFileSync(path, "");
    if (entry.kind !== "link") chmodSync(path, entry.mode);
  }
}

function copyAttributes(from: string, to: string): void {
  using source = openDirectory(from);
  using target = openDirectory(to);
  const attr = statAt(source);
  // Else the upper is the user's.
  if (!isNobodys(attr)) changeOwnerAt(target, "", attr.uid, attr.gid);
  // Some file systems, such as a squashfs without any, know no extended attributes.
  for (const name of unless(["EOPNOTSUPP"], () => listXattrsAt(source, ".")) ?? []) {
    // overlayfs's own marks belong to the layer that they are on.
    if (/^(trusted|user)\.overlay\./.test(name.toString("latin1"))) continue;
    try {
      setXattr(target, name, getXattrAt(source, ".", name));
    } catch (error) {
      // The upper's file system may lack a kind that the lower's has (ACLs, security labels).
      if (isErrno(error, "EPERM", "EACCES") && !isMachinesUserSpace()) continue;
      if (!isErrno(error, "EOPNOTSUPP", "ENODATA")) throw error;
    }
  }
  changeMode(target, attr.mode);
  setTimesAt(target, ".", attr.atimeNs, attr.mtimeNs);
}
