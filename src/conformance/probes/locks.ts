import * as fs from "node:fs";
import { fails, same } from "../kit/assert.ts";
import { fcntl } from "../kit/data.ts";
import { append, close, open, O, put, stat, text, tree } from "../kit/files.ts";
import { flock, holder, lock } from "../kit/locks.ts";
import { ended, line, run, start } from "../kit/program.ts";
import { area } from "../probe.ts";

const why = "locks are of the file: on overlayfs those from before copy-up are of another inode";

/** Whether another process gets the lock of flock(1). */
function othersGet(path: string, kind = "--exclusive"): boolean {
  return run(["flock", "--nonblock", kind, path, "true"]).status === 0;
}

/** Processes with locks of fcntl(2): bash has none, dpkg's way in perl is. */
const perlLock = (path: string, how: string): string[] => [
  "perl",
  "-e",
  `use Fcntl; open(F, "${how === "F_RDLCK" ? "<" : "+<"}", $ARGV[0]) or die; my $l = pack("s s x4 q q l", ${how}, 0, 0, 0, 0);
   exit(fcntl(F, F_SETLK, $l) ? 0 : 1)`,
  path,
];

export const locks = area("locks", [
  {
    name: "flock() holds over copy-up",
    why,
    prepare: (lower) => put(`${lower}/file`),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      same(flock(fd, "exclusive"), true, "got the lock");
      append(`${mount}/file`, "x");
      same(flock(open(`${mount}/file`), "exclusive"), false, "a second one is got");
      same(flock(open(`${mount}/file`, O.RDWR), "shared"), false, "a shared one is got, by a writer");
      flock(fd, "unlock");
      same(flock(open(`${mount}/file`), "exclusive"), true, "got it after unlock");
    },
  },
  {
    name: "flock() holds between processes, over copy-up",
    why,
    prepare: (lower) => put(`${lower}/file`),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      flock(fd, "exclusive");
      same(othersGet(`${mount}/file`), false, "another process gets it");
      fs.chmodSync(`${mount}/file`, 0o666);
      same(othersGet(`${mount}/file`), false, "another process gets it after copy-up");
      close(fd);
      same(othersGet(`${mount}/file`), true, "another process gets it after close");
    },
  },
  {
    name: "shared locks of flock() go together, over copy-up",
    why,
    prepare: (lower) => put(`${lower}/file`),
    run: (mount) => {
      flock(open(`${mount}/file`), "shared");
      append(`${mount}/file`, "x");
      same(othersGet(`${mount}/file`, "--shared"), true, "another process gets a shared one");
      same(othersGet(`${mount}/file`), false, "another process gets an exclusive one");
    },
  },
  {
    name: "fcntl() locks hold over copy-up",
    why,
    prepare: (lower) => put(`${lower}/file`, "0123456789"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      same(lock(fd, "own", "read"), true, "got a read lock");
      const writer = open(`${mount}/file`, O.RDWR);
      same(lock(writer, "open file", "write"), false, "another owner gets a write lock");
      same(lock(writer, "open file", "read"), true, "another owner gets a read lock");
    },
  },
  {
    name: "open file locks hold over copy-up",
    why,
    prepare: (lower) => put(`${lower}/file`, "0123456789"),
    run: (mount) => {
      const before = open(`${mount}/file`);
      same(lock(before, "open file", "read", 2, 3), true, "got a read lock on 2–4");
      const writer = open(`${mount}/file`, O.RDWR);
      same(lock(writer, "open file", "write", 4, 1), false, "a write lock on 4");
      same(lock(writer, "open file", "write", 5, 1), true, "a write lock on 5");
      close(before);
      same(lock(writer, "open file", "write", 4, 1), true, "a write lock on 4 after close");
    },
  },
  {
    name: "fcntl() locks hold between processes, over copy-up",
    why,
    prepare: (lower) => put(`${lower}/file`, "x"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      lock(fd, "own", "read");
      same(run(perlLock(`${mount}/file`, "F_WRLCK")).status, 1, "another process's write lock, as it copies up");
      same(run(perlLock(`${mount}/file`, "F_RDLCK")).status, 0, "another process's read lock");
      lock(fd, "own", "unlock");
      same(run(perlLock(`${mount}/file`, "F_WRLCK")).status, 0, "another process's write lock after unlock");
    },
  },
  {
    name: "F_GETLK tells who holds what",
    why: "fcntl(2)",
    prepare: (lower) => put(`${lower}/file`, "0123456789"),
    run: (mount) => {
      const before = open(`${mount}/file`);
      lock(before, "own", "read", 2, 3);
      append(`${mount}/file`, "x");
      // Opening and closing the file above has released the process's lock, as POSIX has it.
      const writer = open(`${mount}/file`, O.RDWR);
      same(holder(writer, "open file", "write"), undefined, "holder after a close");
      lock(before, "own", "read", 2, 3);
      const found = holder(writer, "open file", "write");
      same(found, { type: "read", start: 2, length: 3, pid: process.pid }, "holder");
    },
  },
  {
    name: "closing any descriptor of a file releases the process's fcntl() locks",
    why: "POSIX close()",
    prepare: (lower) => put(`${lower}/file`, "x"),
    run: (mount) => {
      const fd = open(`${mount}/file`, O.RDWR);
      lock(fd, "own", "write");
      close(open(`${mount}/file`));
      same(lock(open(`${mount}/file`), "open file", "read"), true, "another owner's lock");
    },
  },
  {
    name: "a lock under one hard link holds under another",
    why: "locks are of the inode",
    prepare: (lower) => {
      put(`${lower}/a`, "x");
      fs.linkSync(`${lower}/a`, `${lower}/b`);
    },
    run: (mount) => {
      const a = open(`${mount}/a`);
      flock(a, "exclusive");
      lock(a, "open file", "read");
      append(`${mount}/b`, "y");
      same(flock(open(`${mount}/b`), "shared"), false, "flock under the other name");
      same(lock(open(`${mount}/b`, O.RDWR), "open file", "write"), false, "a write lock under the other name");
    },
  },
  {
    name: "locks hold over rename, and when the kernel forgets",
    why: "locks are of the open file",
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount, place) => {
      const fd = open(`${mount}/dir/file`);
      flock(fd, "exclusive");
      lock(fd, "open file", "read");
      fs.renameSync(`${mount}/dir`, `${mount}/there`);
      place.evict();
      same(flock(open(`${mount}/there/file`), "shared"), false, "flock");
      same(lock(open(`${mount}/there/file`, O.RDWR), "open file", "write"), false, "a write lock");
    },
  },
  {
    name: "who waits for flock() gets it when it is released",
    why: "flock(2)",
    prepare: (lower) => put(`${lower}/file`),
    run: async (mount) => {
      const fd = open(`${mount}/file`);
      flock(fd, "exclusive");
      const waiting = start(["sh", "-c", `echo ready; exec flock '${mount}/file' echo got`]);
      await line(waiting);
      await new Promise((wake) => setTimeout(wake, 50));
      append(`${mount}/file`, "x");
      same(waiting.exitCode, null, "it waits");
      flock(fd, "unlock");
      same(await ended(waiting), 0, "its status");
    },
  },
  {
    name: "who waits for a lock of fcntl() gets it when it is released",
    why: "fcntl(2), F_SETLKW",
    prepare: (lower) => put(`${lower}/file`),
    run: async (mount) => {
      const fd = open(`${mount}/file`, O.RDWR);
      lock(fd, "open file", "write");
      const [program = "", option = "", script = "", path = ""] = perlLock(`${mount}/file`, "F_WRLCK");
      const waiting = start([
        program,
        option,
        `$| = 1; print "ready\n"; ${script.replace("F_SETLK,", "F_SETLKW,")}`,
        path,
      ]);
      await line(waiting);
      await new Promise((wake) => setTimeout(wake, 50));
      same(waiting.exitCode, null, "it waits");
      lock(fd, "open file", "unlock");
      same(await ended(waiting), 0, "its status");
    },
  },
  {
    name: "who waits for a lock can be killed, and the next gets it",
    why: "signal(7): waiting for a lock is interrupted",
    prepare: (lower) => put(`${lower}/file`),
    run: async (mount) => {
      const fd = open(`${mount}/file`);
      flock(fd, "exclusive");
      const waiting = start(["sh", "-c", `echo ready; exec flock '${mount}/file' true`]);
      await line(waiting);
      await new Promise((wake) => setTimeout(wake, 50));
      waiting.kill("SIGTERM");
      same(await ended(waiting), null, "its status");
      flock(fd, "unlock");
      same(othersGet(`${mount}/file`), true, "another process gets it");
    },
  },
  {
    name: "a process that dies leaves no lock",
    why: "flock(2), fcntl(2)",
    prepare: (lower) => put(`${lower}/file`),
    run: async (mount) => {
      const holding = start(["flock", `${mount}/file`, "sh", "-c", "echo ready; exec sleep 100"]);
      await line(holding);
      same(flock(open(`${mount}/file`), "shared"), false, "the lock while it lives");
      run(["pkill", "-KILL", "-P", String(holding.pid ?? 0)]);
      holding.kill("SIGKILL");
      await ended(holding);
      for (let tries = 0; tries < 100 && !othersGet(`${mount}/file`); tries++)
        await new Promise((wake) => setTimeout(wake, 10));
      same(othersGet(`${mount}/file`), true, "another process gets it");
    },
  },
  {
    name: "/proc/locks names the inode as stat does",
    why: "overlayfs.rst: d_ino == i_ino; lslocks looks it up",
    prepare: (lower) => put(`${lower}/file`),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      flock(fd, "exclusive");
      append(`${mount}/file`, "x");
      const { ino } = stat(`${mount}/file`);
      same(text("/proc/locks").includes(`:${ino} `), true, `:${ino} is in /proc/locks`);
    },
  },
  {
    name: "a read lease can be taken, and is broken by who writes",
    why: "fcntl(2), F_SETLEASE",
    prepare: (lower) => put(`${lower}/file`, "x"),
    run: (mount) => {
      const fd = open(`${mount}/file`);
      const note = (): void => {};
      process.on("SIGIO", note);
      try {
        fcntl(fd, 1024, 0); // F_SETLEASE, F_RDLCK
        same(fcntl(fd, 1025), 0, "F_GETLEASE");
        fails("EAGAIN", () => open(`${mount}/file`, O.WRONLY | O.NONBLOCK), "opening for writing, without waiting");
      } finally {
        fcntl(fd, 1024, 2); // F_UNLCK
        process.off("SIGIO", note);
      }
    },
  },
  {
    name: "sqlite: one process writes while another has read",
    why: "databases lean on fcntl() locks and on seeing each other's writes",
    prepare: (lower) => {
      same(run(["sqlite3", `${lower}/db`, "create table t (n); insert into t values (1);"]).status, 0, "sqlite3");
    },
    run: async (mount) => {
      const reader = start(["sqlite3", `${mount}/db`]);
      const ask = (sql: string): Promise<string> => {
        const answer = line(reader);
        reader.stdin?.write(`${sql}\n`);
        return answer;
      };
      same(await ask("select sum(n) from t;"), "1", "read before");
      const { status, error } = run(["sqlite3", `${mount}/db`, "insert into t values (2);"]);
      same([status, error], [0, ""], "writing");
      same(await ask("select sum(n) from t;"), "3", "read after");
      reader.stdin?.write("insert into t values (3);\n");
      same(await ask("select sum(n) from t;"), "6", "read after its own write");
      same(run(["sqlite3", `${mount}/db`, "pragma integrity_check; select sum(n) from t"]).out, "ok\n6\n", "check");
    },
  },
]);
