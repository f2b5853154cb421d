import { O } from "../kernel/abi/file.ts";
import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { isDirectory, isRegularFile, openAt, statAt } from "../kernel/file.ts";
import { exists, readText } from "../kernel/trusted.ts";
import { type MountInfo, readMountInfo, splitOptions } from "./mountinfo.ts";
import type { PlanStep, Union } from "./plan.ts";

/** Kernel interfaces and what hangs below them: shown by fixed steps, or not at all. */
const pseudo = new Set([
  ..."autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts efivarfs fusectl hugetlbfs mqueue".split(" "),
  ..."nsfs proc pstore rpc_pipefs securityfs selinuxfs sysfs tracefs".split(" "),
]);

/** Case-insensitive: overlayfs takes these neither as a lower nor as an upper. */
const notLayers = new Set(["vfat", "exfat", "msdos", "ntfs3", "hfsplus"]);

/** Mounts that get a fixed step of their own, and where nothing of the host's may be seen. */
const own = ["/proc", "/sys", "/dev/pts", "/dev/shm", "/run/fallthru", "/var/lib/fallthru/sessions"];

/** Larger files that are mounted on files are shown read-only instead of copied. */
export const copyLimit = 1 << 20;

/** What can be answered of a mount that is there: its server is gone or ill, or lets only its own user look. */
const refusals = ["EACCES", "ENOTCONN", "ESTALE", "EIO", "ENOENT"] as const;

/** The steps of a plan, and what isn't in it, a line each. */
export interface HostPlan {
  readonly steps: readonly PlanStep[];
  readonly warnings: readonly string[];
}

/**
 * The steps for a view of this machine's own root: a union over the root mount and over each real file system that
 * is mounted below it, and the kernel's interfaces as programs expect them. What can't be a layer is shown
 * read-only: the host is never written to.
 * @param union makes the layers' directories for one lower
 * @param without what is mounted in these directories isn't shown
 */
export function planHost(union: (lower: string) => Union, without: readonly string[] = []): HostPlan {
  const hidden = [...own, ...without];
  const mounts = readMountInfo().filter((mount) => isReal(mount, hidden));
  const [odd, others] = [mounts.filter(isOdd), mounts.filter((mount) => !isOdd(mount))];
  const steps: PlanStep[] = [{ kind: "union", at: "/", union: union("/"), attributes: 0 }];
  for (const mount of visibleMounts(others)) {
    // Whatever else is mounted and unmounted meanwhile keeps nobody from a session.
    const step = mount.mountPoint === "/" ? undefined : unless(["ENOENT", "ENOTDIR"], () => stepFor(mount, union));
    if (step !== undefined) steps.push(step);
  }
  const warnings = odd.map(({ mountPoint }) => `${mountPoint} is left out: its name is not UTF-8`);
  return { steps: [...steps, ...kernelSteps()], warnings };
}

/** Whether a mount is an interface of the kernel's, or holds files. */
export function kindOf(mount: MountInfo): "pseudo" | "files" {
  return pseudo.has(mount.type) ? "pseudo" : "files";
}

function isReal(mount: MountInfo, hidden: readonly string[]): boolean {
  return kindOf(mount) === "files" && !hidden.some((path) => isBelow(mount.mountPoint, path));
}

/** A name that no string has: a path made of it would be another. */
function isOdd(mount: MountInfo): boolean {
  return mount.mountPoint.includes("\uFFFD");
}

export function stepFor(mount: MountInfo, union: (lower: string) => Union): PlanStep {
  const at = mount.mountPoint;
  const { attributes } = splitOptions(mount.options);
  const isReadOnly = mount.options.includes("ro") || mount.superOptions.includes("ro");
  const attr = unless(refusals, () => statAt(null, at));
  if (attr !== undefined && isRegularFile(attr) && attr.size <= copyLimit) return { kind: "copy", at, from: at };
  if (attr === undefined || !isDirectory(attr) || isReadOnly || notLayers.has(mount.type)) {
    return { kind: "bind", at, from: at, depth: "single", attributes: attributes | MOUNT_ATTR.RDONLY, optional: true };
  }
  return { kind: "union", at, union: union(at), attributes, orReadOnly: true };
}

/** Each by the mount that a look-up of its path reaches: not those that a later mount covers. */
function visibleMounts(all: readonly MountInfo[]): MountInfo[] {
  return all
    .filter((mount) => {
      const opened = unless(["ENOTDIR", ...refusals], () => openAt(null, mount.mountPoint, O.PATH | O.NOFOLLOW));
      if (opened === undefined) return false;
      using found = opened;
      return mountIdOf(found) === mount.id;
    })
    .toSorted((a, b) => (a.mountPoint < b.mountPoint ? -1 : 1));
}

function mountIdOf(file: Fd): number {
  const attr = unless(refusals, () => statAt(file));
  if (attr !== undefined) return Number(attr.mountId);
  const text = readText(`/proc/self/fdinfo/${file.number}`, "latin1");
  return Number(/^mnt_id:\s*(\d+)$/m.exec(text)?.[1]);
}

function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

/**
 * The kernel's interfaces. /sys and those parts of /proc through which a careless script changes the running
 * kernel are read-only; /dev/pts is the host's, so that terminals keep their names; sessions see no other sessions.
 */
function kernelSteps(): PlanStep[] {
  const { RDONLY, NOSUID, NODEV, NOEXEC } = MOUNT_ATTR;
  const kernel = NOSUID | NODEV | NOEXEC;
  const bind = (at: string, attributes: number): PlanStep => ({
    kind: "bind",
    at,
    from: at,
    depth: "single",
    attributes,
    optional: true,
  });
  return [
    { kind: "bind", at: "/proc", from: "/proc", depth: "single", attributes: kernel },
    bind("/proc/sys", kernel | RDONLY),
    // Not every kernel has it.
    ...(exists("/proc/sysrq-trigger") ? [bind("/proc/sysrq-trigger", kernel | RDONLY)] : []),
    { kind: "bind", at: "/sys", from: "/sys", depth: "single", attributes: kernel | RDONLY },
    bind("/dev/pts", NOSUID | NOEXEC),
    memoryStep("/dev/shm", "1777"),
    memoryStep("/var/lib/fallthru/sessions", "0700"),
  ];
}

/** An empty directory in memory. */
export function memoryStep(at: string, mode: string): PlanStep {
  const attributes = MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV;
  return { kind: "filesystem", at, type: "tmpfs", source: "tmpfs", options: [`mode=${mode}`], attributes };
}
