import * as fs from "node:fs";
import { same, Wrong } from "../kit/assert.ts";
import { fallocate } from "../kit/data.ts";
import { append, close, fstat, open, O, put, read, stat, tree, write } from "../kit/files.ts";
import { FAN, FanWatcher, Watcher } from "../kit/notify.ts";
import { ended, eventually, sh, start } from "../kit/program.ts";
import { setXattr } from "../kit/xattr.ts";
import { area } from "../probe.ts";

const why = "inotify(7): a watch is of the inode";

export const notify = area("inotify", [
  {
    name: "a watched file from below that is written",
    why,
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const watcher = new Watcher().watch(`${mount}/file`);
      append(`${mount}/file`, "new");
      watcher.expect(["OPEN", "MODIFY", "CLOSE_WRITE"], "after a write");
      append(`${mount}/file`, "newer");
      watcher.expect(["OPEN", "MODIFY", "CLOSE_WRITE"], "after a second write");
    },
  },
  {
    name: "a watched file from below that another process writes",
    why,
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const watcher = new Watcher().watch(`${mount}/file`);
      sh(`echo new >>'${mount}/file'`);
      watcher.expect(["OPEN", "MODIFY", "CLOSE_WRITE"], "after a write");
    },
  },
  {
    name: "a watched file whose attributes change",
    why,
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const watcher = new Watcher().watch(`${mount}/file`);
      fs.chmodSync(`${mount}/file`, 0o600);
      watcher.expect(["ATTRIB"], "after chmod");
      fs.chownSync(`${mount}/file`, 1, 1);
      watcher.expect(["ATTRIB"], "after chown");
      fs.utimesSync(`${mount}/file`, 1, 1);
      watcher.expect(["ATTRIB"], "after utimes");
      setXattr(`${mount}/file`, "user.a", "b");
      watcher.expect(["ATTRIB"], "after setxattr");
      fs.linkSync(`${mount}/file`, `${mount}/link`);
      watcher.expect(["ATTRIB"], "after link");
    },
  },
  {
    name: "a watched file that is truncated, and one that gets space",
    why,
    prepare: (lower) => tree(lower, ["a", "b"]),
    run: (mount) => {
      const watcher = new Watcher().watch(`${mount}/a`);
      fs.truncateSync(`${mount}/a`, 1);
      watcher.expect(["MODIFY"], "after truncate");
      const other = new Watcher().watch(`${mount}/b`);
      fallocate(open(`${mount}/b`, O.RDWR), 0, 0, 10_000);
      other.expect(["MODIFY"], "after fallocate");
    },
  },
  {
    name: "a watched file that is renamed, then removed",
    why,
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const watcher = new Watcher().watch(`${mount}/file`);
      fs.renameSync(`${mount}/file`, `${mount}/moved`);
      watcher.expect(["MOVE_SELF"], "after rename");
      append(`${mount}/moved`, "x");
      watcher.expect(["MODIFY"], "after a write under the new name");
      fs.unlinkSync(`${mount}/moved`);
      watcher.expect(["ATTRIB", "DELETE_SELF"], "after unlink");
    },
  },
  {
    name: "a watched file that is renamed over",
    why,
    prepare: (lower) => tree(lower, ["file", "other"]),
    run: (mount) => {
      const watcher = new Watcher().watch(`${mount}/file`);
      fs.renameSync(`${mount}/other`, `${mount}/file`);
      watcher.expect(["DELETE_SELF"], "after rename over it");
    },
  },
  {
    name: "a watched file that is read",
    why,
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const watcher = new Watcher().watch(`${mount}/file`);
      sh(`cat '${mount}/file'`);
      watcher.expect(["OPEN", "ACCESS", "CLOSE_NOWRITE"], "after cat");
    },
  },
  {
    name: "a watch on one hard link tells of writes under another",
    why,
    prepare: (lower) => {
      put(`${lower}/a`, "x");
      fs.linkSync(`${lower}/a`, `${lower}/b`);
    },
    run: (mount) => {
      const watcher = new Watcher().watch(`${mount}/a`);
      append(`${mount}/b`, "y");
      watcher.expect(["OPEN", "MODIFY", "CLOSE_WRITE"], "after a write to b");
    },
  },
  {
    name: "a watched file tells of writes through a descriptor from before",
    why,
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const fd = open(`${mount}/file`, O.RDWR);
      const watcher = new Watcher().watch(`${mount}/file`);
      write(fd, "new");
      close(fd);
      watcher.expect(["MODIFY", "CLOSE_WRITE"], "after a write");
    },
  },
  {
    name: "a watched directory from below tells what is made, moved and removed in it",
    why,
    prepare: (lower) => tree(lower, ["dir/", "dir/file", "dir/sub/", "other/"]),
    run: (mount) => {
      const watcher = new Watcher().watch(`${mount}/dir`);
      put(`${mount}/dir/new`, "x");
      watcher.expect(["CREATE new", "MODIFY new", "CLOSE_WRITE new"], "after making a file");
      fs.mkdirSync(`${mount}/dir/newdir`);
      watcher.expect(["CREATE newdir"], "after mkdir");
      fs.renameSync(`${mount}/dir/file`, `${mount}/dir/there`);
      watcher.expect(["MOVED_FROM file", "MOVED_TO there"], "after rename");
      fs.renameSync(`${mount}/dir/there`, `${mount}/other/there`);
      watcher.expect(["MOVED_FROM there"], "after rename away");
      fs.rmdirSync(`${mount}/dir/sub`);
      watcher.expect(["DELETE sub"], "after rmdir");
      fs.unlinkSync(`${mount}/dir/new`);
      watcher.expect(["DELETE new"], "after unlink");
    },
  },
  {
    name: "a watched directory from below tells what happens to files in it",
    why,
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount) => {
      const watcher = new Watcher().watch(`${mount}/dir`);
      append(`${mount}/dir/file`, "x");
      watcher.expect(["OPEN file", "MODIFY file", "CLOSE_WRITE file"], "after a write");
      fs.chmodSync(`${mount}/dir/file`, 0o600);
      watcher.expect(["ATTRIB file"], "after chmod");
      append(`${mount}/dir/file`, "x");
      watcher.expect(["OPEN file", "MODIFY file", "CLOSE_WRITE file"], "after a second write");
    },
  },
  {
    name: "a file in a watched directory that was open before its copy-up",
    why,
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount) => {
      const fd = open(`${mount}/dir/file`);
      const watcher = new Watcher().watch(`${mount}/dir`);
      append(`${mount}/dir/file`, "x");
      watcher.expect(["MODIFY file"], "after a write");
      read(fd);
      watcher.expect(["ACCESS file"], "after reading the old descriptor");
    },
  },
  {
    name: "a watched directory that is renamed goes on telling",
    why,
    prepare: (lower) => tree(lower, ["dir/", "dir/file", "other/"]),
    run: (mount) => {
      const watcher = new Watcher().watch(`${mount}/dir`);
      fs.renameSync(`${mount}/dir`, `${mount}/other/moved`);
      watcher.expect(["MOVE_SELF"], "after rename");
      append(`${mount}/other/moved/file`, "x");
      put(`${mount}/other/moved/new`);
      watcher.expect(["MODIFY file", "CREATE new"], "after changes under the new name");
    },
  },
  {
    name: "a watched directory that is removed",
    why,
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount) => {
      const watcher = new Watcher().watch(`${mount}/dir`);
      fs.rmSync(`${mount}/dir`, { recursive: true });
      watcher.expect(["DELETE file", "DELETE_SELF"], "after rm -r");
    },
  },
  {
    name: "the two halves of a rename have one cookie",
    why: "inotify(7)",
    prepare: (lower) => tree(lower, ["a/", "b/", "a/file"]),
    run: (mount) => {
      const watcher = new Watcher().watch(`${mount}/a`, "a").watch(`${mount}/b`, "b");
      fs.renameSync(`${mount}/a/file`, `${mount}/b/file`);
      const moves = watcher.events().filter(({ what }) => what.startsWith("MOVED"));
      same(
        moves.map(({ on, what }) => `${on} ${what}`),
        ["a MOVED_FROM", "b MOVED_TO"],
        "events",
      );
      same(moves[0]?.cookie === moves[1]?.cookie && moves[0]?.cookie !== 0, true, "one cookie");
    },
  },
  {
    name: "watches live on when the kernel forgets what isn't used",
    why: "a watch holds its inode",
    prepare: (lower) => tree(lower, ["dir/", "dir/file", "file"]),
    run: (mount, place) => {
      const watcher = new Watcher().watch(`${mount}/file`, "f").watch(`${mount}/dir`, "d");
      place.evict();
      append(`${mount}/file`, "x");
      append(`${mount}/dir/file`, "x");
      put(`${mount}/dir/new`);
      watcher.expect(["MODIFY", "MODIFY file", "CREATE new"], "after changes");
    },
  },
  {
    name: "tail -f follows a file from below",
    why: "coreutils' tail waits by inotify",
    prepare: (lower) => put(`${lower}/log`, "old\n"),
    run: async (mount) => {
      const tail = start(["tail", "-n", "+1", "-f", `${mount}/log`]);
      let seen = "";
      tail.stdout?.on("data", (data: Buffer) => (seen += data.toString()));
      await eventually(() => (seen === "old\n" ? undefined : `tail prints ${JSON.stringify(seen)}`));
      append(`${mount}/log`, "new\n");
      await eventually(() =>
        seen === "old\nnew\n" ? undefined : `tail prints ${JSON.stringify(seen)} after a line was added`,
      );
    },
  },
  {
    name: "dnotify's signal comes for a directory from below",
    why: "fcntl(2), F_NOTIFY",
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: async (mount) => {
      const { fcntl } = await import("../kit/data.ts");
      let came = 0;
      const note = (): void => void came++;
      process.on("SIGIO", note);
      try {
        fcntl(open(`${mount}/dir`), 1026, 0x80000002); // DN_MODIFY | DN_MULTISHOT
        append(`${mount}/dir/file`, "x");
        await eventually(() => (came > 0 ? undefined : "no SIGIO after a write"), 2000);
      } finally {
        process.off("SIGIO", note);
      }
    },
  },
]);

