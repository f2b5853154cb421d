import * as fs from "node:fs";
import { fails, holds, same } from "../kit/assert.ts";
import { clone, copyRange, dataMap, FALLOC, fallocate, SEEK, seek, sendfile } from "../kit/data.ts";
import { append, fstat, open, O, put, read, stat, text, tree, write } from "../kit/files.ts";
import { map } from "../kit/memory.ts";
import { sh } from "../kit/program.ts";
import { area } from "../probe.ts";

const block = 4096;

/** Of 16 blocks: data in the second, the fifth and sixth, and the last; holes between. */
function sparse(path: string): void {
  put(path);
  const fd = fs.openSync(path, "r+");
  for (const [at, count] of [
    [1, 1],
    [4, 2],
    [15, 1],
  ] as const)
    fs.writeSync(fd, "d".repeat(count * block), at * block);
  fs.closeSync(fd);
}

const sparseMap = [
  [block, 2 * block],
  [4 * block, 6 * block],
  [15 * block, 16 * block],
];

export const allocation = area("fallocate", [
  {
    name: "makes a file from below longer",
    why: "fallocate(2)",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const before = open(`${mount}/file`);
      const fd = open(`${mount}/file`, O.RDWR);
      fallocate(fd, 0, 0, 2 * block);
      same(fstat(fd).size, BigInt(2 * block), "size");
      same(read(before, 2 * block), "old".padEnd(2 * block, "\0"), "content");
      holds(fstat(fd).blocks >= 16n, "no blocks are allocated");
    },
  },
  {
    name: "KEEP_SIZE reserves space behind the end",
    why: "fallocate(2)",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const fd = open(`${mount}/file`, O.RDWR);
      fallocate(fd, FALLOC.KEEP_SIZE, 0, 16 * block);
      same(fstat(fd).size, 3n, "size");
      holds(fstat(fd).blocks >= 128n, "no blocks are allocated");
      same(text(`${mount}/file`), "old", "content");
    },
  },
  {
    name: "PUNCH_HOLE gives space back, and others read zeros",
    why: "fallocate(2)",
    prepare: (lower) => put(`${lower}/file`, "d".repeat(4 * block)),
    run: (mount) => {
      const reader = open(`${mount}/file`);
      const mapping = map(reader, "read", 4 * block);
      same(mapping.read(block, 1) + read(reader, 1, block), "dd", "before");
      const fd = open(`${mount}/file`, O.RDWR);
      fallocate(fd, FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, block, 2 * block);
      same(read(reader, 5 * block), "d".repeat(block) + "\0".repeat(2 * block) + "d".repeat(block), "content");
      same(mapping.read(block, 1), "\0", "what a mapping shows");
      same(
        dataMap(fd),
        [
          [0, block],
          [3 * block, 4 * block],
        ],
        "where data is",
      );
    },
  },
  {
    name: "ZERO_RANGE writes zeros, with and without growing",
    why: "fallocate(2)",
    prepare: (lower) => put(`${lower}/file`, "d".repeat(2 * block)),
    run: (mount) => {
      const fd = open(`${mount}/file`, O.RDWR);
      fallocate(fd, FALLOC.ZERO_RANGE | FALLOC.KEEP_SIZE, block + 10, 3 * block);
      same(fstat(fd).size, BigInt(2 * block), "size with KEEP_SIZE");
      same(read(fd, 3 * block), "d".repeat(block + 10).padEnd(2 * block, "\0"), "content");
      fallocate(fd, FALLOC.ZERO_RANGE, 0, 3 * block);
      same(read(fd, 4 * block), "\0".repeat(3 * block), "content without KEEP_SIZE");
    },
  },
  {
    name: "COLLAPSE_RANGE takes blocks out",
    why: "fallocate(2)",
    prepare: (lower) => put(`${lower}/file`, `${"a".repeat(block)}${"b".repeat(block)}${"c".repeat(block)}`),
    run: (mount) => {
      const reader = open(`${mount}/file`);
      read(reader, 3 * block);
      fallocate(open(`${mount}/file`, O.RDWR), FALLOC.COLLAPSE_RANGE, block, block);
      same(read(reader, 3 * block), "a".repeat(block) + "c".repeat(block), "content");
    },
  },
  {
    name: "INSERT_RANGE puts a hole between",
    why: "fallocate(2)",
    prepare: (lower) => put(`${lower}/file`, `${"a".repeat(block)}${"b".repeat(block)}`),
    run: (mount) => {
      const reader = open(`${mount}/file`);
      read(reader, 3 * block);
      fallocate(open(`${mount}/file`, O.RDWR), FALLOC.INSERT_RANGE, block, block);
      same(read(reader, 4 * block), "a".repeat(block) + "\0".repeat(block) + "b".repeat(block), "content");
    },
  },
  {
    name: "refuses read-only descriptors, nonsense, and directories",
    why: "fallocate(2), ERRORS",
    prepare: (lower) => tree(lower, ["file", "dir/"]),
    run: (mount) => {
      fails("EBADF", () => fallocate(open(`${mount}/file`), 0, 0, 10), "of a read-only descriptor");
      const fd = open(`${mount}/file`, O.RDWR);
      fails("EINVAL", () => fallocate(fd, 0, 0, 0), "of no length");
      fails("EINVAL", () => fallocate(fd, 0, -1, 10), "from before the start");
      fails("EOPNOTSUPP", () => fallocate(fd, FALLOC.PUNCH_HOLE, 0, 10), "PUNCH_HOLE without KEEP_SIZE");
      fails("EFBIG", () => fallocate(fd, 0, Number.MAX_SAFE_INTEGER, 1 << 30), "beyond what files may have");
      same(text(`${mount}/file`), "file", "content");
    },
  },
]);

