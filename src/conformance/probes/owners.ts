import * as fs from "node:fs";
import { fails, same, works } from "../kit/assert.ts";
import { FALLOC, fallocate } from "../kit/data.ts";
import { append, list, makeNode, open, O, put, rename2, stat, tree, write } from "../kit/files.ts";
import { alice, as, bob, withUmask } from "../kit/user.ts";
import {
  ACCESS_ACL,
  acl,
  capabilities,
  DEFAULT_ACL,
  getXattr,
  listXattrs,
  removeXattr,
  setXattr,
} from "../kit/xattr.ts";
import { area } from "../probe.ts";

const mode = (path: string): string => (stat(path).mode & 0o7777n).toString(8);

export const owners = area("owners and modes", [
  {
    name: "default ACLs give new files and directories theirs, umask or not",
    why: "acl(5): where there is one the umask has no effect",
    prepare: (lower) => {
      tree(lower, ["dir/"]);
      setXattr(
        `${lower}/dir`,
        DEFAULT_ACL,
        acl([
          ["owner", 7],
          ["user", 7, 1001],
          ["group", 5],
          ["mask", 7],
          ["other", 0],
        ]),
      );
    },
    run: (mount, place) => {
      withUmask(0o077, () => {
        fs.closeSync(fs.openSync(`${mount}/dir/file`, "w", 0o666));
        fs.mkdirSync(`${mount}/dir/sub`, 0o777);
        fs.closeSync(fs.openSync(`${mount}/dir/sub/file`, "w", 0o640));
        makeNode(`${mount}/dir/fifo`, 0o010666);
      });
      const wanted = acl([
        ["owner", 6],
        ["user", 7, 1001],
        ["group", 5],
        ["mask", 6],
        ["other", 0],
      ]);
      const check = (): void => {
        same(getXattr(`${mount}/dir/file`, ACCESS_ACL), wanted, "file's ACL");
        same(
          [mode(`${mount}/dir/file`), mode(`${mount}/dir/sub`), mode(`${mount}/dir/sub/file`)],
          ["660", "770", "640"],
          "modes",
        );
        same(
          getXattr(`${mount}/dir/sub`, DEFAULT_ACL),
          getXattr(`${mount}/dir`, DEFAULT_ACL),
          "directory's default ACL",
        );
      };
      check();
      place.remount();
      check();
      for (const round of ["first", "second"]) {
        works(`removing an ACL, ${round}`, () => removeXattr(`${mount}/dir/sub`, DEFAULT_ACL));
        works(`removing an ACL that nothing has, ${round}`, () => removeXattr(`${mount}/dir/sub`, ACCESS_ACL));
      }
    },
  },
  {
    name: "the umask is taken from what a program asks for",
    why: "umask(2)",
    prepare: (lower) => tree(lower, ["dir/"]),
    run: (mount) => {
      withUmask(0o027, () => {
        fs.closeSync(fs.openSync(`${mount}/dir/file`, "w", 0o666));
        fs.mkdirSync(`${mount}/dir/sub`, 0o777);
      });
      same([mode(`${mount}/dir/file`), mode(`${mount}/dir/sub`)], ["640", "750"], "modes");
      withUmask(0, () => fs.closeSync(fs.openSync(`${mount}/dir/all`, "w", 0o666)));
      same(mode(`${mount}/dir/all`), "666", "mode without one");
    },
  },
  {
    name: "what is made in a set-group-ID directory gets its group",
    why: "inode(7): directories hand the bit on, too",
    needs: ["privilege"],
    prepare: (lower) => {
      tree(lower, ["dir/", "dir/sub/"]);
      for (const name of ["dir", "dir/sub"]) {
        fs.chownSync(`${lower}/${name}`, 0, 2000);
        fs.chmodSync(`${lower}/${name}`, 0o2777);
      }
    },
    run: (mount) => {
      as(alice, () => {
        put(`${mount}/dir/file`);
        fs.mkdirSync(`${mount}/dir/new`);
        put(`${mount}/dir/sub/file`);
        fs.mkdirSync(`${mount}/dir/new/deep`);
        fs.symlinkSync("x", `${mount}/dir/link`);
      });
      for (const name of ["file", "new", "sub/file", "new/deep", "link"]) {
        same([stat(`${mount}/dir/${name}`).uid, stat(`${mount}/dir/${name}`).gid], [1001n, 2000n], `owner of ${name}`);
      }
      for (const name of ["new", "new/deep"]) same(mode(`${mount}/dir/${name}`), "2755", `mode of ${name}`);
      as(alice, () => fs.closeSync(fs.openSync(`${mount}/dir/program`, "w", 0o2755)));
      same(mode(`${mount}/dir/program`), "755", "mode of a set-group-ID file of a group that the user isn't in");
    },
  },
  {
    name: "the sticky bit keeps others' files from being removed or renamed",
    why: "inode(7)",
    needs: ["privilege"],
    prepare: (lower) => {
      tree(lower, ["tmp/", "tmp/alices", "tmp/dir/"]);
      fs.chmodSync(`${lower}/tmp`, 0o1777);
      for (const name of ["alices", "dir"]) fs.chownSync(`${lower}/tmp/${name}`, 1001, 1001);
    },
    run: (mount) => {
      as(bob, () => {
        put(`${mount}/tmp/bobs`);
        fails("EPERM", () => fs.unlinkSync(`${mount}/tmp/alices`), "removing another's");
        fails("EPERM", () => fs.renameSync(`${mount}/tmp/alices`, `${mount}/tmp/x`), "renaming another's");
        fails("EPERM", () => fs.renameSync(`${mount}/tmp/bobs`, `${mount}/tmp/alices`), "renaming over another's");
        fails("EPERM", () => fs.rmdirSync(`${mount}/tmp/dir`), "removing another's directory");
        fails("EPERM", () => rename2(`${mount}/tmp/bobs`, `${mount}/tmp/alices`, 2), "exchanging with another's");
        fs.unlinkSync(`${mount}/tmp/bobs`);
      });
      as(alice, () => fs.unlinkSync(`${mount}/tmp/alices`));
      same(list(`${mount}/tmp`), ["dir"], "names");
    },
  },
  {
    name: "a write takes set-user-ID and set-group-ID away",
    why: "inode(7); write(2) by who isn't the superuser",
    needs: ["privilege"],
    prepare: (lower) => {
      for (const name of ["write", "truncate", "allocate", "chown"]) {
        put(`${lower}/${name}`, "content");
        fs.chownSync(`${lower}/${name}`, name === "chown" ? 0 : 1001, 1001);
        fs.chmodSync(`${lower}/${name}`, 0o6777);
      }
    },
    run: (mount) => {
      as(alice, () => {
        const fd = open(`${mount}/write`, O.RDWR);
        same(mode(`${mount}/write`), "6777", "mode after opening");
        write(fd, "C");
        same(mode(`${mount}/write`), "777", "mode after writing");
        fs.truncateSync(`${mount}/truncate`, 1);
        same(mode(`${mount}/truncate`), "777", "mode after truncating");
        fallocate(open(`${mount}/allocate`, O.RDWR), 0, 0, 4096);
        same(mode(`${mount}/allocate`), "777", "mode after allocating");
      });
      fs.chownSync(`${mount}/chown`, 1002, 1002);
      same(mode(`${mount}/chown`), "777", "mode after chown");
      fs.chmodSync(`${mount}/chown`, 0o2644);
      fs.chownSync(`${mount}/chown`, 1001, 1001);
      same(mode(`${mount}/chown`), "2644", "mode after chown of one that isn't executable for its group");
    },
  },
  {
    name: "a write by others takes the bits away from a file that lies above, too",
    why: "inode(7)",
    needs: ["privilege"],
    run: (mount) => {
      const changes = [
        (fd: number) => write(fd, "x"),
        (fd: number) => fallocate(fd, FALLOC.KEEP_SIZE, 0, 8192),
        (fd: number) => fallocate(fd, FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 0, 4),
      ];
      for (const bits of [0o4777, 0o2777, 0o6777, 0o6666]) {
        for (const [index, change] of changes.entries()) {
          put(`${mount}/file`, "content");
          fs.chmodSync(`${mount}/file`, bits);
          as(bob, () => change(open(`${mount}/file`, O.WRONLY)));
          const wanted = (bits & 0o777).toString(8);
          same(mode(`${mount}/file`), wanted, `mode ${bits.toString(8)} after change ${index}`);
          same((stat(`${mount}/file`).mode & 0o7777n).toString(8), wanted, "mode, asked again");
          fs.unlinkSync(`${mount}/file`);
        }
      }
    },
  },
  {
    name: "a write and chown take capabilities away, chmod doesn't",
    why: "capabilities(7)",
    needs: ["privilege"],
    prepare: (lower) => {
      for (const name of ["write", "chown", "chmod"]) {
        put(`${lower}/${name}`, "x", 0o755);
        setXattr(`${lower}/${name}`, "security.capability", capabilities(10));
      }
    },
    run: (mount) => {
      append(`${mount}/write`, "+");
      fs.chownSync(`${mount}/chown`, 5, 5);
      fs.chmodSync(`${mount}/chmod`, 0o700);
      const left = ["write", "chown", "chmod"].map((name) => listXattrs(`${mount}/${name}`).length);
      same(left, [0, 0, 1], "how many attributes are left after write, chown, chmod");
    },
  },
  {
    name: "chown to nobody else takes nothing from a directory",
    why: "chown(2): set-group-ID of a directory says something else; chown -R with -1 is common",
    needs: ["privilege"],
    prepare: (lower) => {
      fs.mkdirSync(`${lower}/dir`);
      fs.chmodSync(`${lower}/dir`, 0o6775);
    },
    run: (mount) => {
      fs.chownSync(`${mount}/dir`, -1, -1);
      same(mode(`${mount}/dir`), "6775", "mode of one from below");
      fs.chownSync(`${mount}/dir`, 0, 0);
      fs.chownSync(`${mount}/dir`, -1, -1);
      same(mode(`${mount}/dir`), "6775", "mode of the copy");
    },
  },
  {
    name: "chown to nobody else takes set-user-ID from no one else's file",
    why: "chown(2): whoever isn't the owner may not; su(1) is to stay what it is",
    needs: ["privilege"],
    prepare: (lower) => put(`${lower}/su`, "x", 0o4755),
    run: (mount) => {
      as(alice, () => fails("EPERM", () => fs.chownSync(`${mount}/su`, -1, -1), "chown"));
      same(mode(`${mount}/su`), "4755", "mode");
      fs.chownSync(`${mount}/su`, -1, -1);
      same(mode(`${mount}/su`), "755", "mode, by the superuser");
    },
  },
  {
    name: "chmod by an owner who isn't in the group clears set-group-ID",
    why: "POSIX chmod()",
    needs: ["privilege"],
    prepare: (lower) => {
      put(`${lower}/file`);
      fs.chownSync(`${lower}/file`, 1001, 2000);
    },
    run: (mount) => {
      as(alice, () => fs.chmodSync(`${mount}/file`, 0o2755));
      same(mode(`${mount}/file`), "755", "mode");
      as({ ...alice, groups: [2000] }, () => fs.chmodSync(`${mount}/file`, 0o2755));
      same(mode(`${mount}/file`), "2755", "mode, by a member");
    },
  },
]);
