import * as fs from "node:fs";
import { fails, holds, same } from "../kit/assert.ts";
import {
  copyRange,
  FALLOC,
  fallocate,
  fcntl,
  FS,
  getFlags,
  readInto,
  setFlags,
  truncate,
  writeFrom,
} from "../kit/data.ts";
import { append, close, fstat, list, open, O, put, read, stat, text, tree, write } from "../kit/files.ts";
import { O_DIRECT } from "../kit/kernel.ts";
import { map, pages } from "../kit/memory.ts";
import { area } from "../probe.ts";

const block = 4096;

export const direct = area("O_DIRECT", [
  {
    name: "reads a file from below",
    why: "open(2), O_DIRECT",
    prepare: (lower) => put(`${lower}/file`, "d".repeat(2 * block)),
    run: (mount) => {
      const memory = pages(2 * block);
      const fd = open(`${mount}/file`, O.RDONLY | O_DIRECT);
      same(readInto(fd, memory.address, block, block), block, "bytes read");
      same(memory.read(0, block), "d".repeat(block), "content");
      same(readInto(fd, memory.address, block, 2 * block), 0, "bytes at the end");
    },
  },
  {
    name: "writes what others read at once, and reads what they wrote",
    why: "databases and qemu mix it with other programs' reads",
    prepare: (lower) => put(`${lower}/file`, "d".repeat(2 * block)),
    run: (mount) => {
      const reader = open(`${mount}/file`);
      same(read(reader, 3), "ddd", "before");
      const mapping = map(open(`${mount}/file`), "read");
      mapping.read(0, 3);
      const memory = pages(block);
      memory.write(0, "e".repeat(block));
      const fd = open(`${mount}/file`, O.RDWR | O_DIRECT);
      same(writeFrom(fd, memory.address, block, 0), block, "bytes written");
      same(read(reader, 3), "eee", "what another descriptor reads");
      same(mapping.read(0, 3), "eee", "what a mapping shows");
      write(open(`${mount}/file`, O.RDWR), "fff");
      readInto(fd, memory.address, block, 0);
      same(memory.read(0, 4), "fffe", "what it reads after a write");
    },
  },
  {
    name: "extends a new file",
    why: "open(2), O_DIRECT",
    run: (mount, place) => {
      const memory = pages(block);
      memory.write(0, "n".repeat(block));
      const fd = open(`${mount}/new`, O.RDWR | O.CREAT | O_DIRECT);
      for (const at of [0, 2]) same(writeFrom(fd, memory.address, block, at * block), block, "bytes written");
      same(fstat(fd).size, BigInt(3 * block), "size");
      place.remount();
      same(text(`${mount}/new`), "n".repeat(block) + "\0".repeat(block) + "n".repeat(block), "content");
    },
  },
  {
    name: "can be set on an open file, and taken away for a last block that isn't whole",
    why: "fcntl(2), F_SETFL; dd oflag=direct",
    prepare: (lower) => put(`${lower}/file`, "d".repeat(block)),
    run: (mount) => {
      const fd = open(`${mount}/file`, O.RDWR);
      fcntl(fd, 4, O_DIRECT);
      const memory = pages(block);
      same(readInto(fd, memory.address, block, 0), block, "bytes read");
      same(memory.read(0, 3), "ddd", "content");
      const output = open(`${mount}/new`, O.WRONLY | O.CREAT | O_DIRECT);
      same(writeFrom(output, memory.address, block, 0), block, "bytes written");
      fcntl(output, 4, 0);
      same(writeFrom(output, memory.address, 3, block), 3, "bytes of the last block");
      same(text(`${mount}/new`), "d".repeat(block + 3), "content of the new file");
    },
  },
]);