export const holes = area("holes", [
  {
    name: "SEEK_DATA and SEEK_HOLE find those of a file from below, and of its copy",
    why: "lseek(2); cp and tar skip holes by it",
    prepare: (lower) => sparse(`${lower}/file`),
    run: (mount, place) => {
      same(dataMap(open(`${mount}/file`)), sparseMap, "where data is");
      const fd = open(`${mount}/file`, O.RDWR);
      same(dataMap(fd), sparseMap, "where data is after copy-up");
      write(fd, "x", 9 * block);
      same(seek(fd, 7 * block, SEEK.DATA), 9 * block, "data in what was a hole");
      place.remount();
      same(seek(open(`${mount}/file`), 7 * block, SEEK.DATA), 9 * block, "data in what was a hole, after remount");
    },
  },
  {
    name: "a copy takes no more space than the file from below",
    why: "copy-up keeps holes; disks of machines are sparse",
    prepare: (lower) => {
      sparse(`${lower}/file`);
      fs.truncateSync(`${lower}/file`, 1 << 30);
    },
    run: (mount) => {
      const before = stat(`${mount}/file`).blocks;
      append(`${mount}/file`, "x");
      const { size, blocks } = stat(`${mount}/file`);
      same(size, BigInt((1 << 30) + 1), "size");
      holds(blocks <= before + 16n, `${blocks} blocks instead of ${before}`);
    },
  },
  {
    name: "a descriptor from before copy-up finds holes and data of the copy",
    why: "POSIX open(): a descriptor is of the file",
    prepare: (lower) => sparse(`${lower}/file`),
    run: (mount) => {
      const before = open(`${mount}/file`);
      seek(before, 0, SEEK.DATA);
      write(open(`${mount}/file`, O.RDWR), "x", 9 * block);
      same(seek(before, 7 * block, SEEK.DATA), 9 * block, "data");
      same(seek(before, 0, SEEK.END), 16 * block, "end");
    },
  },
  {
    name: "the end is a hole, and behind it nothing is",
    why: "lseek(2), ENXIO",
    prepare: (lower) => put(`${lower}/file`, "x".repeat(10)),
    run: (mount) => {
      for (const flags of [O.RDONLY, O.RDWR]) {
        const fd = open(`${mount}/file`, flags);
        same(seek(fd, 0, SEEK.HOLE), 10, "hole");
        fails("ENXIO", () => seek(fd, 10, SEEK.DATA), "data at the end");
        fails("ENXIO", () => seek(fd, 11, SEEK.HOLE), "hole behind the end");
        fails("EINVAL", () => seek(fd, -1, SEEK.SET), "before the start");
        fails("ENXIO", () => seek(fd, -1, SEEK.DATA), "data before the start");
      }
    },
  },
  {
    name: "a file's end moves with writes through other descriptors",
    why: "lseek(2), SEEK_END",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      same(seek(fd, 0, SEEK.END), 3, "before");
      append(`${mount}/file`, "new");
      same(seek(fd, 0, SEEK.END), 6, "after");
    },
  },
]);

