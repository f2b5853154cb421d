// include/uapi/asm-generic/fcntl.h; arm's own arch/arm64/include/uapi/asm/fcntl.h swaps two pairs.
const isArm = process.arch === "arm64" || process.arch === "arm";

export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  NONBLOCK: 0o4000,
  DIRECTORY: isArm ? 0o40000 : 0o200000,
  NOFOLLOW: isArm ? 0o100000 : 0o400000,
  DIRECT: isArm ? 0o200000 : 0o40000,
  NOATIME: 0o1000000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
  TMPFILE: 0o20000000 | (isArm ? 0o40000 : 0o200000),
} as const;

// include/uapi/linux/fcntl.h
export const AT = {
  FDCWD: -100,
  SYMLINK_NOFOLLOW: 0x100,
  STATX_FORCE_SYNC: 0x2000,
  STATX_DONT_SYNC: 0x4000,
  REMOVEDIR: 0x200,
  EACCESS: 0x200,
  SYMLINK_FOLLOW: 0x400,
  EMPTY_PATH: 0x1000,
  HANDLE_FID: 0x200,
  RECURSIVE: 0x8000,
} as const;

// include/uapi/linux/openat2.h
export const RESOLVE = {
  NO_XDEV: 0x01,
  NO_MAGICLINKS: 0x02,
  NO_SYMLINKS: 0x04,
  BENEATH: 0x08,
  IN_ROOT: 0x10,
} as const;

// include/uapi/linux/stat.h
export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;
export const STATX_MNT_ID = 0x1000;
export const STATX_MNT_ID_UNIQUE = 0x4000;
export const STATX_ATTR_MOUNT_ROOT = 0x2000;
export const STATX_SIZE = 256;

/** readdir(3)'s types of entries: the S_IF bits, 12 bits lower; UNKNOWN: the file system doesn't say. */
export const DT = { UNKNOWN: 0, CHR: 2, DIR: 4, REG: 8 } as const;

export const S = {
  IFMT: 0o170000,
  IFSOCK: 0o140000,
  IFLNK: 0o120000,
  IFREG: 0o100000,
  IFBLK: 0o060000,
  IFDIR: 0o040000,
  IFCHR: 0o020000,
  IFIFO: 0o010000,
  ISUID: 0o004000,
  ISGID: 0o002000,
} as const;

// include/uapi/linux/fs.h
export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;
export const FS_IOC_GETFLAGS = 0x80086601;
export const FS_IOC_GETVERSION = 0x80087601; // _IOR('v', 1, long)
export const FS_IOC_SETFLAGS = 0x40086602;
export const FS_IOC_FSGETXATTR = 0x801c581f;
export const FS_IOC_FSSETXATTR = 0x401c5820;
export const FS_IMMUTABLE_FL = 0x10;
export const FS_APPEND_FL = 0x20;
export const FS_XFLAG_IMMUTABLE = 0x8; // struct fsxattr's
export const FS_XFLAG_APPEND = 0x10;
export const FS_TOPDIR_FL = 0x20000;

/** include/linux/statfs.h */
export const ST_RDONLY = 1;

// include/uapi/linux/magic.h: what statfs(2) says of a file system's type
export const fileSystemNames: Readonly<Record<number, string>> = {
  0x794c7630: "overlay",
  0xef53: "ext4",
  0x58465342: "xfs",
  0x9123683e: "btrfs",
  0x01021994: "tmpfs",
  0x6969: "nfs",
  0x4d44: "vfat",
  0x2011bab0: "exfat",
  0x65735546: "fuse",
  0x73717368: "squashfs",
  0xe0f5e1e2: "erofs",
  0xff534d42: "cifs",
  0xfe534d42: "smb3",
  0x9fa0: "proc",
  0x62656572: "sysfs",
  0x63677270: "cgroup2",
  0x27e0eb: "cgroup",
  0x2fc12fc1: "zfs",
  0xf2f52010: "f2fs",
  0x01021997: "9p",
  0x9660: "iso9660",
  0x15013346: "udf",
  0x5346544e: "ntfs",
  0x858458f6: "ramfs",
  0x1373: "devfs",
  0x1cd1: "devpts",
  0x00c36400: "ceph",
};

export const XATTR_SIZE_MAX = 65536; // include/uapi/linux/limits.h