const [MODIFY, OPEN, CLOSE_WRITE, CREATE, DELETE] = [0x2, 0x20, 0x8, 0x100, 0x200];

export const fanotify = area("fanotify", [
  {
    name: "a marked file from below that is written",
    why: "fanotify(7)",
    needs: ["privilege"],
    prepare: (lower) => put(`${lower}/file`, "old"),
    run: (mount) => {
      const watcher = new FanWatcher(FAN.CLASS_NOTIF).mark(`${mount}/file`, OPEN | MODIFY | CLOSE_WRITE);
      sh(`echo new >>'${mount}/file'`);
      const events = watcher.events();
      const all = events.map(({ what }) => what).join(" ");
      for (const what of ["OPEN", "MODIFY", "CLOSE_WRITE"])
        if (!all.includes(what)) throw new Wrong(`no ${what}: ${all || "no events"}`);
      for (const { fd } of events) {
        same(fstat(fd).ino, stat(`${mount}/file`).ino, "st_ino of the event's descriptor");
        same(read(fd), "oldnew\n", "what the event's descriptor reads");
      }
    },
  },
  {
    name: "a marked directory tells names",
    why: "fanotify(7), FAN_REPORT_DFID_NAME",
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount) => {
      const watcher = new FanWatcher(FAN.CLASS_NOTIF | FAN.REPORT_DIR_FID | FAN.REPORT_NAME);
      watcher.mark(`${mount}/dir`, CREATE | DELETE | MODIFY | FAN.EVENT_ON_CHILD);
      put(`${mount}/dir/new`, "x");
      append(`${mount}/dir/file`, "x");
      fs.unlinkSync(`${mount}/dir/file`);
      const events = watcher.events().flatMap(({ what, name }) => what.split(" ").map((one) => `${one} ${name}`));
      for (const wanted of ["CREATE new", "MODIFY file", "DELETE file"]) {
        if (!events.includes(wanted)) throw new Wrong(`no ${wanted}: ${events.join(", ") || "no events"}`);
      }
    },
  },
  {
    name: "a marked mount tells of everything in it",
    why: "fanotify(7), FAN_MARK_MOUNT: virus scanners, fatrace",
    needs: ["privilege", "union"],
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount) => {
      const watcher = new FanWatcher(FAN.CLASS_NOTIF).mark(mount, MODIFY | CLOSE_WRITE, FAN.MARK_MOUNT);
      append(`${mount}/dir/file`, "x");
      put(`${mount}/new`, "x");
      const inos = new Set(watcher.events().map(({ fd }) => fstat(fd).ino));
      same(
        inos.has(stat(`${mount}/dir/file`).ino) && inos.has(stat(`${mount}/new`).ino),
        true,
        "both files are told of",
      );
    },
  },
  {
    name: "a marked file system tells of everything in it",
    why: "fanotify(7), FAN_MARK_FILESYSTEM",
    needs: ["privilege", "union"],
    prepare: (lower) => tree(lower, ["dir/", "dir/file"]),
    run: (mount) => {
      const watcher = new FanWatcher(FAN.CLASS_NOTIF).mark(mount, MODIFY | CLOSE_WRITE, FAN.MARK_FILESYSTEM);
      append(`${mount}/dir/file`, "x");
      const inos = new Set(watcher.events().map(({ fd }) => fstat(fd).ino));
      same(inos.has(stat(`${mount}/dir/file`).ino), true, "the file is told of");
    },
  },
  {
    name: "who opens a marked file waits for leave",
    why: "fanotify(7), FAN_OPEN_PERM",
    needs: ["privilege"],
    prepare: (lower) => put(`${lower}/file`, "content"),
    run: async (mount) => {
      const watcher = new FanWatcher(FAN.CLASS_CONTENT).mark(`${mount}/file`, FAN.OPEN_PERM);
      for (const answer of ["deny", "allow"] as const) {
        const cat = start(["cat", `${mount}/file`]);
        const end = ended(cat);
        for (const event of watcher.events(3000)) watcher.answer(event, answer);
        same(await end, answer === "allow" ? 0 : 1, `cat's status after ${answer}`);
      }
    },
  },
]);