export const copying = area("copying", [
  {
    name: "copy_file_range from and to files from below",
    why: "copy_file_range(2); cp uses it",
    prepare: (lower) => {
      put(`${lower}/from`, "0123456789");
      put(`${lower}/to`, "abcdefghij");
    },
    run: (mount) => {
      const [from, to] = [open(`${mount}/from`), open(`${mount}/to`, O.RDWR)];
      const reader = open(`${mount}/to`);
      read(reader);
      same(copyRange(from, 2, to, 8, 5), 5, "bytes");
      same(text(`${mount}/to`), "abcdefgh23456", "content");
      same(read(reader), "abcdefgh23456", "what another descriptor reads");
      same(copyRange(from, 10, to, 0, 5), 0, "bytes at the end");
    },
  },
  {
    name: "copy_file_range from a descriptor from before copy-up",
    why: "POSIX open(): a descriptor is of the file",
    prepare: (lower) => put(`${lower}/from`, "old content"),
    run: (mount) => {
      const from = open(`${mount}/from`);
      write(open(`${mount}/from`, O.RDWR), "new");
      const to = open(`${mount}/to`, O.RDWR | O.CREAT);
      same(copyRange(from, 0, to, 0, 100), 11, "bytes");
      same(text(`${mount}/to`), "new content", "content");
    },
  },
  {
    name: "copy_file_range within a file",
    why: "copy_file_range(2): ranges may not overlap",
    prepare: (lower) => put(`${lower}/file`, "0123456789"),
    run: (mount) => {
      const fd = open(`${mount}/file`, O.RDWR);
      same(copyRange(fd, 0, fd, 10, 5), 5, "bytes");
      same(text(`${mount}/file`), "012345678901234", "content");
      fails("EINVAL", () => copyRange(fd, 0, fd, 3, 5), "of overlapping ranges");
    },
  },
  {
    name: "copy_file_range refuses what it can't",
    why: "copy_file_range(2), ERRORS",
    prepare: (lower) => tree(lower, ["a", "b", "dir/"]),
    run: (mount) => {
      const [a, b] = [open(`${mount}/a`), open(`${mount}/b`)];
      fails("EBADF", () => copyRange(a, 0, b, 0, 1), "to a read-only descriptor");
      fails("EBADF", () => copyRange(a, 0, open(`${mount}/b`, O.WRONLY | O.APPEND), 0, 1), "to one with O_APPEND");
      fails("EISDIR", () => copyRange(open(`${mount}/dir`), 0, open(`${mount}/b`, O.RDWR), 0, 1), "from a directory");
    },
  },
  {
    name: "copying out of the mount and into it",
    why: "cp, mv and install between file systems",
    prepare: (lower) => put(`${lower}/file`, "d".repeat(100_000)),
    run: (mount, { outside }) => {
      sh(
        `cp '${mount}/file' '${outside}/file'; cp --reflink=auto --sparse=always '${outside}/file' '${mount}/back'; cmp '${mount}/file' '${mount}/back'`,
      );
      const to = open(`${outside}/sent`, O.RDWR | O.CREAT);
      same(sendfile(open(`${mount}/file`), to, 0, 100_000), 100_000, "bytes sent");
      sh(
        `mv '${outside}/sent' '${mount}/moved'; cmp '${mount}/file' '${mount}/moved'; mv '${mount}/moved' '${outside}'`,
      );
    },
  },
  {
    name: "FICLONE shares blocks, or says that it can't",
    why: "ioctl_ficlone(2): cp --reflink=auto copies then",
    prepare: (lower) => put(`${lower}/from`, "d".repeat(block)),
    run: (mount) => {
      const to = open(`${mount}/to`, O.RDWR | O.CREAT);
      try {
        clone(open(`${mount}/from`), to);
      } catch (error) {
        fails(
          ["EOPNOTSUPP", "EXDEV", "EINVAL"],
          () => {
            throw error;
          },
          "FICLONE",
        );
        return;
      }
      same(text(`${mount}/to`), "d".repeat(block), "content");
    },
  },
]);
