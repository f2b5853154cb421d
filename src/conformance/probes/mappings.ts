import { same } from "../kit/assert.ts";
import { close, open, O, put, read, text, write } from "../kit/files.ts";
import { map } from "../kit/memory.ts";
import { area } from "../probe.ts";

const mapped = "overlayfs.rst, Non-standard behavior b): a shared mapping from before copy-up shows the old data";

export const mappings = area("shared mappings", [
  {
    name: "a shared mapping from before copy-up shows what is written later",
    why: mapped,
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const mapping = map(open(`${mount}/file`), "read");
      same(mapping.read(0, 11), "old content", "before");
      const writer = open(`${mount}/file`, O.RDWR);
      write(writer, "new");
      same(mapping.read(0, 11), "new content", "after");
    },
  },
  {
    name: "a shared mapping that was never touched shows what is written later",
    why: mapped,
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const mapping = map(open(`${mount}/file`), "read");
      write(open(`${mount}/file`, O.RDWR), "new");
      same(mapping.read(0, 11), "new content", "content");
    },
  },
  {
    name: "a shared mapping from before shows what is written through a mapping",
    why: mapped,
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const reader = map(open(`${mount}/file`), "read");
      reader.read(0, 3);
      const writer = map(open(`${mount}/file`, O.RDWR), "write");
      writer.write(0, "new");
      same(reader.read(0, 11), "new content", "content");
    },
  },
  {
    name: "a mapping lives on when its descriptor is closed",
    why: mapped,
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      const mapping = map(fd, "read");
      close(fd);
      write(open(`${mount}/file`, O.RDWR), "new");
      same(mapping.read(0, 11), "new content", "content");
    },
  },
  {
    name: "what is written through a mapping is read, and kept",
    why: "POSIX mmap(), msync()",
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount, place) => {
      const reader = open(`${mount}/file`);
      const mapping = map(open(`${mount}/file`, O.RDWR), "write");
      mapping.write(0, "new");
      same(read(reader), "new content", "content");
      mapping.sync();
      same(text(`${mount}/file`), "new content", "content after msync");
      mapping.write(4, "CONTENT");
      mapping.unmap();
      place.remount();
      same(text(`${mount}/file`), "new CONTENT", "content after remount");
    },
  },
  {
    name: "a private mapping keeps its own changes to itself",
    why: "POSIX mmap(), MAP_PRIVATE",
    prepare: (lower) => put(`${lower}/file`, "old content"),
    run: (mount) => {
      const mapping = map(open(`${mount}/file`), "write", 4096, "private");
      mapping.write(0, "new");
      same(text(`${mount}/file`), "old content", "content");
      same(mapping.read(0, 11), "new content", "mapping");
    },
  },
]);
