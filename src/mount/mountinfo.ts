import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { readText } from "../kernel/trusted.ts";

/** One line of /proc/self/mountinfo. @see proc_pid_mountinfo(5) */
export interface MountInfo {
  readonly id: number;
  readonly parent: number;
  /** Of the file system, `major:minor`. */
  readonly device: string;
  /** The directory of the file system that is mounted here. */
  readonly root: string;
  readonly mountPoint: string;
  readonly options: readonly string[];
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** The mounts of this name space. With 35,000 of them reading takes 15 ms: not for hot paths. */
export function readMountInfo(): MountInfo[] {
  return parseMountInfo(readText("/proc/self/mountinfo", "latin1"));
}

/** @param text latin1, so that every byte of a path survives */
export function parseMountInfo(text: string): MountInfo[] {
  const mounts: MountInfo[] = [];
  for (const line of text.split("\n")) {
    const separator = line.indexOf(" - ");
    if (separator < 0) continue;
    const [id, parent, device, root, mountPoint, options] = line.slice(0, separator).split(" ");
    const [type, source, superOptions] = line.slice(separator + 3).split(" ");
    if (root === undefined || mountPoint === undefined || type === undefined) continue;
    mounts.push({
      id: Number(id),
      parent: Number(parent),
      device: device ?? "",
      root: unescape(root),
      mountPoint: unescape(mountPoint),
      options: (options ?? "").split(","),
      type,
      source: unescape(source ?? ""),
      superOptions: (superOptions ?? "").split(","),
    });
  }
  return mounts;
}

/** Spaces, tabs, newlines and backslashes stand as octal numbers; the bytes are UTF-8 to whoever uses the path. */
function unescape(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

const attributeOf: Readonly<Record<string, number>> = {
  ro: MOUNT_ATTR.RDONLY,
  nosuid: MOUNT_ATTR.NOSUID,
  nodev: MOUNT_ATTR.NODEV,
  noexec: MOUNT_ATTR.NOEXEC,
  noatime: MOUNT_ATTR.NOATIME,
  nodiratime: MOUNT_ATTR.NODIRATIME,
  nosymfollow: MOUNT_ATTR.NOSYMFOLLOW,
};

/** The MOUNT_ATTR flags that mount options name; the rest of the options is returned as it is. */
export function splitOptions(options: readonly string[]): { attributes: number; rest: string[] } {
  let attributes = 0;
  const rest: string[] = [];
  for (const option of options) {
    const attribute = attributeOf[option];
    if (attribute === undefined) rest.push(option);
    else attributes |= attribute;
  }
  return { attributes, rest };
}
