import * as fs from "node:fs";
import { createConnection, createServer } from "node:net";
import { fails, holds, same } from "../kit/assert.ts";
import { bindIdmapped } from "../kit/idmap.ts";
import {
  append,
  list,
  makeNode,
  O,
  open,
  put,
  read,
  S_IFCHR,
  S_IFIFO,
  stat,
  syncfs,
  text,
  tree,
} from "../kit/files.ts";
import { call, path as cString } from "../kit/kernel.ts";
import { ended, line, run, sh, start } from "../kit/program.ts";
import { as, bob } from "../kit/user.ts";
import { area } from "../probe.ts";

const statfs_ = call("statfs", "int", ["void *", "void *"]);

/** struct statfs: numbers by their places. */
function statfs(path: string): {
  type: bigint;
  blocks: bigint;
  free: bigint;
  files: bigint;
  nameLength: bigint;
  fsid: bigint;
  flags: bigint;
} {
  const buffer = Buffer.alloc(120);
  statfs_(cString(path), buffer);
  const word = (at: number): bigint => buffer.readBigUInt64LE(at);
  return {
    type: word(0),
    blocks: word(16) * word(8),
    free: word(24) * word(8),
    files: word(40),
    fsid: word(56),
    nameLength: word(64),
    flags: word(80),
  };
}

export const special = area("special files", [
  {
    name: "devices from below and new ones work",
    why: "mknod(2)",
    needs: ["privilege"],
    prepare: (lower) => makeNode(`${lower}/null`, S_IFCHR | 0o666, 1, 3),
    run: (mount, { layers, isUnion }) => {
      makeNode(`${mount}/zero`, S_IFCHR | 0o666, 1, 5);
      put(`${mount}/null`, "x", 0o666);
      same(read(open(`${mount}/zero`), 4), "\0\0\0\0", "what zero gives");
      same(read(open(`${mount}/null`), 4), "", "what null gives");
      if (isUnion) same(stat(`${layers.lower}/null`).rdev, 0x103n, "null's number below");
      fs.renameSync(`${mount}/null`, `${mount}/void`);
      append(`${mount}/void`, "x");
      same(stat(`${mount}/void`).rdev, 0x103n, "number");
    },
  },
  {
    name: "nodev makes devices useless",
    why: "mount(8)",
    needs: ["privilege"],
    options: ["nodev"],
    prepare: (lower) => makeNode(`${lower}/null`, S_IFCHR | 0o666, 1, 3),
    run: (mount) => fails("EACCES", () => open(`${mount}/null`), "open"),
  },
  {
    name: "a fifo from below carries data between processes, over copy-up",
    why: "mkfifo(3)",
    prepare: (lower) => makeNode(`${lower}/fifo`, S_IFIFO | 0o666),
    run: async (mount) => {
      const reader = start(["cat", `${mount}/fifo`]);
      const seen = line(reader);
      await new Promise((wake) => setTimeout(wake, 30));
      fs.chmodSync(`${mount}/fifo`, 0o600);
      const writer = start(["sh", "-c", `echo through >'${mount}/fifo'`]);
      same(await seen, "through", "what came through");
      same(await ended(writer), 0, "the writer's status");
    },
  },
  {
    name: "a socket is reached by its name, renamed, linked and with another mode",
    why: "unix(7)",
    run: async (mount) => {
      const server = createServer((socket) => void socket.end("hello"));
      const path = `${mount}/s`;
      await new Promise<void>((ready) => void server.listen(path, ready));
      const ask = (name: string): Promise<string> =>
        new Promise((resolve, reject) => {
          let all = "";
          createConnection(name)
            .on("data", (data) => (all += data.toString()))
            .on("end", () => {
              resolve(all);
            })
            .on("error", reject);
        });
      try {
        same(await ask(path), "hello", "by its name");
        fs.chmodSync(path, 0o600);
        fs.linkSync(path, `${mount}/link`);
        same(await ask(`${mount}/link`), "hello", "by a link");
        fs.renameSync(path, `${mount}/moved`);
        same(await ask(`${mount}/moved`), "hello", "by a new name");
      } finally {
        await new Promise((closed) => server.close(closed));
      }
    },
  },
  {
    name: "symbolic links lead where they say, in the mount and out of it",
    why: "symlink(7)",
    prepare: (lower, { bottom }) => {
      tree(lower, ["dir/", "dir/file"]);
      fs.symlinkSync("dir/file", `${lower}/relative`);
      fs.symlinkSync("../dir", `${lower}/dir/up`);
      fs.symlinkSync("/etc/hostname", `${lower}/absolute`);
      tree(bottom, ["low/", "low/x"]);
      fs.symlinkSync("low", `${lower}/todir`);
    },
    run: (mount) => {
      same(
        [text(`${mount}/relative`), text(`${mount}/dir/up/file`), text(`${mount}/todir/x`)],
        ["dir/file", "dir/file", "low/x"],
        "contents",
      );
      same(text(`${mount}/absolute`), text("/etc/hostname"), "content outside");
      put(`${mount}/todir/new`, "x");
      same(list(`${mount}/low`), ["new", "x"], "entries");
      const { size, mode } = stat(`${mount}/relative`);
      same([size, mode & 0o170000n], [8n, 0o120000n], "size and type");
    },
  },
]);

