// A small Debian of its own for what could harm this machine: nothing of this one can be reached from it.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { temporaryDirectory } from "./directories.ts";
import { executable, run, type RunResult } from "./fallthru.ts";
import { debianRoot } from "./roots.ts";

/** Makes the machine, enters it, and forgets the old root. */
const enter = `
  mount --make-rprivate /
  mount --bind "$DEBIAN" "$BASE/lower"; mount -o remount,bind,ro "$BASE/lower"
  mount -t tmpfs tmpfs "$BASE/top"; mkdir "$BASE/top/upper" "$BASE/top/work"
  mount -t overlay overlay -o "lowerdir=$BASE/lower,upperdir=$BASE/top/upper,workdir=$BASE/top/work" "$BASE/root"
  cd "$BASE/root"
  mkdir -p opt/fallthru old mnt/data mnt/ro var/lib/fallthru
  cp "$BUILD/fallthru" "$BUILD/koffi.node" opt/fallthru; cp "$BASE/inside" opt/inside
  mount -t proc proc proc; mount -t sysfs -o ro sysfs sys
  mount -t tmpfs dev dev; mkdir dev/pts dev/shm; mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
  mknod -m 666 dev/null c 1 3; mknod -m 666 dev/zero c 1 5; mknod -m 666 dev/tty c 5 0; ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
  mount -t tmpfs shm dev/shm; touch dev/shm/host
  mount -t tmpfs run run; mount -t tmpfs tmp tmp; mount -t tmpfs data mnt/data; mkdir mnt/data/dir; echo precious >mnt/data/dir/file
  mount -t tmpfs ro mnt/ro; echo frozen >mnt/ro/file; mount -o remount,ro mnt/ro
  mount -t tmpfs state var/lib/fallthru
  echo resolv >run/resolv; touch etc/resolv.conf; mount --bind run/resolv etc/resolv.conf
  pivot_root . old; cd /; umount -l /old; rmdir /old
  exec /bin/bash -e /opt/inside
`;

/** A shell's function that says in three lines what is on the machine and what is mounted. */
export const listing = `
  # Of each file system: names, types, modes, owners, sizes, times, links, contents; and what is mounted.
  listing() {
    for top in / /dev /dev/pts /dev/shm /run /tmp /mnt/data /mnt/ro /var/lib/fallthru; do
      find "$top" -xdev -path /run/fallthru -prune -o -path /var/lib/fallthru/sessions -prune -o -printf '%p %y %m %U %G %s %T@ %l\\n'
    done | sort | md5sum
    find / -xdev -type f -size -1M -exec md5sum {} + | sort | md5sum
    cut -d' ' -f5- /proc/self/mountinfo | grep -v /run/fallthru | sort | md5sum
  }
`;

/** Runs a script of bash on it, with ours in /opt/fallthru. */
export async function runOnMachine(inside: string): Promise<RunResult> {
  const base = temporaryDirectory("machine");
  for (const name of ["lower", "top", "root"]) mkdirSync(join(base, name));
  writeFileSync(join(base, "inside"), inside);
  const env = { BASE: base, DEBIAN: await debianRoot(), BUILD: dirname(executable), FALLTHRU_SESSION: undefined };
  return run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-ec", enter], { env });
}
