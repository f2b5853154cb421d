import { UserError } from "../../error.ts";
import { O, S } from "../../kernel/abi/file.ts";
import {
  chmodName,
  chownName,
  closeFd,
  linkName,
  mkdirName,
  must,
  type Name,
  openName,
  stat,
  statFd,
  statName,
  utimesName,
} from "../../kernel/at.ts";
import { attributeName, getXattrOfFd } from "../../kernel/io.ts";
import { copyAttributes, type Entry } from "../../layer/attributes.ts";
import { type Content, copyEntry, type Original, readOriginal } from "../../layer/copyup.ts";
import { readMark } from "../../layer/dialect/overlay.ts";
import { quotePath } from "../../layer/quote.ts";
import { directoryOf } from "../changes/names.ts";
import type { Tree } from "./tree.ts";
import { settleContents } from "./unsettled.ts";

/** What is made in the area before anything is changed: whole files, and directories with what comes in them. */
export interface Staged {
  /** In the session. */
  readonly path: Name;
  readonly type: number;
  /** In its directory of the area. */
  readonly name: Name;
  /** Of which file that was staged before it is another name. */
  readonly linkTo?: Staged;
  readonly children: Staged[];
  readonly parent?: Staged;
  /** Once it is made. */
  ino: string;
}

/** Where contents are read: what the session sees, and its upper, whose files can be shared with those of the area. */
export interface Sources {
  readonly after: Tree;
  readonly upper: Tree;
  /** The mark of a file of the upper whose content is still below. */
  readonly metacopy: Uint8Array | undefined;
  /** On the area's own mount. */
  readonly target: Tree;
}

/**
 * Makes all that is to come.
 * @throws {UserError} busy, where a process of the session is writing to it
 */
export function stageAll(area: number, roots: readonly Staged[], sources: Sources): void {
  const umask = process.umask(0);
  try {
    for (const staged of roots) stage(area, staged, sources, area);
  } finally {
    process.umask(umask);
  }
}

function stage(dirfd: number, staged: Staged, sources: Sources, area: number): void {
  const to: Entry = { fd: dirfd, name: staged.name };
  if (staged.linkTo !== undefined) {
    withDirectoryOf(staged.linkTo, area, (fd) => {
      must("link", staged.path, linkName(fd, staged.linkTo?.name ?? "", to.fd, to.name));
    });
  } else if (staged.type === S.IFDIR) stageDirectory(staged, to, sources, area);
  else stageFile(staged, sources.after.get(staged.path), to, sources);
  must("stat", staged.path, statName(to.fd, to.name));
  staged.ino = inoOf();
}

/** The inode of the last stat, as a journal has it. */
export function inoOf(): string {
  return String((BigInt(stat.inoHigh) << 32n) | BigInt(stat.inoLow));
}

/** Its attributes come last: a default ACL would be handed down to what is made in it, a time be changed by it. */
function stageDirectory(staged: Staged, to: Entry, sources: Sources, area: number): void {
  must("mkdir", staged.path, mkdirName(to.fd, to.name, 0o700));
  const fd = must("open", staged.path, openName(to.fd, to.name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW));
  try {
    for (const child of staged.children) stage(fd, child, sources, area);
    const from = sources.after.get(staged.path);
    const { uid, gid, mode, atime, mtime } = readOriginal(from);
    must("chown", staged.path, chownName(fd, "", uid, gid));
    copyAttributes(from, { fd, name: "", open: -1 }, () => false);
    must("chmod", staged.path, chmodName(fd, "", mode));
    must("utimes", staged.path, utimesName(fd, "", atime, mtime));
  } finally {
    closeFd(fd);
  }
}

function stageFile({ path, type, parent }: Staged, from: Entry, to: Entry, sources: Sources): void {
  if (isMetacopy(path, type, sources)) settleContents(sources.after, [path]);
  const original = readOriginal(from);
  const [seconds, nsec] = [stat.ctime, stat.ctimeNsec];
  if (original.type !== type) throw changing(path);
  copyEntry(original, from, to, {
    content: contentOf(path, original, from, sources),
    near: parent === undefined ? plainDirectory(directoryOf(path), sources) : undefined,
    ownUid: 0,
    ownGid: 0,
    hasOwners: true,
    isPrivate: () => false,
    mark: () => {},
  });
  must("stat", path, statName(from.fd, from.name));
  if (stat.ctime !== seconds || stat.ctimeNsec !== nsec || stat.size !== original.size) throw changing(path);
}

/**
 * The target's directory that a file will be in, where that hands down neither ACLs nor its group. All that a commit makes
 * would otherwise lie in one part of the disk, far from what is beside it later; and ext4 takes long to find so many free
 * inodes in one place, if others were deleted there just now.
 */
function plainDirectory(path: Name, { target }: Sources): number | undefined {
  const fd = target.directory(path);
  if (fd === undefined || statFd(fd) !== 0 || (stat.mode & S.ISGID) !== 0) return undefined;
  return getXattrOfFd(fd, defaultAcl, new Uint8Array(0)) > 0 ? undefined : fd;
}

const defaultAcl = attributeName("system.posix_acl_default");

/** The upper's own file, where its content is there: other than the union's it can be cloned. */
function contentOf(path: Name, original: Original, from: Entry, sources: Sources): Content {
  const plan = { upTo: original.size, isSynced: false };
  const isSimple = original.type === S.IFREG && original.size > 0 && !isMetacopy(path, original.type, sources);
  const entry = isSimple ? sources.upper.find(path) : undefined;
  if (entry === undefined || statName(entry.fd, entry.name) !== 0) return { ...from, ...plan };
  const { mtime } = original;
  const isSame = typeof mtime === "object" && stat.mtime === mtime.seconds && stat.mtimeNsec === mtime.nsec;
  if (!isSame || stat.type !== S.IFREG || stat.size !== original.size) return { ...from, ...plan };
  return { ...entry, ...plan };
}

/** What it is based on may be what it takes the place of. */
function isMetacopy(path: Name, type: number, { upper, metacopy }: Sources): boolean {
  const entry = type === S.IFREG && metacopy !== undefined ? upper.find(path) : undefined;
  if (entry === undefined || metacopy === undefined || statName(entry.fd, entry.name) !== 0) return false;
  return stat.type === S.IFREG && stat.size > 0 && readMark(entry.fd, entry.name, metacopy) !== undefined;
}

function changing(path: Name): UserError {
  return new UserError("busy", `/${quotePath(path)} is being changed in the session`, {
    hint: "nothing was committed: do it again when what writes there has ended",
  });
}

/** Opens the directory of the area that a staged thing is in. */
function withDirectoryOf(staged: Staged, area: number, use: (fd: number) => void): void {
  if (staged.parent === undefined) return use(area);
  withDirectoryOf(staged.parent, area, (above) => {
    const fd = must("open", staged.path, openName(above, staged.parent?.name ?? "", O.PATH | O.DIRECTORY | O.NOFOLLOW));
    try {
      use(fd);
    } finally {
      closeFd(fd);
    }
  });
}
