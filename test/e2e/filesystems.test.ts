// The file systems that people have, as a place for changes, and as mounts of the host's below its root.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { debianRoot } from "../support/roots.ts";

const top = temporaryDirectory("disks");
const kinds = ["ext4", "xfs", "btrfs", "tmpfs"] as const;
const sh = (script: string) => execFileSync("bash", ["-ec", script], { cwd: top, encoding: "utf8" });

beforeAll(async () => {
  describeChroot("debian", await debianRoot(), ["profile=fallthru"]);
  for (const kind of kinds) {
    if (kind === "tmpfs") sh("mkdir tmpfs; mount -t tmpfs tmpfs tmpfs");
    else
      sh(
        `mkdir ${kind}; truncate -s 320M ${kind}.image; mkfs.${kind} -q ${kind}.image; mount -o loop ${kind}.image ${kind}`,
      );
    sh(
      `cd ${kind}; mkdir -p tree/a/b; echo host >tree/file; ln tree/file tree/hard; ln -s file tree/link; mkfifo tree/pipe; mknod tree/null c 1 3; setfattr -n user.x -v y tree/file; chmod 3751 tree/a; chown 1:2 tree/a`,
    );
  }
});
afterAll(() => {
  for (const kind of kinds) sh(`umount ${kind}`);
});

/** Everything that a union has to get right, as a shell sees it; prints what it found. */
const exercise = `
  set -e
  rm tree/link; mv tree/a tree/moved; echo more >>tree/file; cat tree/hard; stat -c '%h %s' tree/file; stat -c '%a %u %g' tree/moved
  chmod 600 tree/pipe; chown 3 tree/null; test -c tree/null; test -p tree/pipe
  mkdir tree/new; mv tree/new tree/new2; ln tree/file tree/another; mknod tree/device b 7 0; touch -d 2001-01-01 tree/new2
  rm -rf tree/moved/b; mkdir tree/moved/b; ls -A tree/moved/b | wc -l
  if command -v getfattr >/dev/null; then getfattr --only-values -n user.x tree/file; echo; fi
  dd if=/dev/zero of=tree/large bs=1M count=20 2>/dev/null; mv tree/large tree/large2; stat -c %s tree/large2
  for i in $(seq 200); do echo $i >tree/n$i; done; rm tree/n1*; ls tree | wc -l
`;
const found = "host\nmore\n2 10\n3751 1 2\n0\ny\n20971520\n98\n";

for (const kind of kinds) {
  describe(kind, () => {
    test("below the host's root has a union of its own", async () => {
      const before = sh(`find ${kind}/tree -printf '%p %y %m %U %n %s %T@ %l\\n' | sort`);
      const { status, stdout, stderr } = await fallthru(["run", "--", "bash", "-c", exercise], {
        directory: join(top, kind),
      });
      expect([status, stdout, stderr]).toEqual([0, found, ""]);
      expect(sh(`find ${kind}/tree -printf '%p %y %m %U %n %s %T@ %l\\n' | sort`)).toBe(before);
    });

    test("takes a session's changes, and is clean after it", async () => {
      const before = sh(`ls -A ${kind}`);
      const { stderr } = await fallthru(["begin", "debian", "--name", "s", "--upper", join(top, kind)]);
      expect(stderr).toBe("");
      const prepare =
        "mkdir -p /w/tree/a/b; cd /w; echo host >tree/file; ln tree/file tree/hard; ln -s file tree/link; mkfifo tree/pipe; mknod tree/null c 1 3; chmod 3751 tree/a; chown 1:2 tree/a";
      const { status, stdout } = await fallthru([
        "run",
        "@s",
        "--",
        "bash",
        "-c",
        `${prepare}; ${exercise.replace(/if command.*\n/, "echo y\n")} rm -rf /usr/share/doc; mv /etc/apt /etc/apt2; ls -d /usr/share/doc /etc/apt* 2>&1 | tail -n 1`,
      ]);
      expect([status, stdout]).toEqual([0, `${found}/etc/apt2\n`]);
      const unions = JSON.parse((await fallthru(["info", "@s", "--json"])).stdout) as {
        unions: { options: string[] }[];
      };
      expect(unions.unions[0]?.options).toEqual(["redirect_dir=on", "index=on", "metacopy=on", "xino=auto"]);
      expect((await fallthru(["end", "s"])).stderr).toBe("");
      expect(sh(`ls -A ${kind}`)).toBe(before);
    });
  });
}

test("a Debian root: its own shell, accounts, packages, and a chroot in the chroot", async () => {
  const inside = (words: readonly string[]) => fallthru(["run", "debian", "--", ...words]);
  expect((await inside(["getent", "passwd", "root", "daemon"])).stdout).toMatch(/^root:x:0:0:[^]*\ndaemon:x:1:1:/);
  expect((await fallthru(["run", "debian"], { input: "shopt login_shell; echo $HOME\n" })).stdout).toBe(
    "login_shell    \ton\n/root\n",
  );
  const build =
    "cd /tmp; mkdir -p p/DEBIAN p/opt; printf 'Package: mine\\nVersion: 1\\nArchitecture: all\\nMaintainer: x\\nDescription: x\\n' >p/DEBIAN/control; printf '#!/bin/sh\\necho set up\\n' >p/DEBIAN/postinst; chmod 755 p/DEBIAN/postinst; echo file >p/opt/mine; dpkg-deb -b p mine.deb >/dev/null; dpkg -i mine.deb | tail -n 1; cat /opt/mine; dpkg --purge mine >/dev/null; ls /opt/mine 2>&1 || true";
  const { status, stdout, stderr } = await inside(["bash", "-ec", build]);
  expect([status, stdout, stderr]).toEqual([
    0,
    "set up\nfile\nls: cannot access '/opt/mine': No such file or directory\n",
    "",
  ]);
  expect(
    (
      await inside([
        "bash",
        "-c",
        "mkdir -p /n/proc; mount --bind / /n; mount -t proc proc /n/proc; chroot /n sh -c 'mkdir /deeper; ls -d /deeper'; unshare -m true && echo unshared; umount /n/proc /n",
      ])
    ).stdout,
  ).toBe("/deeper\nunshared\n");
  expect(
    (await fallthru(["run", "debian", "--user", "nobody", "--", "bash", "-c", "touch /etc/x 2>&1; id -un"])).stdout,
  ).toBe("touch: cannot touch '/etc/x': Permission denied\nnobody\n");
});
