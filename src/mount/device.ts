import { readFileSync } from "node:fs";
import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { O } from "../kernel/abi/file.ts";
import { isErrno, KernelError } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { openAt } from "../kernel/file.ts";
import { readAt } from "../kernel/io.ts";
import { makeMount, MountError, type MountOption } from "../kernel/mount.ts";
import { splitOptions } from "./mountinfo.ts";

/** How a device is to be mounted. */
export interface DeviceOptions {
  /** As /proc/filesystems names it; undefined: whatever is found on it. */
  readonly type: string | undefined;
  /** As mount(8) takes them behind -o. */
  readonly options: readonly string[];
  /** "read": nothing is written to the device, not even a journal's replay. */
  readonly access: "read" | "write";
}

/**
 * Mounts the file system on a block device, detached.
 * @throws {KernelError} EBUSY: it is mounted with the other access; EINVAL: no file system that this kernel knows
 */
export function makeDeviceMount(device: string, wanted: DeviceOptions): Fd {
  const { attributes, rest } = splitOptions(wanted.options);
  const isReadOnly = wanted.access === "read" || (attributes & MOUNT_ATTR.RDONLY) !== 0;
  const options = rest.filter((option) => !isForMount(option)).map(splitOption);
  const set = (attributes & ~MOUNT_ATTR.RDONLY) | (isReadOnly ? MOUNT_ATTR.RDONLY : 0);
  const mount = (type: string): Fd => {
    const all: MountOption[] = [["source", device], ...(isReadOnly ? [["ro"] as const] : []), ...options];
    return makeMount(type, all, set);
  };
  const type = wanted.type ?? findType(device);
  if (type === undefined) return mountAny(device, mount);
  try {
    return mount(type);
  } catch (error) {
    throw explain(error, device, type);
  }
}

/** What mount(8) and fstab(5) have for themselves, and what is so anyway. */
function isForMount(option: string): boolean {
  const words =
    "defaults rw auto noauto nofail user nouser users group owner _netdev async exec suid dev loop relatime";
  return words.split(" ").includes(option) || /^(?:x-|loop=)/.test(option);
}

function splitOption(option: string): MountOption {
  const equals = option.indexOf("=");
  return equals < 0 ? [option] : [option.slice(0, equals), option.slice(equals + 1)];
}

/** File systems by bytes at a place, each with its documentation below Documentation/filesystems or its header. */
const magics: readonly (readonly [type: string, offset: number, hex: string])[] = [
  ["xfs", 0, "58465342"],
  ["squashfs", 0, "68737173"],
  ["erofs", 0x400, "e2e1f5e0"],
  ["f2fs", 0x400, "1020f5f2"],
  ["btrfs", 0x10040, "5f42485266535f4d"],
  ["iso9660", 0x8001, "4344303031"],
  ["ext4", 0x438, "53ef"], // the last, as it is the shortest; the driver takes ext2's and ext3's too
];

function findType(device: string): string | undefined {
  using file = openAt(null, device, O.RDONLY);
  const found = magics.find(([, offset, hex]) => {
    const bytes = Buffer.alloc(hex.length / 2);
    return readAt(file.number, bytes, offset) === bytes.length && bytes.toString("hex") === hex;
  });
  return found?.[0];
}

/** What nobody's magic is known of: each type that the kernel has and that needs a device, in its own order. */
function mountAny(device: string, mount: (type: string) => Fd): Fd {
  const types = readFileSync("/proc/filesystems", "latin1").split("\n");
  for (const type of types.filter((line) => line.startsWith("\t")).map((line) => line.trim())) {
    try {
      return mount(type);
    } catch (error) {
      if (!(error instanceof KernelError) || isErrno(error, "EBUSY", "EACCES", "EPERM")) throw error;
    }
  }
  const hint = "is it partitioned or encrypted? mount-options=-t TYPE names the file system";
  throw new KernelError({ syscall: "find a file system on", path: device, errno: "EINVAL", hint });
}

function explain(error: unknown, device: string, type: string): unknown {
  if (!(error instanceof MountError) || error.option !== undefined) return error;
  const { errno, log } = error;
  const hint =
    errno === "EROFS" || errno === "EACCES"
      ? "it may not have been unmounted cleanly: check it first (fsck)"
      : errno === "EBUSY"
        ? "it is mounted for writing somewhere, or for reading only where it is now to be written"
        : errno === "ENODEV"
          ? `load the module: modprobe ${type}`
          : undefined;
  return new MountError(new KernelError({ syscall: `mount ${type} of`, path: device, errno, hint }), undefined, log);
}