export const whole = area("whole mounts", [
  {
    name: "statfs tells space and name length of the file system that is written to",
    why: "statfs(2); df, installers",
    prepare: (lower) => put(`${lower}/file`),
    run: (mount, { layers }) => {
      const [is, wanted] = [statfs(mount), statfs(layers.upper)];
      same(
        [is.blocks, is.nameLength, is.files],
        [wanted.blocks, wanted.nameLength, wanted.files],
        "size, name length, inodes",
      );
      holds(is.free > 0n, "nothing is free");
      same(statfs(`${mount}/file`).blocks, is.blocks, "size, asked of a file");
    },
  },
  {
    name: "statfs tells of less space when it is used",
    why: "statfs(2)",
    needs: ["union"],
    arrangement: "small",
    run: (mount) => {
      const before = statfs(mount).free;
      put(`${mount}/file`, Buffer.alloc(1 << 20, 1));
      same(before - statfs(mount).free >= 1n << 20n, true, "it got less");
    },
  },
  {
    name: "statfs tells ro, nosuid and the like",
    why: "statvfs(3), f_flag",
    options: ["nosuid", "nodev", "noexec"],
    run: (mount) => same(statfs(mount).flags & 0xfn, 0xen, "flags"),
  },
  {
    name: "syncfs and sync succeed, and what was written is below",
    why: "syncfs(2)",
    prepare: (lower) => tree(lower, ["file"]),
    run: (mount, { layers, isUnion }) => {
      append(`${mount}/file`, "+");
      syncfs(mount);
      same(run(["sync", "-f", `${mount}/file`]).status, 0, "sync -f");
      if (isUnion) same(text(`${layers.upper}/file`), "file+", "what the upper holds");
    },
  },
  {
    name: "two walks agree in every attribute",
    why: "backup programs; on overlayfs directories differ after drop_caches",
    prepare: (lower, { bottom }) => {
      tree(lower, ["dir/sub/", "dir/a", "dir/sub/b", "plain/", "plain/c"]);
      tree(bottom, ["dir/sub/", "dir/low", "low/", "low/d"]);
      fs.linkSync(`${lower}/dir/a`, `${lower}/link`);
    },
    run: (mount, place) => {
      append(`${mount}/dir/a`, "+");
      fs.renameSync(`${mount}/low`, `${mount}/plain/low`);
      put(`${mount}/dir/new`);
      const walk = (more: string): string =>
        sh(
          `find . -printf '%p %y %i %n %m %U %G %s %T@ %C@ %A@ %l${more}\\n' | sort; getfattr -R -d -m - . | sort`,
          mount,
        );
      walk(""); // sets the access times of directories
      const [all, withDevice, fewest] = [walk(" %D %b"), walk(" %D"), walk("")];
      same(walk(" %D %b"), all, "a second walk");
      place.evict();
      // XFS keeps blocks behind the end of a file that grew, until nobody has it open.
      same(walk(" %D"), withDevice, "a walk after the kernel forgot");
      place.remount();
      same(walk(""), fewest, "a walk after remount");
    },
  },
  {
    name: "something can be mounted on a directory from below, and bound elsewhere",
    why: "containers mount into their roots",
    needs: ["privilege"],
    prepare: (lower) => tree(lower, ["a/", "a/file", "b/"]),
    run: (mount) => {
      sh(
        `mount -t tmpfs none '${mount}/b'; touch '${mount}/b/x'; mount --bind '${mount}/a' '${mount}/b'; echo + >>'${mount}/b/file'`,
      );
      try {
        same(text(`${mount}/a/file`), "a/file+\n", "content");
        fails("EBUSY", () => fs.rmdirSync(`${mount}/b`), "removing a mount point");
        fails(["EBUSY", "EXDEV"], () => fs.renameSync(`${mount}/b`, `${mount}/c`), "renaming a mount point");
        fails("EXDEV", () => fs.linkSync(`${mount}/b/file`, `${mount}/link`), "a link between mounts");
      } finally {
        sh(`umount '${mount}/b'; umount '${mount}/b'`);
      }
    },
  },
  {
    name: "it is bound elsewhere with other owners",
    why: "mount_setattr(2), MOUNT_ATTR_IDMAP; containers share roots, X-mount.idmap= of mount(8)",
    needs: ["privilege"],
    prepare: (lower) => {
      tree(lower, ["dir/", "dir/file", "others", "shared"]);
      for (const name of ["dir", "dir/file"]) fs.chownSync(`${lower}/${name}`, 1001, 1001);
    },
    run: async (mount, { outside }) => {
      await bindIdmapped(mount, outside, 100_000, 2000);
      try {
        const owner = (path: string): unknown => [stat(path).uid, stat(path).gid];
        same(owner(`${outside}/dir/file`), [101_001n, 101_001n], "owner");
        as({ uid: 101_001, gid: 101_001 }, () => {
          append(`${outside}/dir/file`, "+");
          for (const name of ["new", "made/"]) tree(`${outside}/dir`, [name]);
          fs.symlinkSync("to", `${outside}/dir/link`);
          makeNode(`${outside}/dir/fifo`, S_IFIFO | 0o644);
          fs.chownSync(`${outside}/dir/file`, 101_001, 101_001);
          fails("EACCES", () => open(`${outside}/others`, O.WRONLY), "writing another's file");
        });
        as({ uid: 1001, gid: 1001 }, () => {
          fails("EACCES", () => open(`${outside}/dir/file`, O.WRONLY), "writing as who owns it in the mount itself");
        });
        same(text(`${mount}/dir/file`), "dir/file+", "content");
        for (const name of ["file", "new", "made", "link", "fifo"]) {
          same(owner(`${mount}/dir/${name}`), [1001n, 1001n], `owner of ${name}`);
          same(owner(`${outside}/dir/${name}`), [101_001n, 101_001n], `owner of ${name} there`);
        }
        // Who asks matters to that.
        fs.chmodSync(`${mount}/shared`, 0o6777);
        as(bob, () => append(`${mount}/shared`, "+"));
        same(stat(`${mount}/shared`).mode & 0o7777n, 0o777n, "mode after a user's write");
      } finally {
        sh(`umount '${outside}'`);
      }
    },
  },
  {
    name: "a file system in a file of the mount can be mounted",
    why: "losetup(8); images are built in roots",
    needs: ["privilege"],
    deadlineSeconds: 20,
    prepare: (lower) => {
      sh(`truncate -s 2M '${lower}/image'; mkfs.ext4 -q -O ^has_journal '${lower}/image'; mkdir '${lower}/on'`);
    },
    run: (mount) => {
      sh(
        `mount -o loop image on; echo content >on/file; umount on; mount -o loop,ro image on; cat on/file >copy; umount on`,
        mount,
      );
      same(text(`${mount}/copy`), "content\n", "content");
    },
  },
  {
    name: "git finds nothing changed after a checkout, a remount and a touch",
    why: "git's index compares ino, ctime and mtime",
    deadlineSeconds: 20,
    prepare: (lower) => {
      sh(
        "git init -q -b main .; mkdir d; for i in 1 2 3 4 5; do echo $i >d/$i; done; git add .; git -c user.name=n -c user.email=e commit -q -m m",
        lower,
      );
    },
    run: (mount, place) => {
      const status = (): string => sh(`git -c safe.directory='*' -C '${mount}' status --porcelain`);
      same(status(), "", "status");
      append(`${mount}/d/1`, "more\n");
      same(status(), " M d/1\n", "status after a change");
      sh(`git -c safe.directory='*' -C '${mount}' checkout -q -f`);
      place.remount();
      same(status(), "", "status after checkout and remount");
    },
  },
]);
