// include/uapi/linux/io_uring.h
export const IORING_OP = { OPENAT: 18, CLOSE: 19, STATX: 21, READ: 22, WRITE: 23 } as const;
/** IOSQE_ASYNC: by a thread of the kernel's from the start, also where it might not have to wait. */
export const IOSQE_ASYNC = 1 << 4;
/** What IORING_OFF_ has for mmap(2). */
export const IORING_OFF = { RINGS: 0, SQES: 0x1000_0000 } as const;
export const IORING_FEAT_SINGLE_MMAP = 1;

/** Offsets in struct io_uring_params, 120 bytes: where in the mapped rings what begins is at SQ and CQ. */
export const PARAMS = {
  SIZE: 120,
  SQ_ENTRIES: 0,
  CQ_ENTRIES: 4,
  FEATURES: 20,
  SQ: { TAIL: 44, MASK: 48, ARRAY: 64 },
  CQ: { HEAD: 80, TAIL: 84, MASK: 88, CQES: 100 },
} as const;

export const SQE_SIZE = 64;
export const CQE_SIZE = 16;
