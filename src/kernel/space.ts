import { O } from "./abi/file.ts";
import { MNT_DETACH } from "./abi/mount.ts";
import { CLONE } from "./abi/process.ts";
import { check } from "./error.ts";
import { Fd } from "./fd.ts";
import { openAt, writeAll } from "./file.ts";
import { cString, native } from "./libc.ts";
import { attachMount, makePrivate } from "./mount.ts";
import { dropLastSteps, exitNow } from "./self.ts";

const unshare_ = native("unshare", "int", ["int"]);
const setns_ = native("setns", "int", ["int", "int"]);
const fchdir_ = native("fchdir", "int", ["int"]);
const chroot_ = native("chroot", "int", ["void *"]);
const pivotRoot_ = native("pivot_root", "int", ["void *", "void *"]);
const umount2_ = native("umount2", "int", ["void *", "int"]);

/**
 * Calls with this thread in a mount name space of its own, of which `root` is all: what is started from there keeps
 * nothing mounted that is mounted elsewhere. The thread gets its own back whatever happens.
 * @param root a detached mount, which is used up; @param fill mounts what else is to be there
 * @throws {KernelError} EPERM without privilege; EINVAL: the name space's root can't be changed (initramfs)
 */
export function inMountSpace<T>(root: Fd, fill: () => void, call: () => T): T {
  using own = openAt(null, "/", O.PATH | O.DIRECTORY);
  using directory = openAt(null, ".", O.PATH | O.DIRECTORY);
  using space = openAt(null, "/proc/thread-self/ns/mnt", O.RDONLY);
  check("unshare", "", unshare_(CLONE.NEWNS));
  try {
    enterRoot();
    {
      using old = openAt(null, "/", O.PATH | O.DIRECTORY);
      makePrivate(old, "recursive");
      attachMount(root, old);
    }
    check("chdir", "/", fchdir_(root.number));
    fill();
    check("change the root", "/", pivotRoot_(cString("."), cString(".")));
    check("unmount", "/", umount2_(cString("."), MNT_DETACH));
    return call();
  } finally {
    comeBack(own, directory, space);
  }
}

/** From wherever this thread's root was set by chroot(2) to that of the name space. */
function enterRoot(): void {
  using space = openAt(null, "/proc/thread-self/ns/mnt", O.RDONLY);
  check("setns", "", setns_(space.number, CLONE.NEWNS));
}

/** A thread that can't get its own root back must do nothing more. */
function comeBack(own: Fd, directory: Fd, space: Fd): void {
  try {
    // Threads that were made meanwhile share this one's directories, with which Linux doesn't let it go.
    check("unshare", "", unshare_(CLONE.FS));
    check("setns", "", setns_(space.number, CLONE.NEWNS));
    check("chdir", "/", fchdir_(own.number));
    check("chroot", "/", chroot_(cString(".")));
    check("chdir", ".", fchdir_(directory.number));
  } catch (error) {
    dropLastSteps();
    writeAll(new Fd(2, "standard error"), Buffer.from(`fallthru: ${String(error)}\n`));
    exitNow(125);
  }
}
