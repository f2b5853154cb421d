import { FS_TOPDIR_FL, O } from "../kernel/abi/file.ts";
import { isErrno, unless } from "../kernel/error.ts";
import { findAt, lock, makeDirectoryAt, openAt, openDirectory, statAt, symlinkAt } from "../kernel/file.ts";
import type { Fd } from "../kernel/fd.ts";
import { addInodeFlags } from "../kernel/inodeflags.ts";
import { attachMount, makeMount, makePrivate } from "../kernel/mount.ts";
import { UserError } from "../error.ts";
import { isUsers } from "../places.ts";
import { heldDir, mountPointOf, runDir, sessionsDir, stateDir } from "./paths.ts";

/** Makes what every session stands on; does nothing when it is there (three calls of stat). */
export function prepareState(): void {
  requireSuperuser();
  if (hasRunDir()) return;
  makeDirectories();
  using state = openDirectory(stateDir);
  lock(state, "exclusive");
  if (!isMounted(runDir)) mountRunDir();
  using run = openDirectory(runDir);
  // Not before it is attached: below a shared mount, as systemd makes all of them, the kernel makes it shared too.
  makePrivate(run);
  linkSocket(run);
  // Nobody sees which sessions there are, and each says by itself who may go there: see makeMountPoint().
  unless(["EEXIST"], () => makeDirectoryAt(run, "upper", 0o700));
  unless(["EEXIST"], () => makeDirectoryAt(run, "mount", 0o711));
}

/** Where people look for the service's socket, which lies outside: systemd makes it before this file system is mounted. */
function linkSocket(run: Fd): void {
  if (!isUsers) unless(["EEXIST"], () => symlinkAt("../fallthrud/socket", run, "fallthru.sock"));
}

function mountRunDir(): void {
  using tmpfs = makeMount("tmpfs", [
    ["source", "fallthru"],
    ["mode", "0711"],
  ]);
  using target = openAt(null, runDir, O.PATH | O.DIRECTORY | O.NOFOLLOW);
  attachMount(tmpfs, target);
}

/** Nobody but the superuser may look into other people's changes. */
function makeDirectories(): void {
  for (const [path, mode] of [
    // A user's is there already, and theirs alone.
    ...(isUsers ? [] : (["/var", "/var/lib", stateDir, "/run"] as const).map((path) => [path, 0o755] as const)),
    [sessionsDir, 0o700],
    [heldDir, 0o700],
    [runDir, 0o700],
  ] as const) {
    unless(["EEXIST"], () => makeDirectoryAt(null, path, mode));
  }
  using sessions = openDirectory(sessionsDir);
  spreadBelow(sessions);
}

/**
 * Has ext4 lay each directory that is made in this one where few others lie (chattr +T). For some seconds it takes no inode that was
 * deleted, and looks at each of them in the group of blocks where a new one is wanted: sessions that come and go in one place made
 * that two fifths of a login's time.
 */
export function spreadBelow(directory: Fd): void {
  unless(["ENOTTY", "EOPNOTSUPP", "EINVAL", "EPERM"], () => {
    addInodeFlags(directory, FS_TOPDIR_FL);
  });
}

/** The directory in the mount comes last above: where it is, everything is. */
function hasRunDir(): boolean {
  const isThere = (path: string) => findAt(null, path) !== undefined;
  return isMounted(runDir) && isThere(`${runDir}/mount`) && isThere(heldDir);
}

/** Whether something is mounted exactly there. */
export function isMounted(path: string): boolean {
  try {
    return findAt(null, path)?.isMountRoot === true;
  } catch (error) {
    // A union of ours whose server and holder were both killed.
    if (isErrno(error, "ENOTCONN", "ECONNABORTED")) return true;
    throw error;
  }
}

export function isSessionMounted(id: string): boolean {
  return isAlive(mountPointOf(id));
}

/** Mounted, and served by somebody where that is needed. */
function isAlive(mountPoint: string): boolean {
  return unless(["ENOENT", "ENOTCONN", "ECONNABORTED"], () => statAt(null, mountPoint, "fresh"))?.isMountRoot === true;
}

/** All that a session which is there already needs. */
export function requireSuperuser(): void {
  if (process.geteuid?.() === 0) return;
  throw new UserError("failed", "only the superuser can do this", { hint: "run it as root: sudo fallthru …" });
}

const elsewhere = "free some space there, or keep the changes elsewhere: --upper DIR, --upper tmpfs";

/** Where nothing was changed that a full disk could have left half done. */
export const doItAgain = "free some space there, and do it again: nothing was changed";

/**
 * Runs `call`; a full file system becomes an error that says which one and how to go on.
 * @param path where the space was wanted
 */
export function explainFull<T>(path: string, call: () => T, hint = elsewhere): T {
  try {
    return call();
  } catch (error) {
    throw explained(path, error, hint);
  }
}

/** As explainFull(), for what takes its time. */
export async function explainFullLater<T>(path: string, call: () => Promise<T>, hint = elsewhere): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw explained(path, error, hint);
  }
}

function explained(path: string, error: unknown, hint: string): unknown {
  if (!isErrno(error, "ENOSPC", "EDQUOT")) return error;
  const why = isErrno(error, "EDQUOT")
    ? `a quota of the file system of ${path} is used up`
    : `the file system of ${path} is full`;
  const full = error instanceof Error ? error.message : String(error);
  return new UserError("no-space", `${why}: ${full}`, { hint, cause: error });
}
