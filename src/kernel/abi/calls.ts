// Functions of the C library that are a system call and nothing else, with its number. Those that do more than the call are
// left out (fchmodat, everything about all threads), and names that an architecture doesn't have.
// As text: an object of so many properties would cost each start more than the few look-ups that it makes.

// arch/x86/entry/syscalls/syscall_64.tbl
const x64 =
  " read=0 write=1 close=3 poll=7 lseek=8 ioctl=16 socket=41 connect=42 sendto=44 recvfrom=45 sendmsg=46 recvmsg=47 socketpair=53 setsockopt=54 getsockopt=55 execve=59 fcntl=72 " +
  "flock=73 fsync=74 chdir=80 fchdir=81 readlink=89 fchmod=91 umask=95 personality=135 fstatfs=138 chroot=161 umount2=166 lsetxattr=189 " +
  "fsetxattr=190 lgetxattr=192 llistxattr=195 lremovexattr=198 getdents64=217 _exit=231 waitid=247 openat=257 mkdirat=258 mknodat=259 " +
  "fchownat=260 unlinkat=263 linkat=265 symlinkat=266 readlinkat=267 faccessat=269 unshare=272 utimensat=280 pipe2=293 " +
  "prlimit=302 setns=308 renameat2=316 statx=332 ";

// include/uapi/asm-generic/unistd.h
const generic =
  " lsetxattr=6 fsetxattr=7 lgetxattr=9 llistxattr=12 lremovexattr=15 fcntl=25 ioctl=29 flock=32 mknodat=33 mkdirat=34 " +
  "unlinkat=35 symlinkat=36 linkat=37 umount2=39 fstatfs=44 faccessat=48 chdir=49 fchdir=50 chroot=51 fchmod=52 fchownat=54 openat=56 " +
  "close=57 pipe2=59 getdents64=61 lseek=62 read=63 write=64 readlinkat=78 fsync=82 utimensat=88 personality=92 _exit=94 waitid=95 " +
  "unshare=97 umask=166 socket=198 socketpair=199 connect=203 sendto=206 recvfrom=207 setsockopt=208 getsockopt=209 sendmsg=211 recvmsg=212 execve=221 prlimit=261 setns=268 " +
  "renameat2=276 statx=291 ";

const known: Readonly<Record<string, string>> = { x64, arm64: generic, riscv64: generic };

/** @returns undefined where it is more than a call, or this machine's number isn't known */
export function callNumber(symbol: string, arch: string = process.arch): number | undefined {
  const text = known[arch] ?? "";
  const found = text.indexOf(` ${symbol}=`);
  if (found < 0) return undefined;
  const start = found + symbol.length + 2;
  return Number(text.slice(start, text.indexOf(" ", start)));
}
