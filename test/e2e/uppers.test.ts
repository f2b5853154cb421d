// Where changes are kept, what they lie over, and sessions inside sessions.
import { afterEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru } from "../support/fallthru.ts";
import { leftoversAfter, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";

const root = tinyRoot();
describeChroot("tiny", root, ["profile=fallthru"]);
const before = traces();
afterEach(async () => {
  for (const id of ["s", "outer"]) await fallthru(["end", id]);
  expect(await leftoversAfter(before)).toEqual([]);
});
const sh = (script: string) => execFileSync("bash", ["-ec", script], { encoding: "utf8" });

describe("--upper DIR", () => {
  test("keeps changes there, for one session only, and only as long", async () => {
    const dir = temporaryDirectory("upper");
    writeFileSync(join(dir, "mine"), "");
    await fallthru(["begin", "tiny", "--name", "s", "--upper", dir]);
    await fallthru(["run", "@s", "--", "sh", "-c", "yes | head -c 100000 >/tmp/big; mkdir -p /x/y"]);
    expect(sh(`find ${dir} -name big | wc -l`)).toBe("1\n");
    expect(
      statSync(join(dir, readdirSync(dir).find((name) => name.startsWith("fallthru-s-")) ?? "")).mode & 0o777,
    ).toBe(0o700);
    expect(sh("find /var/lib/fallthru/sessions/s -name big")).toBe("");
    expect((await fallthru(["run", "tiny", "--upper", dir, "--", "touch", "/x"])).status).toBe(0);
    await fallthru(["end", "s"]);
    expect(readdirSync(dir)).toEqual(["mine"]);
  });

  test("may have a long path, and lowers too", async () => {
    let dir = temporaryDirectory("long");
    for (let depth = 0; depth < 5; depth++) dir = join(dir, "d".repeat(120));
    mkdirSync(join(dir, "upper"), { recursive: true });
    mkdirSync(join(dir, "lower"));
    writeFileSync(join(dir, "lower/file"), "low\n");
    const options = ["--upper", join(dir, "upper"), "--lower", join(dir, "lower")];
    const once = await fallthru(["run", "tiny", ...options, "--", "sh", "-c", "cat /file; echo up >/file; cat /file"]);
    expect(once).toEqual({ status: 0, signal: null, stdout: "low\nup\n", stderr: "" });
    await fallthru(["begin", "tiny", "--name", "s", ...options]);
    expect((await fallthru(["run", "@s", "--", "cat", "/file"])).stdout).toBe("low\n");
    await fallthru(["end", "s"]);
    expect(readdirSync(join(dir, "upper"))).toEqual([]);
  });

  test("on what can't be an upper is refused before anything is made", async () => {
    const dir = temporaryDirectory("refused");
    sh(`cd ${dir}; mkdir l u w m; mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m`);
    try {
      for (const [path, message, status] of [
        [
          join(dir, "m"),
          /^fallthru: .*\/m is on overlay, which can't hold a session's changes\nhint: .*--upper DIR.*--upper tmpfs/,
          7,
        ],
        ["/proc", /^fallthru: \/proc is on proc, which can't/, 7],
        ["/sys", /^fallthru: \/sys is on sysfs, which can't/, 7],
        [join(dir, "none"), /^fallthru: no directory .*\/none to keep changes in\nhint: make it first: mkdir /, 3],
        ["/etc/passwd", /^fallthru: no directory \/etc\/passwd to keep changes in\n/, 3],
      ] as const) {
        const result = await fallthru(["begin", "tiny", "--name", "s", "--upper", path]);
        expect([path, result.status, result.stderr]).toEqual([path, status, expect.stringMatching(message)]);
      }
    } finally {
      sh(`umount ${dir}/m`);
    }
  });

  test("that is read-only is a clear error, and nothing is left", async () => {
    const dir = temporaryDirectory("ro");
    sh(`mount -t tmpfs -o ro tmpfs ${dir}`);
    try {
      const { status, stderr } = await fallthru(["begin", "tiny", "--name", "s", "--upper", dir]);
      expect([status, stderr]).toEqual([
        1,
        expect.stringMatching(/^fallthru: mkdir .*read-only file system \(EROFS\)\n/),
      ]);
    } finally {
      sh(`umount ${dir}`);
    }
  });

  test("that is inside the root, or in a lower, works", async () => {
    for (const dir of [join(root, "tmp"), join(root, "var")]) {
      const { stdout, stderr } = await fallthru([
        "run",
        "tiny",
        "--upper",
        dir,
        "--",
        "sh",
        "-c",
        "echo x >/etc/new; cat /etc/new",
      ]);
      expect([stdout, stderr]).toEqual(["x\n", ""]);
    }
    const dir = temporaryDirectory("low");
    const { stdout } = await fallthru([
      "run",
      "tiny",
      "--upper",
      dir,
      "--lower",
      dir,
      "--",
      "sh",
      "-c",
      "echo x >/new; ls /",
    ]);
    expect(stdout).toContain("new\n");
  });

  test("that is a link is where the link leads", async () => {
    const dir = temporaryDirectory("link");
    mkdirSync(join(dir, "real"));
    symlinkSync("real", join(dir, "link"));
    await fallthru(["begin", "tiny", "--name", "s", "--upper", join(dir, "link")]);
    expect(readdirSync(join(dir, "real")).length).toBe(1);
    await fallthru(["end", "s"]);
    expect(readdirSync(join(dir, "real"))).toEqual([]);
  });

  test("whose session was ended after the directory was taken away", async () => {
    const dir = temporaryDirectory("gone");
    await fallthru(["begin", "tiny", "--name", "s", "--upper", dir]);
    sh(`rm -rf ${dir}`);
    expect(await fallthru(["end", "s"])).toEqual({ status: 0, signal: null, stdout: "ended s\n", stderr: "" });
  });
});

describe("--upper tmpfs", () => {
  test("keeps changes in memory, and a full one is the session's own trouble", async () => {
    await fallthru(["begin", "tiny", "--name", "s", "--upper", "tmpfs:2M"]);
    const { stdout } = await fallthru([
      "run",
      "@s",
      "--",
      "sh",
      "-c",
      "(yes >/tmp/big) 2>&1 || echo full; rm /tmp/big; echo again >/tmp/x; cat /tmp/x",
    ]);
    expect(stdout).toMatch(/No space left on device\nfull\nagain\n$/);
    expect(readdirSync("/var/lib/fallthru/sessions/s")).toEqual(["record.json"]);
    const { stdout: info } = await fallthru(["info", "@s", "--json"]);
    expect(JSON.parse(info)).toMatchObject({ upper: { kind: "tmpfs", sizeBytes: 2 << 20 } });
    expect(
      (
        await fallthru([
          "run",
          "tiny",
          "--upper",
          "tmpfs",
          "--",
          "sh",
          "-c",
          "yes | head -c 5000000 >/tmp/big; ls -l /tmp/big | awk '{ print $5 }'",
        ])
      ).stdout,
    ).toBe("5000000\n");
  });

  test("that is too small to begin with says so, and leaves nothing", async () => {
    const { status, stderr } = await fallthru(["begin", "tiny", "--name", "s", "--upper", "tmpfs:4K"]);
    expect([status, stderr]).toEqual([8, expect.stringMatching(/^fallthru: .*(full|space).*\nhint: /)]);
  });

  test("isn't seen from inside a session on the host's root", async () => {
    const { stdout } = await fallthru([
      "run",
      "--upper",
      "tmpfs",
      "--",
      "sh",
      "-c",
      "ls -A /run/fallthru; echo x >/etc/x; cat /etc/x",
    ]);
    expect(stdout).toBe("x\n");
    expect(existsSync("/etc/x")).toBe(false);
  });
});

describe("lower layers", () => {
  const layers = (count: number) => {
    const base = temporaryDirectory("layers");
    return Array.from({ length: count }, (_, index) => {
      const path = join(base, String(index));
      mkdirSync(path);
      writeFileSync(join(path, `only-${index}`), "");
      writeFileSync(join(path, "all"), `${index}\n`);
      return path;
    });
  };

  test("are laid over the root, the first on top", async () => {
    const [a = "", b = ""] = layers(2);
    mkdirSync(join(b, "etc"));
    writeFileSync(join(b, "etc/passwd"), "root:x:0:0::/:/bin/sh\n");
    const { stdout } = await fallthru([
      "run",
      "tiny",
      "--lower",
      a,
      "--lower",
      b,
      "--",
      "sh",
      "-c",
      "cat /all; ls -d /only-*; head -n 1 /etc/passwd",
    ]);
    expect(stdout).toBe("0\n/only-0\n/only-1\nroot:x:0:0::/:/bin/sh\n");
  });

  test("that lie inside another, or are there twice, are refused with the reason", async () => {
    const [a = ""] = layers(1);
    mkdirSync(join(a, "inside"));
    for (const words of [
      ["host", "--lower", a],
      ["tiny", "--lower", a, "--lower", join(a, "inside")],
      ["tiny", "--lower", a, "--lower", a],
      ["tiny", "--lower", join(root, "etc")],
    ]) {
      const { status, stderr } = await fallthru(["run", ...words, "--", "true"]);
      expect([words, status, stderr]).toEqual([
        words,
        125,
        expect.stringMatching(/^fallthru: mount overlay over .* \(ELOOP\)\nhint: no layer may lie inside another/),
      ]);
    }
    const other = temporaryDirectory("other");
    sh(`mount -t tmpfs tmpfs ${other}; echo other >${other}/all`);
    try {
      expect((await fallthru(["run", "--lower", other, "--", "sh", "-c", "cat /all; ls -d /etc"])).stdout).toBe(
        "other\n/etc\n",
      );
    } finally {
      sh(`umount ${other}`);
    }
  });

  test("may be 500 with the root, from options and from the chroot's key", async () => {
    const lowers = layers(500);
    const script = "cat /all; ls -d /only-* | wc -l";
    const many = lowers.slice(0, 499);
    expect(
      await fallthru(["run", "tiny", ...many.flatMap((path) => ["--lower", path]), "--", "sh", "-c", script]),
    ).toEqual({ status: 0, signal: null, stdout: "0\n499\n", stderr: "" });
    describeChroot("layered", root, ["profile=fallthru", `fallthru.lower=${many.join(",")}`]);
    expect((await fallthru(["begin", "layered", "--name", "s"])).stderr).toBe("");
    expect((await fallthru(["run", "@s", "--", "sh", "-c", script])).stdout).toBe("0\n499\n");
    await fallthru(["end", "s"]);
    const result = await fallthru(["run", "tiny", ...lowers.flatMap((path) => ["--lower", path]), "--", "true"]);
    expect([result.status, result.stderr]).toEqual([
      125,
      expect.stringMatching(/too many lower directories, limit is 500/),
    ]);
  });

  test("that aren't directories are refused before anything is made", async () => {
    for (const path of ["/no/where", "/etc/passwd", ""]) {
      const { status, stderr } = await fallthru(["begin", "tiny", "--name", "s", "--lower", path]);
      expect([path, status, stderr]).toEqual([path, expect.any(Number), expect.stringMatching(/^fallthru: /)]);
      expect(status).not.toBe(0);
    }
  });

  test("with whiteouts and odd names are what overlayfs makes of them", async () => {
    const [path = "", beside = ""] = layers(2);
    sh(`cd ${path}; mknod home c 0 0; cd ${beside}; mkdir 'a b:c,d\\e' $'new\\nline'`);
    const odd = join(beside, "a b:c,d\\e");
    writeFileSync(join(odd, "inside"), "");
    const { stdout } = await fallthru([
      "run",
      "tiny",
      "--lower",
      path,
      "--lower",
      odd,
      "--lower",
      join(beside, "new\nline"),
      "--",
      "sh",
      "-c",
      "ls -d /home 2>&1; ls /inside",
    ]);
    expect(stdout).toBe("ls: /home: No such file or directory\n/inside\n");
  });
});

describe("a session in a session", () => {
  const build = dirname(executable);
  test("the host's root in the host's root", async () => {
    const script = `echo 1 >/etc/inner-test; ${executable} run -- sh -c 'cat /etc/inner-test; echo 2 >/etc/inner-test; rm -rf /etc/ssl; echo $FALLTHRU_SESSION'; cat /etc/inner-test; ls -d /etc/ssl`;
    const { status, stdout, stderr } = await fallthru(["run", "--", "sh", "-c", script]);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^1\nhost-\w{8}\n1\n\/etc\/ssl\n$/);
  });

  test("named ones, begun and ended inside; those that aren't go with the outer one", async () => {
    await fallthru(["begin", "host", "--name", "outer"]);
    const inside = (words: readonly string[]) => fallthru(["run", "@outer", "--", executable, ...words]);
    expect((await inside(["begin", "tiny", "--name", "inner"])).stdout).toBe("inner\n");
    expect((await inside(["run", "@inner", "--", "sh", "-c", "echo x >/etc/new; cat /etc/new"])).stdout).toBe("x\n");
    expect((await inside(["list", "--json"])).stdout).toContain('"inner"');
    expect((await inside(["begin", "host", "--name", "deep"])).status).toBe(0);
    // An overlay as a lower has no file handles: the kernel takes the options and does without.
    const deep = JSON.parse((await inside(["info", "@deep", "--json"])).stdout) as { unions: { options: string[] }[] };
    expect(deep.unions[0]?.options).toEqual(["redirect_dir=on", "index=off", "metacopy=on", "xino=off", "volatile"]);
    expect((await fallthru(["list", "--json"])).stdout).not.toContain('"inner"');
    expect((await inside(["end", "inner"])).stdout).toBe("ended inner\n");
    expect((await inside(["begin", "host", "--name", "left"])).status).toBe(0);
    expect((await fallthru(["end", "outer"])).stdout).toBe("ended outer\n");
  });

  test("the host's root in a chroot", async () => {
    const options = [
      "--bind",
      `${build}:/opt:ro`,
      "--bind",
      "/lib:/lib:ro",
      "--bind",
      "/lib64:/lib64:ro",
      "--bind",
      "/usr/lib:/usr/lib:ro",
      "--bind",
      "/dev",
    ];
    const { stdout, stderr } = await fallthru([
      "run",
      "tiny",
      ...options,
      "--",
      "/opt/fallthru",
      "run",
      "--",
      "sh",
      "-c",
      "touch /etc/new && ls /etc/new",
    ]);
    expect([stdout, stderr]).toEqual(["/etc/new\n", ""]);
  });

  test("a third one is refused with the reason", async () => {
    const script = `${executable} run -- ${executable} run -- true`;
    const { status, stderr } = await fallthru(["run", "--", "sh", "-c", script]);
    expect([status, stderr]).toEqual([
      125,
      expect.stringMatching(
        /^fallthru: mount overlay over \/: invalid argument \(EINVAL\)\nhint: overlays stack two deep/,
      ),
    ]);
  });
});
