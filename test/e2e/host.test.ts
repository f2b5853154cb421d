// A view of this machine's own root: every file system that is mounted below it, and nothing of it changed.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { O } from "../../src/kernel/abi/file.ts";
import { openAt } from "../../src/kernel/file.ts";
import { attachMount, detachMount, makeMount } from "../../src/kernel/mount.ts";
import { readMountInfo } from "../../src/mount/mountinfo.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";

/** Mounts are made below this, in the test file's own mount name space. */
const top = temporaryDirectory("mounts");
const sh = (script: string) => execFileSync("bash", ["-ec", script], { cwd: top, encoding: "utf8" });
const inside = async (script: string) => {
  const { status, stdout, stderr } = await fallthru(["run", "--quiet", "--", "bash", "-c", script], { directory: top });
  return { status, lines: stdout.split("\n").slice(0, -1), stderr };
};

beforeAll(() => {
  sh(`
    mkdir tmpfs ext4 bind ro covered file-on-file 'odd  name
 \\\\040' nested no-exec unwritable
    mount -t tmpfs -o mode=755 tmpfs tmpfs; echo host >tmpfs/file
    truncate -s 8M image; mkfs.ext4 -q image; mount -o loop image ext4; echo host >ext4/file
    mkdir source; echo host >source/file; mount --bind source bind
    mkdir frozen; echo host >frozen/file; mount --bind frozen ro; mount -o remount,bind,ro ro
    mount -t tmpfs below covered; echo below >covered/file; mount -t tmpfs above covered; echo above >covered/file
    echo 'the file below' >file-on-file/a; echo host >b; chmod 640 b; chown 12:34 b; touch -d 2001-02-03T04:05:06Z b; mount --bind b file-on-file/a
    mount -t tmpfs tmpfs odd*; (cd odd*; echo host >file)
    mount -t tmpfs tmpfs nested; mkdir nested/deep; mount -t tmpfs tmpfs nested/deep; echo host >nested/deep/file
    mkdir nested/hidden; mount -t tmpfs tmpfs nested/hidden; touch nested/hidden/seen; mount -t tmpfs over nested
    mount -t tmpfs -o noexec,nosuid,nodev tmpfs no-exec; cp /bin/true no-exec/true
  `);
});
afterAll(() =>
  sh(
    'for m in no-exec nested nested/hidden nested/deep nested odd* file-on-file/a covered covered ro bind ext4 tmpfs; do umount "$m"; done',
  ),
);

test("what a command deletes and changes is there on the host afterwards", async () => {
  const listing = () => sh("ls -lR --time-style=full-iso /etc/ssl /etc/passwd; cat /etc/passwd | md5sum");
  const before = listing();
  const { status, lines } = await inside(
    "rm -rf /etc/ssl; echo x >>/etc/passwd; chmod 777 /etc; touch /new-file; ls -d /etc/ssl /new-file; tail -n 1 /etc/passwd",
  );
  expect([status, lines]).toEqual([0, ["/new-file", "x"]]);
  expect(listing()).toBe(before);
  expect(existsSync("/new-file")).toBe(false);
});

test("every real file system below the root is writable inside, and untouched outside", async () => {
  for (const name of ["tmpfs", "ext4", "bind", "covered", "nested", "odd*"]) {
    const { status, lines, stderr } = await inside(
      `cd ${name}; cat file 2>/dev/null; echo inside >file && cat file; mkdir dir; rm -rf ./*; ls -A`,
    );
    const expected = { nested: ["inside"], covered: ["above", "inside"] }[name] ?? ["host", "inside"];
    expect({ name, status, lines, stderr }).toEqual({ name, status: 0, lines: expected, stderr: "" });
    expect(sh(`cat ${name}/file 2>/dev/null || echo none; ls -A ${name}`)).toMatch(
      name === "nested" ? /^none\n$/ : /^(host|above)\nfile\n(lost\+found\n)?$/,
    );
  }
});

test("each union keeps the mount's attributes, owner and mode", async () => {
  const { lines } = await inside(
    "grep -h ' /.*/no-exec ' /proc/self/mounts; ./no-exec/true; echo $?; stat -c '%a %u %g' tmpfs ext4 /tmp / /dev",
  );
  expect(lines[0]).toMatch(/ overlay rw,nosuid,nodev,noexec,/);
  expect(lines[1]).toBe("126");
  expect(lines.slice(2).join("\n")).toBe(sh("stat -c '%a %u %g' tmpfs ext4 /tmp / /dev").trim());
});

test("what is read-only stays so, with its content", async () => {
  const { lines } = await inside("cat ro/file; touch ro/new 2>&1; rm -f ro/file 2>/dev/null; cat ro/file");
  expect(lines).toEqual(["host", "touch: cannot touch 'ro/new': Read-only file system", "host"]);
});

