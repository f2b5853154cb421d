import * as fs from "node:fs";
import { fails, holds, same, works } from "../kit/assert.ts";
import { append, close, list, makeNode, open, O, put, S_IFCHR, setTimes, stat, text, tree } from "../kit/files.ts";
import { O_NOATIME } from "../kit/kernel.ts";
import { asUser, run } from "../kit/program.ts";
import { alice, as, bob } from "../kit/user.ts";
import { ACCESS_ACL, acl, getXattr, removeXattr, setXattr } from "../kit/xattr.ts";
import { area } from "../probe.ts";

/** alice's directory with a file in it, from below. */
function prepareAlice(lower: string): void {
  tree(lower, ["alice/", "alice/file", "alice/sub/"]);
  for (const name of ["alice", "alice/file", "alice/sub"]) fs.chownSync(`${lower}/${name}`, 1001, 1001);
}

export const permissions = area("permissions", [
  {
    name: "what a user makes belongs to the user",
    why: "POSIX open(), mkdir()",
    needs: ["privilege"],
    prepare: prepareAlice,
    run: (mount, place) => {
      as(alice, () => {
        put(`${mount}/alice/new`, "x");
        fs.mkdirSync(`${mount}/alice/dir`);
        fs.symlinkSync("x", `${mount}/alice/link`);
        makeNode(`${mount}/alice/fifo`, 0o010644);
      });
      place.remount();
      for (const name of ["new", "dir", "link", "fifo"]) {
        const { uid, gid } = stat(`${mount}/alice/${name}`);
        same([uid, gid], [1001n, 1001n], name);
      }
    },
  },
  {
    name: "modes, groups and others are obeyed, before copy-up and after",
    why: "overlayfs.rst, Permission model: the same result before and after",
    needs: ["privilege"],
    prepare: (lower) => {
      for (const [name, uid, gid, mode] of [
        ["own", 1001, 5, 0o600],
        ["group", 0, 2000, 0o060],
        ["other", 0, 0, 0o006],
        ["none", 1001, 2000, 0o000],
      ] as const) {
        put(`${lower}/${name}`, "x");
        fs.chownSync(`${lower}/${name}`, uid, gid);
        fs.chmodSync(`${lower}/${name}`, mode);
      }
    },
    run: (mount) => {
      const user = { ...alice, groups: [2000] };
      const check = (): void => {
        as(user, () => {
          for (const name of ["own", "group", "other"])
            works(`${name} by a user with rights`, () => close(open(`${mount}/${name}`, O.RDWR)));
          fails("EACCES", () => open(`${mount}/none`), "none by a user without rights");
        });
        as(bob, () => {
          for (const name of ["own", "group", "none"])
            fails("EACCES", () => open(`${mount}/${name}`), `${name} by another`);
        });
      };
      check();
      for (const name of ["own", "group", "other", "none"]) fs.utimesSync(`${mount}/${name}`, 1, 1);
      check();
    },
  },
  {
    name: "directories ask for x to go through, w to change, r to list",
    why: "POSIX path resolution",
    needs: ["privilege"],
    prepare: (lower) => {
      tree(lower, ["x/", "x/file", "r/", "r/file", "w/", "w/file"]);
      for (const [name, mode] of [
        ["x", 0o711],
        ["r", 0o744],
        ["w", 0o733],
      ] as const)
        fs.chmodSync(`${lower}/${name}`, mode);
    },
    run: (mount) => {
      as(alice, () => {
        same(text(`${mount}/x/file`), "x/file", "through x");
        fails("EACCES", () => list(`${mount}/x`), "listing without r");
        fails("EACCES", () => text(`${mount}/r/file`), "through r");
        same(list(`${mount}/r`), ["file"], "listing with r");
        put(`${mount}/w/new`);
        fails("EACCES", () => put(`${mount}/x/new`), "making without w");
        fails("EACCES", () => fs.unlinkSync(`${mount}/x/file`), "removing without w");
        fs.unlinkSync(`${mount}/w/file`);
      });
    },
  },
  {
    name: "ACLs of files from below are obeyed, before copy-up and after",
    why: "acl(5)",
    needs: ["privilege"],
    prepare: (lower) => {
      put(`${lower}/file`, "x", 0o600);
      setXattr(
        `${lower}/file`,
        ACCESS_ACL,
        acl([
          ["owner", 6],
          ["user", 6, 1001],
          ["user", 0, 1002],
          ["group", 0],
          ["mask", 6],
          ["other", 4],
        ]),
      );
    },
    run: (mount) => {
      const check = (): void => {
        as(alice, () => works("alice, whom it names", () => close(open(`${mount}/file`, O.RDWR))));
        fails("EACCES", () => as(bob, () => open(`${mount}/file`)), "bob, whom it forbids");
        works("anybody", () => as({ uid: 1003, gid: 1003 }, () => close(open(`${mount}/file`))));
      };
      check();
      append(`${mount}/file`, "+");
      check();
      fs.chmodSync(`${mount}/file`, 0o600);
      fails("EACCES", () => as(alice, () => open(`${mount}/file`)), "alice after chmod took the mask away");
    },
  },
  {
    name: "only owners change modes and times, only who may write sets them to now",
    why: "POSIX chmod(), utimensat()",
    needs: ["privilege"],
    prepare: (lower) => {
      prepareAlice(lower);
      fs.chmodSync(`${lower}/alice/file`, 0o646);
    },
    run: (mount) => {
      const file = `${mount}/alice/file`;
      as(bob, () => {
        fails("EPERM", () => fs.chmodSync(file, 0o777), "chmod by another");
        fails("EPERM", () => setTimes(file, 1n, 1n), "times by another");
        setTimes(file, "now", "now");
        fails("EPERM", () => fs.chownSync(file, 1002, 1002), "chown by another");
        fails("EPERM", () => open(file, O.RDONLY | O_NOATIME), "O_NOATIME by another");
      });
      as(alice, () => {
        fs.chmodSync(file, 0o600);
        setTimes(file, 1n, 1n);
        fails("EPERM", () => fs.chownSync(file, 1002, 1001), "giving it away");
        close(open(file, O.RDONLY | O_NOATIME));
      });
      fails("EACCES", () => as(bob, () => setTimes(file, "now", "now")), "times to now by who may not write");
    },
  },
  {
    name: "attributes: user.* by who may write, trusted.* by the superuser",
    why: "xattr(7)",
    needs: ["privilege"],
    prepare: (lower) => {
      prepareAlice(lower);
      setXattr(`${lower}/alice/file`, "trusted.secret", "x");
      fs.symlinkSync("x", `${lower}/link`);
    },
    run: (mount) => {
      const file = `${mount}/alice/file`;
      as(alice, () => setXattr(file, "user.a", "b"));
      fails("EACCES", () => as(bob, () => setXattr(file, "user.a", "c")), "user.a by who may not write");
      same(run(asUser(1001, ["getfattr", "-m", "-", file])).out.includes("trusted"), false, "a user sees trusted.*");
      fails("EPERM", () => setXattr(`${mount}/link`, "user.a", "b"), "user.a of a link");
      fails("ENODATA", () => getXattr(file, "user.none"), "what isn't there");
      fails("EOPNOTSUPP", () => setXattr(file, "nonsense", "b"), "a name without class");
      fails("EEXIST", () => setXattr(file, "user.a", "b", 1), "XATTR_CREATE of one that is there");
      fails("ENODATA", () => setXattr(file, "user.b", "b", 2), "XATTR_REPLACE of one that isn't");
      removeXattr(file, "user.a");
      fails("ENODATA", () => removeXattr(file, "user.a"), "removing it twice");
    },
  },
  {
    name: "users don't make devices, chown, or link to others' files",
    why: "mknod(2), chown(2), proc_sys_fs(5): protected_hardlinks",
    needs: ["privilege"],
    prepare: (lower) => {
      prepareAlice(lower);
      put(`${lower}/roots`, "x", 0o600);
      fs.chmodSync(`${lower}/alice`, 0o777);
    },
    run: (mount) => {
      as(alice, () => {
        fails("EPERM", () => makeNode(`${mount}/alice/null`, S_IFCHR | 0o666, 1, 3), "mknod");
        fails("EPERM", () => fs.chownSync(`${mount}/alice/file`, 0, 0), "chown");
      });
      same(list(`${mount}/alice`), ["file", "sub"], "names");
    },
  },
  {
    name: "a read-only mount takes nothing",
    why: "EROFS",
    options: ["ro"],
    prepare: (lower) => tree(lower, ["file", "dir/", "dir/x"]),
    run: (mount) => {
      const tries: readonly (readonly [string, () => void])[] = [
        ["open for writing", () => void open(`${mount}/file`, O.RDWR)],
        ["create", () => put(`${mount}/new`)],
        ["mkdir", () => fs.mkdirSync(`${mount}/new`)],
        ["unlink", () => fs.unlinkSync(`${mount}/file`)],
        ["rename", () => fs.renameSync(`${mount}/file`, `${mount}/x`)],
        ["chmod", () => fs.chmodSync(`${mount}/file`, 0o600)],
        ["utimes", () => fs.utimesSync(`${mount}/file`, 1, 1)],
        ["setxattr", () => setXattr(`${mount}/file`, "user.a", "b")],
        ["link", () => fs.linkSync(`${mount}/file`, `${mount}/link`)],
        ["truncate", () => fs.truncateSync(`${mount}/file`, 0)],
      ];
      for (const [what, attempt] of tries) fails("EROFS", attempt, what);
      same([text(`${mount}/file`), list(mount)], ["file", ["dir", "file"]], "what is there");
    },
  },
  {
    name: "access(2) says what open would",
    why: "access(2)",
    prepare: (lower) => {
      tree(lower, ["file"]);
      fs.chmodSync(`${lower}/file`, 0o444);
    },
    run: (mount) => {
      const { R_OK, W_OK, X_OK } = fs.constants;
      fs.accessSync(`${mount}/file`, R_OK | W_OK);
      fails("EACCES", () => fs.accessSync(`${mount}/file`, X_OK), "X_OK by the superuser of what nobody may run");
      same(run(asUser(1001, ["test", "-w", `${mount}/file`])).status, 1, "test -w by a user");
      same(run(asUser(1001, ["test", "-r", `${mount}/file`])).status, 0, "test -r by a user");
    },
    needs: ["privilege"],
  },
  {
    name: "a limit of file sizes is obeyed",
    why: "setrlimit(2), RLIMIT_FSIZE",
    prepare: (lower) => put(`${lower}/file`, "x".repeat(1000)),
    run: (mount) => {
      const { status, error } = run([
        "bash",
        "-c",
        `ulimit -f 4; trap '' XFSZ; dd if=/dev/zero of='${mount}/file' bs=1k count=100`,
      ]);
      same([status, error.includes("File too large")], [1, true], "dd's status, and that it says File too large");
      holds(stat(`${mount}/file`).size === 4096n, `size ${stat(`${mount}/file`).size} instead of 4096`);
    },
  },
]);