export const shape = area("files", [
  {
    name: "truncating a file from below to any size",
    why: "POSIX truncate()",
    prepare: (lower) => {
      for (const size of [0, 1, 3, 4096, 5000, 9000, 100_000]) put(`${lower}/${size}`, "0123456789".repeat(500));
    },
    run: (mount, place) => {
      const sizes = [0, 1, 3, 4096, 5000, 9000, 100_000];
      const wanted = (size: number): string => "0123456789".repeat(500).slice(0, size).padEnd(size, "\0");
      for (const size of sizes) {
        truncate(`${mount}/${size}`, size);
        same(text(`${mount}/${size}`), wanted(size), `content of ${size} bytes`);
      }
      fails("EFBIG", () => truncate(`${mount}/3`, 2n ** 63n - 1n), "to 2^63 - 1 bytes");
      place.remount();
      for (const size of sizes) same(text(`${mount}/${size}`), wanted(size), `content of ${size} bytes after remount`);
    },
  },
  {
    name: "what was cut off doesn't come back",
    why: "POSIX truncate(): what is added reads as zeros",
    prepare: (lower) => put(`${lower}/file`, "x".repeat(10_000)),
    run: (mount) => {
      const fd = open(`${mount}/file`, O.RDWR);
      const mapping = map(fd, "write", 8192);
      mapping.write(5000, "yyy");
      fs.ftruncateSync(fd, 4100);
      fs.ftruncateSync(fd, 8192);
      same(read(fd, 8192), "x".repeat(4100).padEnd(8192, "\0"), "content");
      same(mapping.read(4098, 4), "xx\0\0", "what a mapping shows");
    },
  },
  {
    name: "O_TRUNC, O_EXCL, O_NOFOLLOW, O_DIRECTORY and the rest of open()",
    why: "POSIX open(), ERRORS",
    prepare: (lower) => {
      tree(lower, ["file", "dir/"]);
      fs.symlinkSync("file", `${lower}/link`);
      fs.symlinkSync("loop", `${lower}/loop`);
      fs.symlinkSync("missing", `${lower}/broken`);
    },
    run: (mount) => {
      fails("EEXIST", () => open(`${mount}/file`, O.RDWR | O.CREAT | O.EXCL), "O_EXCL of a file");
      fails("EEXIST", () => open(`${mount}/broken`, O.RDWR | O.CREAT | O.EXCL), "O_EXCL of a broken link");
      fails("ELOOP", () => open(`${mount}/link`, O.RDONLY | O.NOFOLLOW), "O_NOFOLLOW of a link");
      fails("ELOOP", () => open(`${mount}/loop`), "a loop of links");
      fails("ENOTDIR", () => open(`${mount}/file`, O.RDONLY | O.DIRECTORY), "O_DIRECTORY of a file");
      fails("EISDIR", () => open(`${mount}/dir`, O.WRONLY), "a directory for writing");
      fails("EISDIR", () => open(`${mount}/dir`, O.RDWR | O.CREAT), "a directory with O_CREAT");
      fails("ENOENT", () => open(`${mount}/none`), "what isn't there");
      fails("ENOTDIR", () => open(`${mount}/file/x`), "below a file");
      put(`${mount}/broken`, "made");
      same(text(`${mount}/missing`), "made", "a file made through a broken link");
      close(open(`${mount}/link`, O.WRONLY | O.TRUNC));
      same(text(`${mount}/file`), "", "content after O_TRUNC through a link");
    },
  },
  {
    name: "offsets beyond 4 GiB",
    why: "large files",
    prepare: (lower) => {
      put(`${lower}/file`, "start");
      fs.truncateSync(`${lower}/file`, 5 * 2 ** 30);
    },
    run: (mount) => {
      const before = open(`${mount}/file`);
      const fd = open(`${mount}/file`, O.RDWR);
      write(fd, "far", 6 * 2 ** 30);
      same(read(before, 3, 6 * 2 ** 30), "far", "content");
      same(fstat(before).size, BigInt(6 * 2 ** 30 + 3), "size");
      same(read(fd, 5), "start", "the start");
    },
  },
  {
    name: "chattr's flags are kept and obeyed",
    why: "ioctl_iflags(2)",
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["file", "log", "full/", "full/dir/", "full/dir/file"]),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      const flags = getFlags(fd);
      const { ctimeNs } = stat(`${mount}/file`);
      setFlags(fd, flags | FS.IMMUTABLE);
      try {
        holds(stat(`${mount}/file`).ctimeNs > ctimeNs, "ctime stays");
        same(getFlags(fd) & FS.IMMUTABLE, FS.IMMUTABLE, "the flag");
        fails("EPERM", () => open(`${mount}/file`, O.WRONLY), "opening an immutable file for writing");
        fails("EPERM", () => fs.unlinkSync(`${mount}/file`), "removing an immutable file");
        fails("EPERM", () => fs.chmodSync(`${mount}/file`, 0o600), "chmod of an immutable file");
      } finally {
        setFlags(fd, flags);
      }
      const full = open(`${mount}/full`);
      setFlags(full, getFlags(full) | FS.IMMUTABLE);
      try {
        fails(
          "EPERM",
          () => fs.rmdirSync(`${mount}/full/dir`),
          "removing what isn't empty from an immutable directory",
        );
      } finally {
        setFlags(full, getFlags(full) & ~FS.IMMUTABLE);
      }
      const log = open(`${mount}/log`);
      setFlags(log, getFlags(log) | FS.APPEND);
      try {
        append(`${mount}/log`, "+");
        fails("EPERM", () => open(`${mount}/log`, O.WRONLY | O.TRUNC), "truncating an append-only file");
        fails("EPERM", () => open(`${mount}/log`, O.WRONLY), "opening an append-only file without O_APPEND");
      } finally {
        setFlags(log, getFlags(log) & ~FS.APPEND);
      }
    },
  },
  {
    name: "a file that is immutable below is so here",
    why: "ioctl_iflags(2)",
    needs: ["privilege"],
    prepare: (lower) => {
      tree(lower, ["file"]);
      const fd = open(`${lower}/file`);
      setFlags(fd, getFlags(fd) | FS.IMMUTABLE);
      close(fd);
    },
    run: (mount, { layers }) => {
      try {
        fails("EPERM", () => open(`${mount}/file`, O.WRONLY), "opening it for writing");
        fails("EPERM", () => fs.unlinkSync(`${mount}/file`), "removing it");
        fails("EPERM", () => fs.renameSync(`${mount}/file`, `${mount}/x`), "renaming it");
        fails("EPERM", () => fs.chmodSync(`${mount}/file`, 0o600), "chmod");
        same(text(`${mount}/file`), "file", "content");
      } finally {
        const fd = open(`${layers.lower}/file`);
        setFlags(fd, getFlags(fd) & ~FS.IMMUTABLE);
      }
    },
  },
  {
    name: "a directory that is immutable or append-only below is so here, whatever is copied up in it",
    why: "ioctl_iflags(2): names don't come, or don't go; files in it are changed as ever",
    needs: ["privilege"],
    prepare: (lower) => {
      tree(lower, ["fixed/", "fixed/file", "fixed/sub/", "fixed/sub/deep", "grows/", "grows/file", "loose"]);
      changeFlags(`${lower}/fixed`, "+", FS.IMMUTABLE);
      changeFlags(`${lower}/grows`, "+", FS.APPEND);
    },
    run: (mount, place) => {
      const [fixed, grows] = [`${mount}/fixed`, `${mount}/grows`];
      const check = (when: string): void => {
        fails("EPERM", () => put(`${fixed}/new`), `making a file ${when}`);
        for (const directory of [fixed, grows]) {
          fails("EPERM", () => fs.unlinkSync(`${directory}/file`), `removing a file of ${directory} ${when}`);
          fails("EPERM", () => fs.renameSync(directory, `${mount}/x`), `renaming ${directory} ${when}`);
          fails("EPERM", () => fs.chmodSync(directory, 0o700), `chmod of ${directory} ${when}`);
        }
        fails("EPERM", () => fs.renameSync(`${mount}/loose`, `${grows}/file`), `renaming over a file ${when}`);
      };
      try {
        check("below");
        append(`${fixed}/sub/deep`, "+");
        append(`${grows}/file`, "+");
        put(`${grows}/new`);
        check("after a copy-up");
        place.remount();
        check("after a remount");
        changeFlags(fixed, "-", FS.IMMUTABLE);
        put(`${fixed}/new`);
        fs.unlinkSync(`${fixed}/file`);
        same(list(fixed), ["new", "sub"], "names");
      } finally {
        for (const top of new Set([mount, place.layers.lower])) {
          changeFlags(`${top}/fixed`, "-", FS.IMMUTABLE);
          changeFlags(`${top}/grows`, "-", FS.APPEND);
        }
      }
    },
  },
  {
    name: "a thousand random changes leave what they leave in memory",
    why: "reads, writes, mappings, truncation, holes and copies in one file, as fsx does",
    deadlineSeconds: 30,
    prepare: (lower) => put(`${lower}/file`, pattern(20_000)),
    run: (mount) => {
      for (const seed of [1, 2, 3]) changeAtRandom(`${mount}/file`, seed, 300);
    },
  },
]);

