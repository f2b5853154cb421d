import { O, RESOLVE, S } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { isMachinesUserSpace } from "../kernel/userspace.ts";
import {
  changeModeAt,
  changeOwnerAt,
  isDirectory,
  isRegularFile,
  makeDirectoryAt,
  makeNodeAt,
  openAt,
  openDirectory,
  readAll,
  readDirectory,
  statAt,
  symlinkAt,
  unlinkAt,
  writeAll,
} from "../kernel/file.ts";

/** What invoke-rc.d(8) asks before it starts a daemon. */
const policy =
  "#!/bin/sh\n# No daemon starts in this chroot: see invoke-rc.d(8). Delete this file to let them.\nexit 101\n";

/**
 * Makes a fresh root one that builds and logins can use: no daemon starts when its package is installed, it has no
 * identity of the host's or of the machine it comes from, and it has the directories and devices that programs expect.
 * What is in it is hostile: paths are resolved inside it, and the last component is never followed.
 */
export function finishRoot(root: Fd): void {
  for (const [name, mode] of mountPoints) makeIfMissing(root, name, () => makeDirectory(root, name, mode));
  inside(root, "usr/sbin", (dir) =>
    makeIfMissing(dir, "policy-rc.d", () => makeFile(dir, "policy-rc.d", policy, 0o755)),
  );
  inside(root, "etc", (dir) => {
    for (const name of ["resolv.conf", "hosts"]) if (isTheHosts(dir, name)) unlinkAt(dir, name);
    if (isTheHosts(dir, "hostname")) replaceFile(dir, "hostname", "localhost\n", 0o644);
    // Empty, not missing: systemd then makes one at the first start of each copy (machine-id(5)).
    const id = unless(["ENOENT"], () => statAt(dir, "machine-id"));
    if (id !== undefined && !isDirectory(id)) replaceFile(dir, "machine-id", "", 0o444);
  });
  // dbus makes it again, or finds the other one; as a link it has no content of its own.
  inside(root, "var/lib/dbus", (dir) => {
    const attr = unless(["ENOENT"], () => statAt(dir, "machine-id"));
    if (attr !== undefined && isRegularFile(attr)) unlinkAt(dir, "machine-id");
  });
  inside(root, "dev", (dir) => {
    if ([...readDirectory(dir)].length === 0) fillDev(dir);
  });
}

/** Sessions mount something on each of them. */
const mountPoints = [
  ["proc", 0o555],
  ["sys", 0o555],
  ["dev", 0o755],
  ["run", 0o755],
  ["tmp", 0o1777],
] as const;

/** Runs `task` with a directory of the root; does nothing where there is none. */
function inside(root: Fd, path: string, task: (dir: Fd) => void): void {
  const opened = unless(["ENOENT", "ENOTDIR", "ELOOP"], () =>
    openDirectory(path, root, RESOLVE.IN_ROOT | RESOLVE.NO_XDEV),
  );
  if (opened === undefined) return;
  using dir = opened;
  task(dir);
}

function isThere(dir: Fd, name: string): boolean {
  return unless(["ENOENT"], () => statAt(dir, name)) !== undefined;
}

function makeIfMissing(dir: Fd, name: string, make: () => void): void {
  if (!isThere(dir, name)) make();
}

/** Whether a file in the root's /etc is a copy of the host's: the makers of roots leave it there for their own downloads. */
function isTheHosts(dir: Fd, name: string): boolean {
  const attr = unless(["ENOENT"], () => statAt(dir, name));
  if (attr === undefined || !isRegularFile(attr)) return false;
  const host = unless(["ENOENT"], () => openAt(null, `/etc/${name}`, O.RDONLY));
  if (host === undefined) return false;
  using theirs = host;
  if (statAt(theirs).size !== attr.size) return false;
  using ours = openAt(dir, name, O.RDONLY | O.NOFOLLOW);
  return readAll(ours).equals(readAll(theirs));
}

function replaceFile(dir: Fd, name: string, content: string, mode: number): void {
  unless(["ENOENT"], () => unlinkAt(dir, name));
  makeFile(dir, name, content, mode);
}

function makeFile(dir: Fd, name: string, content: string, mode: number): void {
  using file = openAt(dir, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, { mode: 0o600 });
  writeAll(file, Buffer.from(content));
  changeOwnerAt(dir, name, 0, 0);
  changeModeAt(dir, name, mode);
}

function makeDirectory(dir: Fd, name: string, mode: number): void {
  makeDirectoryAt(dir, name, mode);
  changeOwnerAt(dir, name, 0, 0);
  changeModeAt(dir, name, mode); // whatever the umask is
}

/** What every program may count on. @see Linux, Documentation/admin-guide/devices.txt */
const devices = [
  ["null", 1, 3, 0o666],
  ["zero", 1, 5, 0o666],
  ["full", 1, 7, 0o666],
  ["random", 1, 8, 0o666],
  ["urandom", 1, 9, 0o666],
  ["tty", 5, 0, 0o666],
  ["console", 5, 1, 0o600],
  ["ptmx", 5, 2, 0o666],
] as const;

const links = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
] as const;

function fillDev(dir: Fd): void {
  // Without root there is none to be made: sessions have the machine's.
  for (const [name, major, minor, mode] of isMachinesUserSpace() ? devices : []) {
    makeNodeAt(dir, name, S.IFCHR | mode, { major, minor });
    changeOwnerAt(dir, name, 0, name === "tty" ? 5 : 0); // 5 is Debian's group tty
    changeModeAt(dir, name, mode);
  }
  for (const [name, target] of links) symlinkAt(target, dir, name);
  makeDirectory(dir, "pts", 0o755);
  makeDirectory(dir, "shm", 0o1777);
}
