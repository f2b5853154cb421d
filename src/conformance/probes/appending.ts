import * as fs from "node:fs";
import { same } from "../kit/assert.ts";
import { fcntl, RWF_APPEND, RWF_NOAPPEND, writeWith } from "../kit/data.ts";
import { open, O, put, read, text } from "../kit/files.ts";
import { address, map } from "../kit/memory.ts";
import { ended, start } from "../kit/program.ts";
import { area } from "../probe.ts";

export const appending = area("O_APPEND", [
  {
    name: "adds at the end of a file from below",
    why: "POSIX open()",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount, place) => {
      const fd = open(`${mount}/file`, O.RDWR | O.APPEND);
      fs.writeSync(fd, "+a");
      fs.writeSync(open(`${mount}/file`, O.WRONLY | O.APPEND), "+b");
      fs.writeSync(fd, "+c");
      same(text(`${mount}/file`), "old+a+b+c", "content");
      place.remount();
      same(text(`${mount}/file`), "old+a+b+c", "content after remount");
    },
  },
  {
    name: "adds at the end whatever offset is given, also after truncation",
    why: "pwrite(2): Linux adds all the same",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const fd = open(`${mount}/file`, O.RDWR | O.APPEND);
      fs.writeSync(fd, "+", 0);
      same(text(`${mount}/file`), "old+", "content after pwrite at 0");
      fs.truncateSync(`${mount}/file`, 1);
      fs.writeSync(fd, "x");
      same(text(`${mount}/file`), "ox", "content after truncate");
    },
  },
  {
    name: "is set and cleared by fcntl(2), and asked of one write by pwritev2(2)",
    why: "fcntl(2), F_SETFL; RWF_APPEND",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const fd = open(`${mount}/file`, O.RDWR);
      const plus = Buffer.from("+");
      writeWith(fd, address(plus), 1, 0, RWF_APPEND);
      same(text(`${mount}/file`), "old+", "content after RWF_APPEND");
      fcntl(fd, 4, O.APPEND);
      fs.writeSync(fd, "!");
      same(text(`${mount}/file`), "old+!", "content after F_SETFL");
      fcntl(fd, 4, 0);
      fs.writeSync(fd, "O", 0);
      same(text(`${mount}/file`), "Old+!", "content after clearing it");
    },
  },
  {
    name: "that open(2) was given is cleared by fcntl(2), and for one write by pwritev2(2)",
    why: "fcntl(2), F_SETFL; RWF_NOAPPEND; shells hand descriptors on that others then write into",
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      put(`${mount}/new`, "old");
      const plus = Buffer.from("+");
      for (const name of ["file", "new"]) {
        const fd = open(`${mount}/${name}`, O.RDWR | O.APPEND);
        const other = open(`${mount}/${name}`, O.RDWR);
        fs.writeSync(fd, "!");
        writeWith(fd, address(plus), 1, 1, RWF_NOAPPEND);
        same(text(`${mount}/${name}`), "o+d!", `content of ${name} after RWF_NOAPPEND`);
        fcntl(fd, 4, 0);
        fs.writeSync(fd, "O", 0);
        same(text(`${mount}/${name}`), "O+d!", `content of ${name} after clearing it`);
        fs.writeSync(other, "more", 4);
        fcntl(fd, 4, O.APPEND);
        fs.writeSync(fd, "end", 0);
        same(text(`${mount}/${name}`), "O+d!moreend", `content of ${name} after setting it again`);
        same(read(fd), "O+d!moreend", `what the descriptor reads of ${name}`);
        const mapping = map(fd, "write");
        mapping.write(0, "o");
        same([text(`${mount}/${name}`), mapping.read(1, 3)], ["o+d!moreend", "+d!"], `${name} and its mapping`);
      }
    },
  },
  {
    name: "four processes lose no line",
    why: "POSIX write(): with O_APPEND nothing comes between seeking and writing; logs",
    deadlineSeconds: 30,
    prepare: (lower) => put(`${lower}/log`, "first\n"),
    run: async (mount) => {
      const script = `i=0; while [ $i -lt 200 ]; do echo "$0 $i" >>'${mount}/log'; i=$((i+1)); done`;
      const all = ["a", "b", "c", "d"].map((name) => ended(start(["sh", "-c", script, name])));
      same(await Promise.all(all), [0, 0, 0, 0], "statuses");
      same(new Set(text(`${mount}/log`).trim().split("\n")).size, 801, "different lines");
    },
  },
]);
