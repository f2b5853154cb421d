// include/uapi/linux/capability.h
export const CAP = {
  CHOWN: 0,
  DAC_OVERRIDE: 1,
  FOWNER: 3,
  FSETID: 4,
  KILL: 5,
  SETGID: 6,
  SETUID: 7,
  SETPCAP: 8,
  NET_BIND_SERVICE: 10,
  NET_RAW: 13,
  SYS_CHROOT: 18,
  AUDIT_WRITE: 29,
  SETFCAP: 31,
} as const;

// include/uapi/linux/sched.h
export const CLONE = {
  FS: 0x00000200,
  NEWNS: 0x00020000,
  NEWUTS: 0x04000000,
  NEWIPC: 0x08000000,
  NEWPID: 0x20000000,
  NEWNET: 0x40000000,
} as const;

interface ThreadCalls {
  readonly setresuid: number;
  readonly setresgid: number;
  readonly setgroups: number;
  readonly rt_sigaction: number;
  readonly rt_sigprocmask: number;
  readonly keyctl: number;
  readonly pivot_root: number;
}

// include/uapi/asm-generic/unistd.h
const genericThreadCalls: ThreadCalls = {
  setresuid: 147,
  setresgid: 149,
  setgroups: 159,
  rt_sigaction: 134,
  rt_sigprocmask: 135,
  keyctl: 219,
  pivot_root: 41,
};

// System calls that glibc makes for the whole process; here one thread is meant. Numbers differ by architecture.
const threadCalls: Readonly<Record<string, ThreadCalls>> = {
  x64: {
    setresuid: 117,
    setresgid: 119,
    setgroups: 116,
    rt_sigaction: 13,
    rt_sigprocmask: 14,
    keyctl: 250,
    pivot_root: 155,
  },
  arm64: genericThreadCalls,
  riscv64: genericThreadCalls,
};

export function threadCallNumbers(): ThreadCalls {
  const numbers = threadCalls[process.arch];
  if (numbers === undefined) throw new Error(`the system call numbers of ${process.arch} are not known`);
  return numbers;
}

const generic = { setattr: 274, getattr: 275 } as const; // include/uapi/asm-generic/unistd.h

/** sched_setattr(2) and sched_getattr(2), which the C library long had no functions for, by architecture. */
export const schedCalls: Readonly<Record<string, { readonly setattr: number; readonly getattr: number }>> = {
  x64: { setattr: 314, getattr: 315 },
  arm64: generic,
  riscv64: generic,
};

// bits/spawn.h
export const POSIX_SPAWN_SETPGROUP = 0x02;
export const POSIX_SPAWN_SETSIGDEF = 0x04;
export const POSIX_SPAWN_SETSIGMASK = 0x08;
export const POSIX_SPAWN_SETSID = 0x80;

// bits/waitflags.h
export const P_ALL = 0;
export const P_PID = 1;
export const WNOHANG = 1;
export const WEXITED = 4;
export const WSTOPPED = 2;

export const CLD = { EXITED: 1, KILLED: 2, DUMPED: 3, TRAPPED: 4, STOPPED: 5 } as const;

export const CLOSE_RANGE_CLOEXEC = 4;
export const SYS_close_range = 436;
export const SYS_pidfd_open = 434;
export const SYS_faccessat2 = 439;
// include/uapi/linux/pidfd.h: _IOWR(0xff, 11, struct pidfd_info), as long as Linux 6.15 first had it
export const PIDFD_GET_INFO = 0xc040ff0b;
export const PIDFD_INFO_EXIT = 8;
export const PIDFD_INFO_SIZE_VER0 = 64;
export const RLIMIT_NOFILE = 7;

// include/uapi/linux/fcntl.h, prctl.h, asm-generic/{signal,signal-defs,ioctls}.h
export const F_SETFD = 2;
export const F_DUPFD_CLOEXEC = 1030;
export const PR_SET_PDEATHSIG = 1;
export const PR_CAPBSET_DROP = 24;
export const PR_SET_IO_FLUSHER = 57;
export const SIG_IGN = 1n;
export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGQUIT = 3;
export const SIGKILL = 9;
export const SIGUSR1 = 10;
export const SIGUSR2 = 12;
export const SIGTERM = 15;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGTSTP = 20;
export const SIGTTIN = 21;
export const SIGTTOU = 22;
export const SIGWINCH = 28;
export const TIOCGPGRP = 0x540f;
export const TIOCSPGRP = 0x5410;
