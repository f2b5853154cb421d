// Requests per second of src/fuse, and of the same file system in C on libfuse where `cc` and libfuse3-dev are there:
// node_modules/.bin/bun bench/fuse.ts [--rounds=15]
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, openSync, readdirSync, readFileSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { attachAt, Connection } from "../src/fuse/connection.ts";
import type { FileSystem } from "../src/fuse/filesystem.ts";
import { serve } from "../src/fuse/serve.ts";
import { FOPEN } from "../src/fuse/wire/protocol.ts";
import type { Attr, Entry } from "../src/fuse/wire/types.ts";
import { cString, native } from "../src/kernel/libc.ts";
import { Clock, machine, markdown, numberOption, run } from "./measure.ts";
import { inPrivatePlace, type Place } from "./place.ts";

const [dirId, fileId, firstId, entries, size] = [2, 3, 4, 1000, 4096];

/** What bench/fuse-hello.c does. */
function helloFileSystem(): FileSystem {
  const content = Buffer.alloc(size);
  const times = { atime: 0, atimeNsec: 0, mtime: 0, mtimeNsec: 0, ctime: 0, ctimeNsec: 0 };
  const attrOf = (nodeid: number): Attr => {
    const isDirectory = nodeid <= dirId;
    const mode = isDirectory ? 0o40755 : 0o100644;
    return { ino: nodeid, mode, nlink: 1, uid: 0, gid: 0, size: isDirectory ? 0 : size, blocks: 0, ...times };
  };
  const enter = (nodeid: number): Entry => ({ nodeid, attr: attrOf(nodeid) });
  return {
    lookup(parent, name) {
      if (parent === 1) return name === "dir" ? enter(dirId) : name === "file" ? enter(fileId) : undefined;
      return name.startsWith("n") ? enter(firstId + Number(name.slice(1))) : undefined;
    },
    getattr: (nodeid) => ({ attr: attrOf(nodeid) }),
    readdirplus(nodeid, _fh, offset, writer) {
      if (nodeid !== dirId) return;
      for (let at = offset; at < entries; at++) {
        if (!writer.addEntry(`n${at}`, firstId + at, 8, at + 1, enter(firstId + at))) return;
      }
    },
    // Without this the kernel would answer from what it has cached.
    opendir: (nodeid) => ({ fh: nodeid }),
    open: (nodeid) => ({ fh: nodeid, flags: FOPEN.DIRECT_IO }),
    read: (_nodeid, from, into) => content.copy(into, 0, from.offset, from.offset + from.size),
    write(_nodeid, to, data) {
      content.set(data.subarray(0, Math.max(0, size - to.offset)), Math.min(to.offset, size));
      return data.length;
    },
  };
}

/** In the server's process. */
function serveHello(directory: string): void {
  const connection = new Connection();
  attachAt(connection.mount({ source: "hello" }), directory);
  const features = { READDIRPLUS_AUTO: false };
  serve(connection, helloFileSystem(), { entryTimeoutMs: 0, attrTimeoutMs: 0, features });
}

/** In the client's process: milliseconds for one of each, as JSON. */
function measureHello(directory: string): void {
  const statx = native("statx", "int", ["int", "void *", "int", "unsigned int", "void *"]);
  const buffer = Buffer.alloc(size);
  const [empty, file, none, dir] = ["", "file", "none", "dir"].map((name) =>
    cString(name === "" ? "" : join(directory, name)),
  );
  const fd = openSync(join(directory, "file"), "r+");
  const works: Record<string, [count: number, work: () => void]> = {
    "getattr (fstat)": [10_000, () => statx(fd, empty ?? null, 0x1000, 0x7ff, buffer)],
    "lookup (stat)": [10_000, () => statx(-100, file ?? null, 0, 0x7ff, buffer)],
    "lookup of a name that isn't there": [10_000, () => statx(-100, none ?? null, 0, 0x7ff, buffer)],
    "directory of 1,000 entries (readdirplus)": [50, () => void readdirSync(join(directory, "dir"))],
    "read of 4 KiB": [10_000, () => void readSync(fd, buffer, 0, size, 0)],
    "write of 4 KiB": [10_000, () => void writeSync(fd, buffer, 0, size, 0)],
  };
  statx(-100, dir ?? null, 0, 0x7ff, buffer);
  const times: Record<string, number> = {};
  for (const [name, [count, work]] of Object.entries(works)) {
    const start = performance.now();
    for (let index = 0; index < count; index++) work();
    times[name] = (performance.now() - start) / count;
  }
  console.log(JSON.stringify(times));
}

/** libfuse's side, compiled; undefined where that can't be done. */
function compile(directory: string): string | undefined {
  const flags = spawnSync("pkg-config", ["--cflags", "--libs", "fuse3"], { encoding: "utf8" });
  if (flags.status !== 0) return undefined;
  const program = join(directory, "fuse-hello");
  const source = join(import.meta.dirname, "fuse-hello.c");
  const { status } = spawnSync("cc", ["-O2", "-o", program, source, ...flags.stdout.trim().split(/\s+/)]);
  return status === 0 ? program : undefined;
}

async function start(command: readonly string[], mountPoint: string): Promise<ChildProcess> {
  const [program = "", ...args] = command;
  const child = spawn(program, [...args, mountPoint], { stdio: "inherit" });
  while (!readFileSync("/proc/self/mounts", "utf8").includes(` ${mountPoint} `)) {
    await new Promise((wake) => setTimeout(wake, 10));
  }
  return child;
}

async function compare({ base: directory }: Place): Promise<void> {
  const compiled = compile(directory);
  const sides: Record<string, readonly string[]> = { ours: [process.execPath, import.meta.filename, "serve"] };
  if (compiled !== undefined) sides["libfuse"] = [compiled];
  const clock = new Clock();
  const names = new Set<string>();
  for (const side of Object.keys(sides)) mkdirSync(join(directory, side));
  const servers = await Promise.all(
    Object.entries(sides).map(([side, command]) => start(command, join(directory, side))),
  );
  const rounds = numberOption("rounds", 15);
  for (let round = -1; round < rounds; round++) {
    for (const side of Object.keys(sides)) {
      const output = run([process.execPath, import.meta.filename, "client", join(directory, side)]);
      for (const [name, ms] of Object.entries(JSON.parse(output) as Record<string, number>)) {
        names.add(name);
        if (round >= 0) clock.add(`${side} ${name}`, ms);
      }
    }
  }
  for (const side of Object.keys(sides)) run(["umount", join(directory, side)]);
  for (const server of servers) if (server.exitCode === null) await once(server, "exit");
  console.log(`\n${machine()}; microseconds for one, medians of ${rounds}\n`);
  const rows = [...names].map((name) => {
    const [ours, theirs] = [clock.get(`ours ${name}`).median * 1000, clock.get(`libfuse ${name}`).median * 1000];
    const perSecond = Math.round(1e6 / ours).toLocaleString("en");
    return [name, ours.toFixed(2), perSecond, theirs.toFixed(2), (ours / theirs).toFixed(2)];
  });
  console.log(markdown([["", "ours, µs", "ours, per second", "libfuse (C), µs", "ratio"], ...rows]));
}

const [what, directory = ""] = process.argv.slice(2);
if (what === "serve") serveHello(directory);
else if (what === "client") measureHello(directory);
else await inPrivatePlace(compare);
