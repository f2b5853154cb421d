// include/uapi/linux/fuse.h: the device's ioctls, magic 229, as _IOR, _IOW and _IO of include/uapi/asm-generic/ioctl.h
// encode direction, size and number.
export const FUSE_DEV_IOC = {
  CLONE: 0x8004e500, // _IOR(229, 0, uint32_t)
  BACKING_OPEN: 0x4010e501, // _IOW(229, 1, struct fuse_backing_map)
  BACKING_CLOSE: 0x4004e502, // _IOW(229, 2, uint32_t)
} as const;

/** struct fuse_backing_map: fd, flags, padding. */
export const FUSE_BACKING_MAP_SIZE = 16;