test.each([[[]], [["--pid-namespace"]]])("the running kernel's switches are read-only: run %p", async (options) => {
  const script =
    "for file in sys/kernel/hostname sysrq-trigger; do test -w /proc/$file && echo $file; done; cat /proc/sys/kernel/ostype";
  const { stdout, stderr } = await fallthru(["run", ...options, "--", "sh", "-c", script]);
  expect([stdout, stderr]).toEqual(["Linux\n", ""]);
});

test("a file that is mounted on a file is a file of the session's own", async () => {
  const { lines } = await inside(
    "stat -c '%a %u %g %Y' file-on-file/a; cat file-on-file/a; echo inside >file-on-file/a; cat file-on-file/a; mv file-on-file/a c && rm c && echo gone",
  );
  expect(lines).toEqual(["640 12 34 981173106", "host", "inside", "gone"]);
  expect(sh("cat file-on-file/a b")).toBe("host\nhost\n");
});

test("mounts that others cover aren't seen", async () => {
  const { lines } = await inside("ls -A nested; ls -A nested/deep nested/hidden 2>&1 | wc -l; cat covered/file");
  expect(lines).toEqual(["2", "above"]);
});

test("a mount whose name isn't UTF-8 is left out, with a warning", async () => {
  sh("mkdir $'\\xff'; mount -t tmpfs tmpfs $'\\xff'; touch $'\\xff/file'");
  try {
    const { status, stdout, stderr } = await fallthru(["run", "--", "bash", "-c", "ls -A $'\\xff' | wc -l"], {
      directory: top,
    });
    expect([status, stdout]).toEqual([0, "0\n"]);
    expect(stderr).toMatch(/^fallthru: warning: .* is left out: its name is not UTF-8\n$/);
  } finally {
    sh("umount $'\\xff'");
  }
});

test("another user's FUSE mount, where even the superuser mayn't look, is no hindrance", async () => {
  const point = join(top, "fuse");
  mkdirSync(point);
  using device = openAt(null, "/dev/fuse", O.RDWR);
  {
    using mount = makeMount("fuse", [
      ["fd", String(device.number)],
      ["rootmode", "40000"],
      ["user_id", "1000"],
      ["group_id", "1000"],
    ]);
    using target = openAt(null, point, O.PATH);
    attachMount(mount, target);
  }
  try {
    const { status, stdout, stderr } = await fallthru(
      ["run", "--", "bash", "-c", "echo fine; grep -c ' /.*/fuse fuse ro' /proc/self/mounts"],
      { directory: top, timeoutMs: 30_000 },
    );
    expect([status, stdout, stderr]).toEqual([0, "fine\n1\n", ""]);
  } finally {
    detachMount(point);
  }
});

test("a file system whose server is dead is no hindrance", async () => {
  const point = join(top, "dead");
  mkdirSync(point);
  {
    using device = openAt(null, "/dev/fuse", O.RDWR);
    using mount = makeMount("fuse", [
      ["fd", String(device.number)],
      ["rootmode", "40000"],
      ["user_id", "0"],
      ["group_id", "0"],
    ]);
    using target = openAt(null, point, O.PATH);
    attachMount(mount, target);
  }
  try {
    const { status, stdout } = await fallthru(["run", "--", "bash", "-c", "echo fine; ls dead 2>&1; true"], {
      directory: top,
      timeoutMs: 30_000,
    });
    expect([status, stdout]).toEqual([0, "fine\nls: cannot access 'dead': Transport endpoint is not connected\n"]);
  } finally {
    detachMount(point);
  }
});

test("what overlayfs can't take for a layer is shown read-only, with a warning", async () => {
  sh(`
    mkdir -p stack/{a,u1,w1,m1,u2,w2,m2}; echo host >stack/a/file
    mount -t overlay overlay -o lowerdir=stack/a,upperdir=stack/u1,workdir=stack/w1 stack/m1
    mount -t overlay overlay -o lowerdir=stack/m1,upperdir=stack/u2,workdir=stack/w2 stack/m2
  `);
  try {
    const { status, stdout, stderr } = await fallthru(
      ["run", "--", "bash", "-c", "cat stack/m2/file; touch stack/m1/new && echo new; touch stack/m2/new 2>&1"],
      { directory: top },
    );
    expect([status, stdout]).toEqual([1, "host\nnew\ntouch: cannot touch 'stack/m2/new': Read-only file system\n"]);
    expect(stderr).toMatch(/^fallthru: warning: .*\/stack\/m2 is read-only: .*EINVAL.*overlays stack two deep.*\n$/);
    expect(sh("ls stack/m1 stack/m2")).toBe("stack/m1:\nfile\n\nstack/m2:\nfile\n");
  } finally {
    sh("umount stack/m2 stack/m1");
  }
});

test("a large file that is mounted on a file is shown read-only", async () => {
  const large = join(top, "large");
  writeFileSync(large, "");
  truncateSync(large, 2 << 20);
  writeFileSync(join(top, "point"), "");
  sh("mount --bind large point");
  try {
    const { lines } = await inside("stat -c %s point; : >point");
    expect(lines).toEqual([String(2 << 20)]);
    expect(statSync(large).size).toBe(2 << 20);
  } finally {
    sh("umount point");
  }
});

