// --bind, --network, --hostname and --dry-run.
import { afterEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { leftoversAfter, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";

const root = tinyRoot();
describeChroot("tiny", root, ["profile=fallthru"]);
const before = traces();
afterEach(async () => {
  await fallthru(["end", "s"]);
  expect(await leftoversAfter(before)).toEqual([]);
});

/** A directory of the host's with a file and a directory. */
function shared(): string {
  const path = temporaryDirectory("shared");
  writeFileSync(join(path, "file"), "host\n");
  mkdirSync(join(path, "dir"));
  return path;
}

describe("--bind", () => {
  const inside = async (binds: readonly string[], script: string, source = "tiny") =>
    (await fallthru(["run", source, ...binds.flatMap((bind) => ["--bind", bind]), "--", "sh", "-c", script])).stdout;

  test("shows a directory, where changes are real", async () => {
    const path = shared();
    expect(await inside([path], `cat ${path}/file; echo inside >${path}/file; echo new >${path}/dir/new`)).toBe(
      "host\n",
    );
    expect([readFileSync(join(path, "file"), "utf8"), readFileSync(join(path, "dir/new"), "utf8")]).toEqual([
      "inside\n",
      "new\n",
    ]);
    expect(await inside([`${path}:/mnt`], "cat /mnt/file")).toBe("inside\n");
    expect(await inside([`${path}::ro`], `cat ${path}/file`)).toBe("inside\n");
  });

  test("shows a file, also one that replaces another, and one where nothing is", async () => {
    const path = shared();
    expect(await inside([`${path}/file:/etc/passwd`], "cat /etc/passwd")).toBe("host\n");
    expect(
      await inside(
        [`${path}/file:/deep/in/nowhere`],
        "cat /deep/in/nowhere; echo x >/deep/in/nowhere; ls -ld /deep | cut -c1-10",
      ),
    ).toBe("host\ndrwxr-xr-x\n");
    expect(readFileSync(join(path, "file"), "utf8")).toBe("x\n");
  });

  test("hides what a profile writes, which never lands in what is shown", async () => {
    const path = shared();
    writeFileSync(join(path, "passwd"), "own:x:7:7::/:/bin/sh\n");
    expect(await inside([`${path}:/etc`], "cat /etc/passwd; ls /etc")).toBe(
      "own:x:7:7::/:/bin/sh\ndir\nfile\npasswd\n",
    );
    expect(readdirSync(path).toSorted()).toEqual(["dir", "file", "passwd"]);
  });

  test("with ro lets nothing be changed, not below other mounts either", async () => {
    const path = shared();
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", join(path, "dir")]);
    try {
      const script =
        "touch /mnt/x || echo refused; touch /mnt/dir/x || echo refused; rm -rf /mnt/* || echo refused; cat /mnt/file";
      expect(await inside([`${path}:/mnt:ro`], script)).toBe("refused\nrefused\nrefused\nhost\n");
      expect(await inside([`${path}:/mnt`], "echo x >/mnt/dir/x && cat /mnt/dir/x")).toBe("x\n");
    } finally {
      execFileSync("umount", [join(path, "dir")]);
    }
  });

  test("makes what is missing for everybody, whatever the umask, and passes over slashes", async () => {
    const path = shared();
    const script = "stat -c %a /new /new/er /new/er/dir /new/file; cat /new/er/dir/file /new/file";
    const words = `umask 077; exec ${executable} run tiny --bind ${path}:/new/er//dir/ --bind ${path}/file:/new/file -- sh -c '${script}'`;
    expect((await run(["sh", "-c", words])).stdout).toBe("755\n755\n700\n644\nhost\nhost\n");
  });

  test("is done in the order given, one upon another", async () => {
    const [outer, inner] = [shared(), shared()];
    writeFileSync(join(inner, "file"), "inner\n");
    expect(await inside([`${outer}:/mnt`, `${inner}:/mnt/dir`], "cat /mnt/file /mnt/dir/file")).toBe("host\ninner\n");
    expect(await inside([`${inner}:/mnt`, `${outer}:/mnt`], "cat /mnt/file")).toBe("host\n");
  });

  test("to a place that a link leads to stays inside", async () => {
    const path = shared();
    const outside = temporaryDirectory("outside");
    symlinkSync("../../../../../../../../tmp", join(root, "up"));
    symlinkSync(outside, join(root, "absolute"));
    expect(await inside([`${path}:/up`], "cat /tmp/file")).toBe("host\n");
    expect(await inside([`${path}:/up/deeper`], "cat /tmp/deeper/file")).toBe("host\n");
    expect(await inside([`${path}:/absolute`], `cat /absolute/file ${outside}/file`)).toBe("host\nhost\n");
    expect(existsSync(join(outside, "file"))).toBe(false);
    expect(existsSync(join(root, "tmp/deeper"))).toBe(false);
  });

  test("of what isn't there, or of a directory onto a file, is a clear error, and nothing is left", async () => {
    const path = shared();
    const errors: readonly (readonly [string, number, RegExp])[] = [
      ["/no/where", 3, /^fallthru: nothing at \/no\/where to bind\nhint: --bind HOST\[:INSIDE\[:ro\]\]\n$/],
      [`${path}:/etc/passwd`, 1, /^fallthru: mount .* on .*\/etc\/passwd: not a directory \(ENOTDIR\)\n/],
      [`${path}/file:/etc`, 1, /^fallthru: mount .* on .*\/etc: is a directory \(EISDIR\)\n/],
      [`${path}:relative`, 2, /^fallthru: --bind: can't be understood/],
      [`${path}:/a:rw`, 2, /^fallthru: --bind: can't be understood/],
    ];
    for (const [bind, status, message] of errors) {
      const result = await fallthru(["begin", "tiny", "--name", "s", "--bind", bind]);
      expect([bind, result.status, result.stderr]).toEqual([bind, status, expect.stringMatching(message)]);
      expect((await fallthru(["run", "tiny", "--bind", bind, "--", "true"])).status).toBe(125);
    }
  });

  test("works on the host's root, and shows the real directory there", async () => {
    const path = shared();
    expect(
      await inside([path], `echo inside >${path}/file; echo x >${path}/../beside; ls ${path}/..`, "host"),
    ).toContain("beside");
    expect(readFileSync(join(path, "file"), "utf8")).toBe("inside\n");
    expect(existsSync(join(path, "../beside"))).toBe(false);
  });

  test("of a device works, and of a socket's directory", async () => {
    expect(
      await inside(
        ["/dev/null", "/dev/zero:/dev/nought"],
        "head -c 2 /dev/nought | od -An -c; echo x >/dev/null; wc -c </dev/null",
      ),
    ).toMatch(/\\0 {2}\\0\n0\n$/);
  });

  test("stays for every command of a named session", async () => {
    const path = shared();
    await fallthru(["begin", "tiny", "--name", "s", "--bind", `${path}:/mnt`]);
    await fallthru(["run", "@s", "--", "sh", "-c", "echo one >/mnt/one"]);
    expect((await fallthru(["run", "@s", "--", "cat", "/mnt/one"])).stdout).toBe("one\n");
    await fallthru(["end", "s"]);
    expect(readFileSync(join(path, "one"), "utf8")).toBe("one\n");
  });
});

describe("--network none", () => {
  const script =
    "ls /sys/class/net; cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '; ping -c 1 -W 1 127.0.0.1 >/dev/null && echo up; cat /proc/net/route | wc -l";
  for (const [name, way] of [
    ["an automatic session", ["run", "tiny", "--network", "none"]],
    ["a pid name space", ["run", "tiny", "--network", "none", "--pid-namespace"]],
    ["the host's root", ["run", "host", "--network", "none"]],
  ] as const) {
    test(`leaves only a loopback, which is up (${name})`, async () => {
      const { stdout } = await fallthru([...way, "--", "/bin/busybox", "sh", "-c", script]);
      // /sys shows the network of whoever mounted it; /proc that of whoever looks.
      expect(stdout.split("\n").slice(-4)).toEqual(["lo", "up", "1", ""]);
    });
  }

  test("is every command's of a named session, and the host's stays", async () => {
    const links = readFileSync("/proc/net/dev", "utf8").split("\n").length;
    await fallthru(["begin", "tiny", "--name", "s", "--network", "none"]);
    expect((await fallthru(["run", "@s", "--", "sh", "-c", script])).stdout.split("\n").slice(-4)).toEqual([
      "lo",
      "up",
      "1",
      "",
    ]);
    expect(readFileSync("/proc/net/dev", "utf8").split("\n").length).toBe(links);
    expect((await fallthru(["run", "tiny", "--", "cat", "/proc/net/dev"])).stdout.split("\n").length).toBe(links);
  });
});

test("--hostname is the session's, and the host's stays", async () => {
  const name = "x".repeat(64);
  for (const way of [["tiny"], ["host"], ["tiny", "--pid-namespace"], ["tiny", "--user", "user"]]) {
    expect((await fallthru(["run", ...way, "--hostname", "inside.example", "--", "hostname"])).stdout).toBe(
      "inside.example\n",
    );
  }
  expect((await fallthru(["run", "tiny", "--hostname", name, "--", "hostname"])).stdout).toBe(`${name}\n`);
  await fallthru(["begin", "tiny", "--name", "s", "--hostname", "named"]);
  expect((await fallthru(["run", "@s", "--", "hostname"])).stdout).toBe("named\n");
  expect(hostname()).not.toBe("named");
  const long = await fallthru(["run", "tiny", "--hostname", `${name}x`, "--", "hostname"]);
  expect([long.status, long.stderr]).toEqual([125, expect.stringMatching(/^fallthru: .*x: /)]);
});

test("--dry-run says what would be mounted, and makes nothing", async () => {
  const path = shared();
  const options = ["--bind", `${path}:/mnt:ro`, "--dry-run", "--lower", path];
  const { status, stdout, stderr } = await fallthru(["run", "tiny", ...options, "--", "touch", "/x"]);
  expect([status, stderr]).toEqual([0, ""]);
  expect(stdout.split("\n")).toEqual([
    `mount overlay on /: lower ${path}:${root}, upper <layers>/0/upper`,
    "mount proc on /proc (nosuid, nodev, noexec)",
    "mount sysfs on /sys (ro, nosuid, nodev, noexec)",
    "bind /dev/pts on /dev/pts",
    "mount tmpfs on /dev/shm (nosuid, nodev, mode=1777)",
    `rbind ${path} on /mnt (ro)`,
    "copy /etc/resolv.conf to /etc/resolv.conf",
    "copy /etc/hosts to /etc/hosts",
    "merge the host's passwd database",
    "merge the host's shadow database",
    "merge the host's group database",
    "merge the host's gshadow database",
    "",
  ]);
  expect((await fallthru(["run", "--dry-run", "--", "true"])).stdout).toMatch(
    /^mount overlay on \/: lower \/, upper <layers>\/0\/upper\n/,
  );
  const script = `umount /run/fallthru; exec ${executable} run tiny --dry-run; ls /run/fallthru`;
  expect((await run(["sh", "-c", script])).status).toBe(0);
});
