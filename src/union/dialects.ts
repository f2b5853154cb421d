import { UserError } from "../error.ts";
import { E } from "../kernel/abi/errno.ts";
import { O, RENAME_EXCHANGE, S } from "../kernel/abi/file.ts";
import {
  chownName,
  closeFd,
  fail,
  mknodName,
  must,
  type Name,
  openName,
  renameName,
  unlinkName,
} from "../kernel/at.ts";
import type { Fd } from "../kernel/fd.ts";
import { attributeName, removeXattr, setXattrOf } from "../kernel/io.ts";
import { AufsDialect, isAufsBranch } from "../layer/dialect/aufs.ts";
import type { Dialect } from "../layer/dialect/dialect.ts";
import { OverlayDialect } from "../layer/dialect/overlay.ts";

export type DialectName = "overlay" | "aufs";
type Prefix = "trusted" | "user";

interface Wishes {
  readonly dialect: DialectName | undefined;
  readonly marks: Prefix | undefined;
}

const probeName: Name = "#probe";

/** What an upper is written in: as asked, as it was before, or whichever its file system can hold. */
export function dialectOfUpper(upper: Fd, work: Fd, { dialect, marks }: Wishes): Dialect {
  if (dialect === "aufs" || (dialect === undefined && isAufsBranch(upper.number))) return new AufsDialect();
  const prefix = marks ?? prefixFor(work);
  if (prefix !== undefined && canMakeWhiteouts(work)) return new OverlayDialect(`${prefix}.overlay.`);
  if (prefix !== undefined && canMarkWhiteouts(work, prefix)) return new OverlayDialect(`${prefix}.overlay.`, "marked");
  if (dialect === undefined) return new AufsDialect();
  throw new UserError("unsupported", `the file system of ${upper.path} can't hold overlayfs's marks`, {
    hint: "dialect=aufs needs neither devices nor extended attributes",
  });
}

/** Attributes that begin with `trusted.` take privilege; without it there is overlayfs's `userxattr`. */
function prefixFor(work: Fd): Prefix | undefined {
  return (["trusted", "user"] as const).find((prefix) => tryMark(work, prefix) === 0);
}

function tryMark(work: Fd, prefix: Prefix): number {
  const mark = attributeName(`${prefix}.overlay.probe`);
  const result = setXattrOf(work.number, "", mark, Buffer.from("y"));
  if (result === 0) removeXattr(work.number, "", mark);
  return result;
}

function canMakeWhiteouts(work: Fd): boolean {
  const result = mknodName(work.number, probeName, S.IFCHR, 0n);
  if (result === 0 || result === -E.EXIST) must("unlink", probeName, unlinkName(work.number, probeName));
  else if (![E.PERM, E.INVAL, E.OPNOTSUPP, E.NOSYS, E.ACCES].includes(-result as never))
    fail("mknod", work.path, result);
  return result === 0 || result === -E.EXIST;
}

/** Whether an empty file can be a whiteout, as on overlayfs, which takes no device 0:0; it changes places with what is deleted. */
function canMarkWhiteouts(work: Fd, prefix: Prefix): boolean {
  const dialect = new OverlayDialect(`${prefix}.overlay.`, "marked");
  const names = ["", "2"].map((suffix): Name => probeName + suffix) as [Name, Name];
  try {
    return (
      names.every((name) => dialect.makeWhiteout(work.number, name) === 0) &&
      renameName(work.number, names[0], work.number, names[1], RENAME_EXCHANGE) === 0
    );
  } finally {
    for (const name of names) unlinkName(work.number, name);
  }
}

/** How overlayfs's lowers are read: by the upper's prefix where it has one. */
export function dialectOfLowers(upper: Dialect | undefined, work: Fd | undefined, marks: Prefix | undefined): Dialect {
  if (upper instanceof OverlayDialect) return upper;
  const isPrivileged = work === undefined ? process.geteuid?.() === 0 : tryMark(work, "trusted") !== -E.PERM;
  return new OverlayDialect(`${marks ?? (isPrivileged ? "trusted" : "user")}.overlay.`);
}

/** What a lower is written in. One that can have no attributes has been an upper in aufs's format, if it was one. */
export function dialectOfLower(lower: Fd, wish: DialectName | "auto", overlay: Dialect): Dialect {
  if (wish === "auto") return isAufsBranch(lower.number) ? new AufsDialect() : overlay;
  return wish === "aufs" ? new AufsDialect() : overlay;
}

/** Whether files can belong to others than those that the mount of the file system says. */
export function canHaveOwners(work: Fd, uid: number, gid: number): boolean {
  const fd = must("create", probeName, openName(work.number, probeName, O.WRONLY | O.CREAT | O.NOFOLLOW, 0o600));
  closeFd(fd);
  const result = chownName(work.number, probeName, uid + 1, gid + 1);
  must("unlink", probeName, unlinkName(work.number, probeName));
  return result !== -E.PERM && result !== -E.OPNOTSUPP && result !== -E.NOSYS;
}
