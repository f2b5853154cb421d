// bits/socket.h, bits/socket_type.h; asm-generic/socket.h
export const AF_UNIX = 1;
export const SOL_SOCKET = 1;
export const SCM_RIGHTS = 1;
export const SOCK = { STREAM: 1, DGRAM: 2, SEQPACKET: 5 } as const;
export const SO = { SNDTIMEO: 21, SNDBUFFORCE: 32, PEERCRED: 17, PEERGROUPS: 59, PEERPIDFD: 77 } as const;
export const MSG = {
  CTRUNC: 0x8,
  DONTWAIT: 0x40,
  NOSIGNAL: 0x4000,
  CMSG_CLOEXEC: 0x40000000,
} as const;

// asm-generic/poll.h
export const POLL = { IN: 1, OUT: 4, ERR: 8, HUP: 16 } as const;
