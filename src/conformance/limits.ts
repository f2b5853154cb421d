/** Probes that a plain directory passes and our mount doesn't, each with what it would take. */
export const limits: ReadonlyMap<string, string> = new Map([
  [
    "fallocate: COLLAPSE_RANGE takes blocks out",
    "Linux's FUSE answers EOPNOTSUPP itself (fs/fuse/file.c, fuse_file_fallocate())",
  ],
  ["fallocate: INSERT_RANGE puts a hole between", "as COLLAPSE_RANGE"],
]);

/** Further ones with passthrough=off, where opening a file asks nobody: all is as it should be, but at the first use. */
export const limitsUnopened: ReadonlyMap<string, string> = new Map([
  ...limits,
  ["files: chattr's flags are kept and obeyed", "writing is EPERM, not opening"],
  ["files: a file that is immutable below is so here", "writing is EPERM, not opening"],
  ["full disks: a file that doesn't fit isn't copied up, and stays whole", "writing is ENOSPC, not opening"],
  ["full disks: what fits goes on to work after that", "writing is ENOSPC, not opening"],
]);
