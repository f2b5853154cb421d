// include/uapi/linux/mount.h
export const OPEN_TREE_CLONE = 1;
export const FSMOUNT_CLOEXEC = 1;
export const FSOPEN_CLOEXEC = 1;
export const FSCONFIG = { SET_FLAG: 0, SET_STRING: 1, SET_FD: 5, CMD_CREATE: 6 } as const;
export const MOVE_MOUNT = { F_EMPTY_PATH: 0x04, T_EMPTY_PATH: 0x40, BENEATH: 0x200 } as const;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

/** Attributes of one mount, as mount_setattr(2) and fsmount(2) take them. */
export const MOUNT_ATTR = {
  RDONLY: 0x1,
  NOSUID: 0x2,
  NODEV: 0x4,
  NOEXEC: 0x8,
  NOATIME: 0x10,
  STRICTATIME: 0x20,
  ATIME__MASK: 0x70,
  NODIRATIME: 0x80,
  NOSYMFOLLOW: 0x200000,
} as const;

export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;

// arch/*/include/asm/unistd: from 424 on the numbers are the same on every architecture.
export const SYS = {
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  mount_setattr: 442,
} as const;
