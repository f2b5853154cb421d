// include/uapi/linux/btrfs.h: ioctls of magic 0x94, as _IOW of include/uapi/asm-generic/ioctl.h encodes them.
export const BTRFS_IOC = {
  SUBVOL_CREATE: 0x5000940e, // _IOW(0x94, 14, struct btrfs_ioctl_vol_args)
  SNAP_DESTROY: 0x5000940f, // _IOW(0x94, 15, struct btrfs_ioctl_vol_args)
  SNAP_CREATE_V2: 0x50009417, // _IOW(0x94, 23, struct btrfs_ioctl_vol_args_v2)
} as const;

/** Of both structs. struct btrfs_ioctl_vol_args: fd, name. */
export const BTRFS_VOL_ARGS_SIZE = 4096;
export const BTRFS_VOL_ARGS = { fd: 0, name: 8 } as const;
/** struct btrfs_ioctl_vol_args_v2: fd, transid, flags, four unused, name. */
export const BTRFS_VOL_ARGS_V2 = { fd: 0, name: 56 } as const;
