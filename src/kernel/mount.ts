import { AT, O } from "./abi/file.ts";
import {
  FSCONFIG,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MNT_DETACH,
  MOVE_MOUNT,
  MS_PRIVATE,
  MS_SLAVE,
  OPEN_TREE_CLONE,
  SYS,
  UMOUNT_NOFOLLOW,
} from "./abi/mount.ts";
import { UserError } from "../error.ts";
import { check, isErrno, KernelError, unless } from "./error.ts";
import { Fd } from "./fd.ts";
import { readAvailable } from "./file.ts";
import { cString, type Path, pathText, quick } from "./libc.ts";

const fsopen_ = quick("syscall", "long", ["long", "void *", "unsigned int"]);
// A file system that couldn't be made fails for another reason when asked again.
const fsconfig_ = quick("syscall", "long", ["long", "int", "unsigned int", "void *", "void *", "int"], "told once");
const fsmount_ = quick("syscall", "long", ["long", "int", "unsigned int", "unsigned int"]);
const openTree_ = quick("syscall", "long", ["long", "int", "void *", "unsigned int"]);
const moveMount_ = quick("syscall", "long", ["long", "int", "void *", "int", "void *", "unsigned int"]);
const mountSetattr_ = quick("syscall", "long", ["long", "int", "void *", "unsigned int", "void *", "size_t"]);
const umount2_ = quick("umount2", "int", ["void *", "int"]);

/** One option of a new file system: a flag, a string, or an open file. */
export type MountOption = readonly [key: string] | readonly [key: string, value: string | Fd];

/** A file system that refused an option or the whole; `log` holds what the kernel says of it. */
export class MountError extends KernelError {
  readonly option: string | undefined;
  readonly log: string;

  constructor(error: KernelError, option: string | undefined, log: string) {
    const { syscall, path, errno } = error;
    super({ syscall, path, errno, hint: log === "" ? error.hint : `the kernel says: ${log}` });
    this.option = option;
    this.log = log;
  }
}

/**
 * Makes a file system and its mount, detached: seen by nobody until it is attached, gone when the last
 * descriptor is closed before that.
 * @param attributes MOUNT_ATTR flags
 * @throws {MountError} which option, and the kernel's own words
 * @see fsopen(2), fsconfig(2), fsmount(2)
 */
export function makeMount(type: string, options: readonly MountOption[], attributes = 0): Fd {
  using context = new Fd(
    check("mount", type, fsopen_(SYS.fsopen, cString(type), FSOPEN_CLOEXEC)),
    `${type} file system`,
  );
  let current: string | undefined;
  try {
    for (const option of options) {
      current = option[0];
      const value = option[1] ?? "";
      const result = configure(context, option);
      check(`set mount option ${current}`, typeof value === "string" ? value : value.path, result);
    }
    current = undefined;
    check("mount", type, configure(context, undefined));
    return new Fd(check("mount", type, fsmount_(SYS.fsmount, context.number, FSMOUNT_CLOEXEC, attributes)), type);
  } catch (error) {
    if (error instanceof KernelError) throw new MountError(error, current, readLog(context));
    throw error;
  }
}

/** Sets one option; without one, makes the file system. @returns as fsconfig(2) */
function configure({ number }: Fd, option: MountOption | undefined): number {
  if (option === undefined) return fsconfig_(SYS.fsconfig, number, FSCONFIG.CMD_CREATE, null, null, 0);
  const [key, value] = option;
  const name = cString(key);
  if (value === undefined) return fsconfig_(SYS.fsconfig, number, FSCONFIG.SET_FLAG, name, null, 0);
  if (typeof value !== "string") return fsconfig_(SYS.fsconfig, number, FSCONFIG.SET_FD, name, null, value.number);
  // The kernel takes at most 255 bytes here: longer paths are handed over as /proc/self/fd/N.
  return fsconfig_(SYS.fsconfig, number, FSCONFIG.SET_STRING, name, cString(value), 0);
}

/** The messages queued on a file system context, `e overlay: …`, one line each. */
function readLog(context: Fd): string {
  const lines: string[] = [];
  for (;;) {
    const line = unless(["ENODATA", "EAGAIN"], () => readAvailable(context));
    if (line === undefined || line.length === 0) return lines.join("; ");
    lines.push(
      line
        .toString("utf8")
        .trim()
        .replace(/^[ewi] /, ""),
    );
  }
}

/**
 * A detached copy of what is mounted at `path`: what `mount --bind` attaches.
 * @param depth "recursive" takes the mounts below it along, as `--rbind` does
 * @see open_tree(2)
 */
