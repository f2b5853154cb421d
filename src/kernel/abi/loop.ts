// include/uapi/linux/loop.h
export const LOOP = {
  CONFIGURE: 0x4c0a,
  GET_STATUS64: 0x4c05,
  CTL_GET_FREE: 0x4c82,
} as const;

export const LO_FLAGS = { READ_ONLY: 1, AUTOCLEAR: 4 } as const;

/** struct loop_info64: device, inode, rdevice, offset, sizelimit; number, encrypt type and key size, flags; names, key. */
export const LOOP_INFO64_SIZE = 232;
export const LOOP_INFO64 = { device: 0, inode: 8, offset: 24, sizelimit: 32, flags: 52, file_name: 56 } as const;

/** struct loop_config: fd, block_size, struct loop_info64 info, reserved[8]. */
export const LOOP_CONFIG_SIZE = 304;
export const LOOP_CONFIG = { fd: 0, info: 8 } as const;