function changeFlags(path: string, how: "+" | "-", flag: number): void {
  const fd = open(path);
  setFlags(fd, how === "+" ? getFlags(fd) | flag : getFlags(fd) & ~flag);
  close(fd);
}

function pattern(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
}

/** Random changes of a file, and the same of its content in memory; throws where they part. */
function changeAtRandom(path: string, seed: number, count: number): void {
  let state = seed;
  const next = (limit: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % limit;
  };
  let model = Buffer.from(fs.readFileSync(path));
  const size = (length: number): void => {
    model = Buffer.concat([model.subarray(0, length), Buffer.alloc(Math.max(0, length - model.length))]);
  };
  const early = open(path);
  const fd = open(path, O.RDWR);
  for (let step = 0; step < count; step++) {
    const [kind, at, length] = [next(9), next(40_000), 1 + next(9000)];
    const data = Buffer.alloc(length, 1 + next(255));
    if (kind < 3) {
      if (at + length > model.length) size(at + length);
      data.copy(model, at);
      write(fd, data, at);
    } else if (kind === 3) {
      size(at);
      fs.ftruncateSync(fd, at);
    } else if (kind === 4 && model.length > 0) {
      const from = at % model.length;
      const part = data.subarray(0, model.length - from);
      part.copy(model, from);
      const mapping = map(fd, "write", model.length);
      mapping.write(from, part.toString("latin1"));
      mapping.unmap();
    } else if (kind === 5) {
      if (at < model.length) model.fill(0, at, Math.min(model.length, at + length));
      fallocate(fd, FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, at, length);
    } else if (kind === 6) {
      if (at + length > model.length) size(at + length);
      model.fill(0, at, at + length);
      fallocate(fd, FALLOC.ZERO_RANGE, at, length);
    } else if (kind === 7 && model.length > 0) {
      const part = Buffer.from(model.subarray(0, Math.min(length, model.length, at)));
      if (part.length > 0) {
        if (at + part.length > model.length) size(at + part.length);
        part.copy(model, at);
        same(copyRange(fd, 0, fd, at, part.length), part.length, "copied bytes");
      }
    } else {
      close(open(path));
    }
    const whole = Buffer.from(read(step % 2 === 0 ? early : fd, 60_000), "latin1");
    if (!whole.equals(model)) throw new Error(`seed ${seed}, step ${step}, kind ${kind}: content differs`);
    same(fstat(early).size, BigInt(model.length), `size at step ${step}`);
  }
  close(fd);
  close(early);
}
