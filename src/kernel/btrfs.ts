import { BTRFS_IOC, BTRFS_VOL_ARGS, BTRFS_VOL_ARGS_SIZE, BTRFS_VOL_ARGS_V2 } from "./abi/btrfs.ts";
import type { Fd } from "./fd.ts";
import { ioctl } from "./file.ts";

/**
 * Makes an empty subvolume, as `name` in `dir`.
 * @throws {KernelError} ENOTTY: no Btrfs; EEXIST
 * @see BTRFS_IOC_SUBVOL_CREATE, ioctl_btrfs(2)
 */
export function makeSubvolume(dir: Fd, name: string): void {
  const args = Buffer.alloc(BTRFS_VOL_ARGS_SIZE);
  args.write(name, BTRFS_VOL_ARGS.name);
  ioctl(dir, BTRFS_IOC.SUBVOL_CREATE, args, `make the subvolume ${name} in`);
}

/**
 * Makes a writable snapshot of an open subvolume, as `name` in `dir`.
 * @throws {KernelError} ENOTTY: no Btrfs; EINVAL: not a subvolume's top; EXDEV: two file systems; EEXIST
 * @see BTRFS_IOC_SNAP_CREATE_V2, ioctl_btrfs(2)
 */
export function makeSnapshot(subvolume: Fd, dir: Fd, name: string): void {
  const args = Buffer.alloc(BTRFS_VOL_ARGS_SIZE);
  args.writeBigInt64LE(BigInt(subvolume.number), BTRFS_VOL_ARGS_V2.fd);
  args.write(name, BTRFS_VOL_ARGS_V2.name);
  ioctl(dir, BTRFS_IOC.SNAP_CREATE_V2, args, `snapshot ${subvolume.path} in`);
}

/**
 * Deletes the subvolume `name` in `dir` with all it has; the space comes back later, in the kernel's own time.
 * @throws {KernelError} ENOENT; ENOTEMPTY: there are subvolumes in it; ENOTTY, EINVAL: not a subvolume
 * @see BTRFS_IOC_SNAP_DESTROY, ioctl_btrfs(2)
 */
export function destroySubvolume(dir: Fd, name: string): void {
  const args = Buffer.alloc(BTRFS_VOL_ARGS_SIZE);
  args.write(name, BTRFS_VOL_ARGS.name);
  ioctl(dir, BTRFS_IOC.SNAP_DESTROY, args, `delete the snapshot ${name} in`);
}