export function cloneMount(dir: Fd | null, path: Path, depth: "single" | "recursive" = "single"): Fd {
  const flags =
    OPEN_TREE_CLONE | O.CLOEXEC | (depth === "recursive" ? AT.RECURSIVE : 0) | (path.length === 0 ? AT.EMPTY_PATH : 0);
  const at = dir === null ? AT.FDCWD : dir.number;
  const label = path.length === 0 && dir !== null ? dir.path : pathText(path);
  return new Fd(checkCount("clone mount", label, openTree_(SYS.open_tree, at, cString(path), flags)), label);
}

/** Attaches a detached mount onto an open (O_PATH) mount point, which may itself be detached (Linux ≥ 6.15). */
export function attachMount(mount: Fd, mountPoint: Fd): void {
  const flags = MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH;
  const result = moveMount_(SYS.move_mount, mount.number, empty, mountPoint.number, empty, flags);
  checkCount(`mount ${mount.path} on`, mountPoint.path, result);
}

/**
 * Attaches a detached mount below another one, which goes on hiding it until that is unmounted: so nobody ever finds the
 * place empty (Linux ≥ 6.5).
 * @param top the root of that mount, open
 * @see MOVE_MOUNT_BENEATH, move_mount(2)
 */
export function attachBeneath(mount: Fd, top: Fd): void {
  const flags = MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH | MOVE_MOUNT.BENEATH;
  const result = moveMount_(SYS.move_mount, mount.number, empty, top.number, empty, flags);
  checkCount(`mount ${mount.path} beneath`, top.path, result);
}

/** Where mounts are put in place ENOSPC is not about a disk: a name space has at most so many. @see proc_sys_fs(5) */
function checkCount(syscall: string, path: Path, result: number): number {
  try {
    return check(syscall, path, result);
  } catch (error) {
    if (!isErrno(error, "ENOSPC")) throw error;
    throw new UserError("failed", `${syscall} ${pathText(path)}: there are as many mounts as there may be (ENOSPC)`, {
      hint: "end sessions that nobody needs, or allow more mounts: sysctl fs.mount-max=200000",
      cause: error,
    });
  }
}

const empty = Uint8Array.of(0);

/** Sets and clears MOUNT_ATTR flags of a mount, or of it and all below. @see mount_setattr(2) */
export function setMountAttributes(
  mount: Fd,
  change: { set?: number; clear?: number },
  depth: "single" | "recursive" = "single",
): void {
  mountSetattr(mount, BigInt(change.set ?? 0), BigInt(change.clear ?? 0), 0n, depth);
}

/** Stops mounts and unmounts below `mount` from spreading to other name spaces, and theirs to it. */
export function makePrivate(mount: Fd, depth: "single" | "recursive" = "single"): void {
  mountSetattr(mount, 0n, 0n, BigInt(MS_PRIVATE), depth);
}

/** Lets what is mounted and unmounted below the original be seen below this copy, and not the other way. */
export function makeFollower(mount: Fd): void {
  mountSetattr(mount, 0n, 0n, BigInt(MS_SLAVE), "recursive");
}

/** struct mount_attr: set, clear, propagation, user namespace. */
function mountSetattr(mount: Fd, set: bigint, clear: bigint, propagation: bigint, depth: "single" | "recursive"): void {
  const attr = new Uint8Array(BigUint64Array.of(set, clear, propagation, 0n).buffer);
  const flags = AT.EMPTY_PATH | (depth === "recursive" ? AT.RECURSIVE : 0);
  check(
    "set mount attributes of",
    mount.path,
    mountSetattr_(SYS.mount_setattr, mount.number, empty, flags, attr, attr.length),
  );
}

/**
 * Takes a mount and all below it out of the tree at once, in use or not; whoever stands inside keeps it
 * alive until they leave. A final symbolic link is not followed.
 * @throws {KernelError} EINVAL where nothing is mounted there
 * @see umount2(2), MNT_DETACH
 */
export function detachMount(path: Path): void {
  check("unmount", path, umount2_(cString(path), MNT_DETACH | UMOUNT_NOFOLLOW));
}

/** As detachMount(), of a mount whose root is open, wherever it is by now; passes over one that is nowhere any more. */
export function detachOpened(mount: Fd): void {
  unless(["EINVAL"], () => {
    check("unmount", mount.path, umount2_(cString(mount.procPath), MNT_DETACH));
  });
}
