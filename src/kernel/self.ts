import { O } from "./abi/file.ts";
import {
  PR_CAPBSET_DROP,
  PR_SET_IO_FLUSHER,
  PR_SET_PDEATHSIG,
  SIG_IGN,
  SIGKILL,
  TIOCGPGRP,
  TIOCSPGRP,
  threadCallNumbers,
} from "./abi/process.ts";
import { check, unless } from "./error.ts";
import { Fd } from "./fd.ts";
import { ioctl, openAt } from "./file.ts";
import { cString, native, quick, withoutErrno } from "./libc.ts";
import { MNT_DETACH } from "./abi/mount.ts";

/** What this process does to itself. */

const exit_ = withoutErrno("_exit", "int", ["int"]);
const prctl_ = native("prctl", "int", ["int", "unsigned long", "unsigned long", "unsigned long", "unsigned long"]);
const sigaction_ = native("sigaction", "int", ["int", "void *", "void *"]);
const dropBound_ = quick("prctl", "int", ["int", "unsigned long", "unsigned long", "unsigned long", "unsigned long"]);
const pivotRoot_ = quick("syscall", "long", ["long", "void *", "void *"]);
const umount2_ = quick("umount2", "int", ["void *", "int"]);
const fchdir_ = quick("fchdir", "int", ["int"]);
const chroot_ = quick("chroot", "int", ["void *"]);
const keyctl_ = quick("syscall", "long", ["long", "long", "long"]);
const pause_ = native("pause", "int", []);
const getpgid_ = native("getpgid", "int", ["int"]);
const pipe2_ = quick("pipe2", "int", ["void *", "int"]);

const lastSteps: (() => void)[] = [];

/** Has exitNow() do something before; whoever takes this process's root away from it has nothing done (dropLastSteps()). */
export function beforeExit(step: () => void): void {
  lastSteps.push(step);
}

export function dropLastSteps(): void {
  lastSteps.length = 0;
}

/**
 * Ends this process at once. process.exit() isn't the same: Bun's puts a terminal's settings back to what they were
 * at its start, whatever the command did to them. @see _exit(2)
 */
export function exitNow(status: number): never {
  for (const step of lastSteps.splice(0)) step();
  exit_(status);
  throw new Error("_exit(2) returned");
}

