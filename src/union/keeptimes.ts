import { E } from "../kernel/abi/errno.ts";
import { fail, type KnownTime, must, stat, statFd, statName, utimesFd, utimesName } from "../kernel/at.ts";
import { unless } from "../kernel/error.ts";
import type { Entry } from "../layer/attributes.ts";
import { LayerDirectory } from "../layer/directory.ts";
import type { Core } from "./core.ts";
import type { Inode } from "./inode.ts";
import { CHANGING, type Known, type KnownInodes } from "./known.ts";

/** The times of a directory of the upper, as they are to stay. */
interface Times {
  readonly core: Core;
  readonly directory: Inode;
  /** Of its entries: with other ones it has other times. */
  readonly version: number;
  readonly atime: KnownTime;
  readonly mtime: KnownTime;
  readonly ctime: KnownTime;
}

/**
 * Of the directory that something was copied into last. Copies come in a row, one file of a directory after the other: as
 * long as nothing else changes it, its times needn't be asked for again, nor which ctime putting them back has given it.
 */
let last: Times | undefined;

/** Does something in a directory of the upper that is no change of the union's: its times stay as they were. */
export function keepTimes(core: Core, directory: Inode, act: (upper: LayerDirectory) => void): void {
  const { path, upperDir } = directory;
  if (upperDir === undefined) return fail("copy up", path, -E.STALE);
  const times = isStillSo(last, directory) ? last : readTimes(core, directory, upperDir);
  last = undefined;
  core.changeTimes.keepChanging(directory.ino, times.ctime, times.mtime);
  try {
    act(upperDir);
  } finally {
    putBack(upperDir.fd, times);
    core.changeTimes.keepUnseen(directory.ino, times.ctime, times.mtime);
  }
  last = times;
}

function putBack(fd: number, { atime, mtime }: Times): void {
  // It may be open as O_PATH.
  if (utimesFd(fd, atime, mtime) === -E.BADF) utimesName(fd, "", atime, mtime);
}

function isStillSo(times: Times | undefined, directory: Inode): times is Times {
  if (times === undefined || times.directory !== directory || times.version !== directory.version) return false;
  // Who changes its attributes has that forgotten.
  return times.core.changeTimes.has(directory.ino);
}

function readTimes(core: Core, directory: Inode, { fd }: LayerDirectory): Times {
  seeTimes();
  must("stat", directory.path, statFd(fd));
  return timesNow(core, directory, core.changeTimes.of(directory.ino));
}

/** What `stat` holds. */
function timesNow(core: Core, directory: Inode, ctime: KnownTime | undefined): Times {
  return {
    core,
    directory,
    version: directory.version,
    atime: { seconds: stat.atime, nsec: stat.atimeNsec },
    mtime: { seconds: stat.mtime, nsec: stat.mtimeNsec },
    ctime: ctime ?? { seconds: stat.ctime, nsec: stat.ctimeNsec },
  };
}

/** `stat` holds the attributes of a directory that was copied up just now, for what comes next into it. */
export function keptTimes(core: Core, directory: Inode, ctime: KnownTime): void {
  const times = timesNow(core, directory, ctime);
  seeTimes();
  last = times;
}

/** Looks up what was left for later: by which ctime it will be known that nothing has changed since. */
export function seeTimes(): void {
  const times = last;
  last = undefined;
  if (times === undefined || !isStillSo(times, times.directory)) return;
  const { core, directory } = times;
  // Where it can't be looked at, the layer's own ctime counts again.
  unless(["ENOENT", "ENOTDIR", "ESTALE", "EIO"], () => {
    must("stat", directory.path, statFd(directory.upperDir?.fd ?? -1));
    core.changeTimes.of(directory.ino);
  });
}

/**
 * The same of what a server before has left for later. It is found by the name that the kernel knows, and in the upper alone: a lower may
 * keep us waiting.
 */
export function seeKnownTimes(core: Core, { inodes, changeTimes = new Map() }: Known): void {
  for (const [ino, { ctimeNsec, mtime: seconds, mtimeNsec: nsec }] of changeTimes) {
    if (ctimeNsec >= 0) continue;
    const nodeid = ino === core.rootInode.ino ? 1 : (inodes.nodeidOf(ino) ?? ino);
    unless(["ENOENT", "ENOTDIR", "ESTALE", "EIO", "EACCES", "ELOOP"], () => {
      const { fd, name } = placeInUpper(core, inodes, nodeid) ?? {};
      if (fd === undefined || name === undefined) return;
      if (ctimeNsec === CHANGING) utimesName(fd, name, "keep", { seconds, nsec });
      if ((name === "" ? statFd(fd) : statName(fd, name)) === 0) core.changeTimes.of(ino);
    });
  }
}

/** Where it is, if it is there. */
function placeInUpper(core: Core, inodes: KnownInodes, nodeid: number): Entry | undefined {
  const rootDir = core.upper?.layer.rootDir;
  if (nodeid === 1) return rootDir && { fd: rootDir.fd, name: "" };
  const known = inodes.get(nodeid);
  const directory = known && upperDirectory(core, inodes, known.parent);
  return directory && { fd: directory.fd, name: known?.name ?? "" };
}

function upperDirectory(core: Core, inodes: KnownInodes, nodeid: number): LayerDirectory | undefined {
  if (nodeid === 1) return core.upper?.layer.rootDir;
  const known = inodes.get(nodeid);
  const parent = known && upperDirectory(core, inodes, known.parent);
  return parent && new LayerDirectory(parent.layer, parent, known?.name ?? "");
}