test("devices, terminals, shared memory and the kernel's files are as programs expect them", async () => {
  const script = `
    echo lost >/dev/null && head -c 3 /dev/zero | od -An -c && head -c 4 /dev/urandom | wc -c
    ls -l /dev/null | cut -c1-10; ls -d /proc/self/fd/0 /dev/fd/0 2>&1; stat -f -c %T /dev/shm /proc /sys /dev/pts
    echo x >/dev/shm/x && rm /dev/shm/x && echo shm
    (echo x >/proc/sys/kernel/hostname) 2>&1; (echo h >/proc/sysrq-trigger) 2>&1 | grep -c -e 'Read-only' -e 'No such'
    mkdir /sys/fs/x 2>&1; script -qec tty /dev/null </dev/null; test -w /run && test -w /tmp && echo writable
    rm /dev/null && ls /dev/null 2>&1
  `;
  const { lines } = await inside(script);
  expect(lines.map((line) => line.replace(/\d+\r$/, "N"))).toEqual([
    "  \\0  \\0  \\0",
    "4",
    "crw-rw-rw-",
    "/dev/fd/0",
    "/proc/self/fd/0",
    "tmpfs",
    "proc",
    "sysfs",
    "devpts",
    "shm",
    "bash: line 5: /proc/sys/kernel/hostname: Read-only file system",
    "1",
    "mkdir: cannot create directory ‘/sys/fs/x’: Read-only file system",
    "/dev/pts/N",
    "writable",
    "ls: cannot access '/dev/null': No such file or directory",
  ]);
  expect(existsSync("/dev/null")).toBe(true);
});

test("the sessions, and what sessions change, aren't seen from inside", async () => {
  await fallthru(["begin", "host", "--name", "other"]);
  try {
    const { lines } = await inside(
      "ls -A /run/fallthru /var/lib/fallthru/sessions; grep -c /run/fallthru/mount/other /proc/self/mountinfo",
    );
    expect(lines).toEqual(["/run/fallthru:", "", "/var/lib/fallthru/sessions:", "0"]);
  } finally {
    await fallthru(["end", "other"]);
  }
});

test("mounts and unmounts of the host's don't reach a session, nor its own the host", async () => {
  sh("mkdir shared; mount -t tmpfs tmpfs shared; mount --make-shared shared; mkdir shared/point");
  await fallthru(["begin", "host", "--name", "apart"]);
  try {
    sh("mount -t tmpfs later shared/point; touch shared/point/host");
    const before = readMountInfo().length;
    const { stdout } = await fallthru(
      [
        "run",
        "@apart",
        "--",
        "bash",
        "-c",
        "ls shared/point; mount -t tmpfs mine shared/point && touch shared/point/mine && ls shared/point; mount -t tmpfs mine /mnt",
      ],
      { directory: top },
    );
    expect(stdout).toBe("mine\n");
    expect(sh("ls shared/point")).toBe("host\n");
    const outside = readMountInfo().filter(({ mountPoint }) => !mountPoint.startsWith("/run/fallthru/"));
    expect(outside.filter(({ source }) => source === "mine")).toEqual([]);
    expect(readMountInfo().length).toBe(before + 2);
  } finally {
    await fallthru(["end", "apart"]);
    sh("umount shared/point; umount shared");
  }
});

test("where all mounts are shared, as systemd makes them, sessions' mounts reach no other name space", async () => {
  const script = `
    mount --make-rshared /; umount /run/fallthru 2>/dev/null
    unshare --mount --propagation unchanged sleep 1012 & sleep 0.2
    ${executable} begin host --name wide >/dev/null; ${executable} run @wide -- mount -t tmpfs inner /mnt
    mount -t tmpfs later ${top}/late; grep -c ' ${top}/late ' /proc/$!/mountinfo
    grep -c -e /run/fallthru/mount -e inner /proc/$!/mountinfo
    ${executable} run @wide -- grep -c later /proc/self/mountinfo
    ${executable} end wide; umount ${top}/late; kill $!; wait $! 2>/dev/null; true
  `;
  mkdirSync(join(top, "late"));
  const { status, stdout, stderr } = await run(["unshare", "--mount", "bash", "-c", script]);
  expect([status, stdout, stderr]).toEqual([0, "1\n0\n0\nended wide\n", ""]);
});

test("a package's installation and removal happen inside only", async () => {
  const before = readFileSync("/var/lib/dpkg/status", "utf8");
  const { status, lines } = await inside(
    "dpkg --purge --force-all busybox-static >/dev/null 2>&1; echo $?; ls /bin/busybox 2>/dev/null; dpkg-query -W busybox-static 2>&1 | tail -n 1",
  );
  expect([status, lines[0], lines[1]]).toEqual([0, "0", expect.stringContaining("no packages found")]);
  expect(readFileSync("/var/lib/dpkg/status", "utf8")).toBe(before);
  expect(existsSync("/bin/busybox")).toBe(true);
});