/** Has the kernel kill this process when the thread that started it ends. @see PR_SET_PDEATHSIG(2const) */
export function dieWithParent(): void {
  check("prctl", "", prctl_(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
}

/**
 * This thread serves a file system: when it is short of memory the kernel doesn't have it wait for a file system, which may be
 * the one that it serves. Without privilege nothing happens. @see PR_SET_IO_FLUSHER(2const)
 */
export function serveThroughReclaim(): void {
  unless(["EPERM", "EINVAL"], () => check("prctl", "", prctl_(PR_SET_IO_FLUSHER, 1, 0, 0, 0)));
}

/** Ignores these signals. Where SIGCHLD is, the kernel buries children, and those inherited, as they die. @see wait(2) */
export function ignoreSignals(signals: readonly number[]): void {
  const action = new Uint8Array(152); // struct sigaction
  new DataView(action.buffer).setBigUint64(0, SIG_IGN, true);
  for (const signal of signals) check("ignore signal", String(signal), sigaction_(signal, action, null));
}

/** Ignores these signals for as long as it takes to start a child that is to ignore them. */
export function ignoreMeanwhile(signals: readonly number[]): Disposable {
  const before = signals.map((signal) => {
    const action = new Uint8Array(152);
    check("ask signal", String(signal), sigaction_(signal, null, action));
    return [signal, action] as const;
  });
  ignoreSignals(signals);
  const heed = (): void => before.forEach(([signal, action]) => sigaction_(signal, action, null));
  return { [Symbol.dispose]: heed };
}

/** Gives this thread, and what it starts, an empty keyring in the place of the one it was started with. @see session-keyring(7) */
export function forgetKeys(): void {
  const [KEYCTL_JOIN_SESSION_KEYRING, anonymous] = [1, 0];
  unless(["ENOSYS"], () =>
    check("keyctl", "", keyctl_(threadCallNumbers().keyctl, KEYCTL_JOIN_SESSION_KEYRING, anonymous)),
  );
}

/** Does nothing until a signal ends this process; JavaScript doesn't go on meanwhile. @see pause(2) */
export function pauseForever(): never {
  for (;;) pause_();
}

/** Changes this process's root directory, and its working directory to it. @see chroot(2) */
export function changeRoot(root: Fd): void {
  check("chdir", root, fchdir_(root.number));
  check("chroot", root, chroot_(cString(".")));
}

/**
 * Makes `root`, where something is mounted, the root of this thread's mount name space: nothing else of it is there any more, and
 * no chroot(2) leads out.
 * @throws {KernelError} EINVAL: our root is the kernel's first file system (an initramfs), or no mount
 * @see pivot_root(2)
 */
export function replaceRoot(root: Fd): void {
  const here = cString(".");
  using old = openAt(null, "/", O.PATH | O.DIRECTORY);
  check("chdir", root, fchdir_(root.number));
  check("pivot_root", root, pivotRoot_(threadCallNumbers().pivot_root, here, here));
  // Both lie on each other now: the old one, which is above, is where `old` is.
  check("chdir", old, fchdir_(old.number));
  check("unmount", old, umount2_(here, MNT_DETACH));
  check("chdir", root, fchdir_(root.number));
}

/**
 * Nothing that this thread executes from now on can have other capabilities than these, whatever sets its user id. The thread itself
 * keeps what it has.
 * @see capabilities(7), "Capability bounding set"
 */
export function boundCapabilities(kept: readonly number[]): void {
  for (let capability = 0; capability < 64; capability++) {
    if (kept.includes(capability)) continue;
    // The kernel knows no more of them than this.
    const dropped = unless(["EINVAL"], () => check("prctl", "", dropBound_(PR_CAPBSET_DROP, capability, 0, 0, 0)));
    if (dropped === undefined) return;
  }
}

/** Whether a terminal's keys (Ctrl-C and the like) are sent to this process, and so to all of its process group. */
export function isForeground(): boolean {
  return foregroundGroup() === groupOf(0);
}

/** A process's group; 0 means this process. @see getpgid(2) */
export function groupOf(pid: number): number {
  return check("getpgid", String(pid), getpgid_(pid));
}

/** The process group that has our terminal; undefined where we have none, or it was hung up. @see tcgetpgrp(3) */
export function foregroundGroup(): number | undefined {
  using terminal = openTerminal();
  if (terminal === undefined) return undefined;
  const group = new Int32Array(1);
  const asked = unless(["EIO", "ENOTTY"], () => ioctl(terminal, TIOCGPGRP, new Uint8Array(group.buffer)));
  return asked === undefined ? undefined : group[0];
}

/** Gives our terminal to another process group; whoever has it must be ours. @see tcsetpgrp(3) */
export function setForegroundGroup(group: number): void {
  using terminal = openTerminal();
  if (terminal === undefined) return;
  // EPERM, ESRCH: that group is gone meanwhile.
  unless(["EIO", "ENOTTY", "EPERM", "ESRCH"], () =>
    ioctl(terminal, TIOCSPGRP, new Uint8Array(Int32Array.of(group).buffer)),
  );
}

function openTerminal(): Fd | undefined {
  return unless(["ENXIO", "ENOENT", "EIO"], () => openAt(null, "/dev/tty", O.RDONLY | O.NONBLOCK));
}

/** @returns the ends to read from and to write to; @see pipe2(2) */
export function makePipe(): readonly [Fd, Fd] {
  const numbers = new Int32Array(2);
  check("pipe", "", pipe2_(new Uint8Array(numbers.buffer), O.CLOEXEC));
  return [new Fd(numbers[0] ?? -1, "pipe"), new Fd(numbers[1] ?? -1, "pipe")];
}

/** Has the engine look for what nothing refers to any more, now; of a process that was started with `--expose-gc`. */
export function collectGarbage(): void {
  (globalThis as { gc?: () => void }).gc?.();
}
