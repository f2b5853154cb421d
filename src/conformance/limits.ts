/** Probes that a plain directory passes and our mount doesn't, each with what it would take. */
export const limits: ReadonlyMap<string, string> = new Map([
  [
    "fallocate: COLLAPSE_RANGE takes blocks out",
    "Linux's FUSE answers EOPNOTSUPP itself (fs/fuse/file.c, fuse_file_fallocate())",
  ],
  ["fallocate: INSERT_RANGE puts a hole between", "as COLLAPSE_RANGE"],
]);
