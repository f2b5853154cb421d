import { O, RESOLVE } from "../kernel/abi/file.ts";
import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { CAP } from "../kernel/abi/process.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { changeModeAt, makeDirectoryAt, makeNodeAt, openAt, statAt, symlinkAt } from "../kernel/file.ts";
import { attachMount, cloneMount, makeMount, type MountOption, setMountAttributes } from "../kernel/mount.ts";
import { attachInto } from "../mount/attach.ts";
import { kindOf } from "../mount/host.ts";
import { type MountInfo, readMountInfo } from "../mount/mountinfo.ts";

/**
 * What root can do in a session that binds it: what concerns files, users and its own processes, as installing packages needs it.
 * Nothing by which the machine is changed or other processes are reached: no devices, mounts, modules, clock or network interfaces,
 * no tracing, and no opening of files by their handles, which leads out of what is shown of a file system.
 */
export const boundedCapabilities: readonly number[] = Object.values(CAP);

/** Parts of /proc by which the running kernel is changed. */
export const kernelSwitches: readonly string[] = ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi"];

/** Those that harm nobody, whatever is done with them: character devices for everybody. */
const devices: Readonly<Record<string, { readonly major: number; readonly minor: number }>> = {
  null: { major: 1, minor: 3 },
  zero: { major: 1, minor: 5 },
  full: { major: 1, minor: 7 },
  random: { major: 1, minor: 8 },
  urandom: { major: 1, minor: 9 },
  tty: { major: 5, minor: 0 },
  ptmx: { major: 5, minor: 2 },
};
const S_IFCHR = 0o020000;

/** Group 5 is tty's in all distributions. */
const terminalOptions: readonly MountOption[] = [["newinstance"], ["mode", "0620"], ["gid", "5"], ["ptmxmode", "0666"]];

const links: Readonly<Record<string, string>> = {
  fd: "/proc/self/fd",
  stdin: "/proc/self/fd/0",
  stdout: "/proc/self/fd/1",
  stderr: "/proc/self/fd/2",
  log: "/run/systemd/journal/dev-log",
};

/** Of the machine's own devices: screens and sound. */
const shown = ["dri", "snd"];

/**
 * In a mount name space of its own: makes a session's tree one in which root reaches nothing of the machine's by files. /dev is a
 * new one with what is mounted below the session's, but the terminals: of the machine's there is the command's own, as
 * /dev/console. The kernel's switches are read-only.
 * @param root the session's, open
 * @param terminal the path of the one that its command is on
 */
export function boundMounts(root: Fd, mountPoint: string, terminal: string | undefined): void {
  const mounts = readMountInfo().filter((mount) => mount.mountPoint.startsWith(`${mountPoint}/`));
  const inside = mounts.map((mount) => ({ ...mount, at: mount.mountPoint.slice(mountPoint.length) }));
  for (const mount of inside) {
    if (kindOf(mount) === "pseudo" && !["proc", "devpts", "mqueue"].includes(mount.type)) makeReadOnly(root, mount);
  }
  const isCarried = ({ at, parent }: InsideMount): boolean =>
    at.startsWith("/dev/") &&
    at !== "/dev/pts" &&
    !inside.some(({ id, at: above }) => id === parent && above !== "/dev");
  const carried = inside.filter(isCarried).flatMap((mount) => cloneInside(root, mount));
  using dev = makeDevices();
  attachInto(root, dev, "/dev");
  for (const { at, mount } of carried) {
    attachInto(dev, mount, at.slice("/dev".length));
    mount.close();
  }
  using terminals = makeMount("devpts", terminalOptions, MOUNT_ATTR.NOSUID | MOUNT_ATTR.NOEXEC);
  attachInto(dev, terminals, "/pts");
  if (terminal !== undefined) {
    using own = cloneMount(null, terminal);
    attachInto(dev, own, "/console");
  }
  using machines = openAt(null, "/dev", O.PATH | O.DIRECTORY);
  for (const name of shown) showReadOnly(machines, dev, name);
}

interface InsideMount extends MountInfo {
  readonly at: string;
}

function openInside(root: Fd, { id, at }: InsideMount): Fd | undefined {
  const found = unless(["ENOENT", "ENOTDIR", "ELOOP", "EACCES", "ENOTCONN", "ESTALE", "EIO"], () =>
    openAt(root, at, O.PATH, { resolve: RESOLVE.IN_ROOT }),
  );
  // What another mount covers nobody reaches.
  if (found === undefined || statAt(found).mountId === BigInt(id)) return found;
  found.close();
  return undefined;
}

function makeReadOnly(root: Fd, mount: InsideMount): void {
  using found = openInside(root, mount);
  if (found !== undefined) setMountAttributes(found, { set: MOUNT_ATTR.RDONLY });
}

function cloneInside(root: Fd, mount: InsideMount): { at: string; mount: Fd }[] {
  using found = openInside(root, mount);
  return found === undefined ? [] : [{ at: mount.at, mount: cloneMount(found, "", "recursive") }];
}

/** A session's /proc. */
export function openProc(root: Fd): Fd {
  return openAt(root, "/proc", O.PATH | O.DIRECTORY, { resolve: RESOLVE.IN_ROOT });
}

/** Mounts the /proc of this process's own pid name space over a session's. */
export function mountProc(target: Fd, readOnly: readonly string[]): void {
  using proc = makeMount("proc", [["source", "proc"]], MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC);
  attachMount(proc, target);
  for (const name of readOnly) showReadOnly(proc, proc, name);
}

/** Devices can be written to all the same; their modes and owners, and names, can't be changed. What isn't there stays so. */
function showReadOnly(from: Fd, to: Fd, name: string): void {
  using mount = unless(["ENOENT"], () => cloneMount(from, name));
  if (mount === undefined) return;
  setMountAttributes(mount, { set: MOUNT_ATTR.RDONLY });
  attachInto(to, mount, `/${name}`);
}

function makeDevices(): Fd {
  const dev = makeMount(
    "tmpfs",
    [
      ["source", "dev"],
      ["mode", "0755"],
    ],
    MOUNT_ATTR.NOSUID | MOUNT_ATTR.NOEXEC,
  );
  for (const [name, number] of Object.entries(devices)) {
    makeNodeAt(dev, name, S_IFCHR | 0o666, number);
    changeModeAt(dev, name, 0o666);
  }
  for (const [name, target] of Object.entries(links)) symlinkAt(target, dev, name);
  makeDirectoryAt(dev, "shm", 0o1777);
  changeModeAt(dev, "shm", 0o1777);
  return dev;
}
