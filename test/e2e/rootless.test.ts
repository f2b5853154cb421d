// deadline: 480
// The same verbs for who isn't root, in name spaces of their own.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, run } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";
import { giveTinyRoot, type Someone, someone } from "../support/someone.ts";

let anna: Someone;
let root: string;

beforeAll(async () => {
  // As udev has it on most machines.
  const fuse = join(temporaryDirectory("dev"), "fuse");
  execFileSync("mknod", ["--mode=666", fuse, "c", "10", "229"]);
  execFileSync("mount", ["--bind", fuse, "/dev/fuse"]);
  anna = someone();
  root = await giveTinyRoot(anna);
});
afterAll(() => {
  execFileSync("umount", ["/dev/fuse"]);
  anna.leave();
});

const ok = async (args: readonly string[]): Promise<string> => {
  const { status, stdout, stderr } = await anna.fallthru(args);
  expect([args, stderr, status]).toEqual([args, "", 0]);
  return stdout;
};

/** The processes that keep the user's name spaces. */
function keepers(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid === anna.uid)
    .filter((pid) => commandLine(pid).endsWith("fallthru-keeper\0"));
}

/** Of one that ends while it is looked at there is none. */
function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return "";
  }
}

/** Nothing runs, nothing is mounted, nothing is on the disk. */
async function expectNothing(): Promise<void> {
  // Killed is not yet dead.
  for (const end = performance.now() + 30_000; keepers().length > 0 && performance.now() < end;) await sleep(5);
  expect(keepers()).toEqual([]);
  expect(readdirSync(join(anna.state, "sessions")).filter((name) => !name.startsWith("."))).toEqual([]);
  expect(readdirSync(join(anna.state, "sessions/.held"))).toEqual([]);
}

describe("a session without root", () => {
  test("is a throw-away view in which the user is the superuser, of all ids", async () => {
    const script =
      "id -u; cut -c1-44 /proc/self/uid_map; echo >/new; chown 1000:29 /new; stat -c %u:%g /new /etc/hosts";
    const lines = (await ok(["run", "tiny", "--", "sh", "-c", script])).split("\n").map((line) => line.trim());
    expect(lines).toEqual(["0", `0      ${anna.uid}          1`, "1    1000000      65536", "1000:29", "0:0", ""]);
    expect(existsSync(join(root, "new"))).toBe(false);
    await expectNothing();
  });

  test("lasts until it is ended, keeps one small process, and takes commands as other users", async () => {
    expect(await ok(["begin", "tiny", "--name", "fix"])).toBe("fix\n");
    await ok([
      "run",
      "@fix",
      "--",
      "sh",
      "-c",
      "echo mine >/home/user/x; chown user /home/user/x; chmod 600 /home/user/x",
    ]);
    expect(await ok(["run", "@fix", "--user", "user", "--", "cat", "/home/user/x"])).toBe("mine\n");
    expect((await anna.fallthru(["run", "@fix", "--user", "nobody", "--", "cat", "/home/user/x"])).status).toBe(1);
    expect(await ok(["list"])).toMatch(/^fix +tiny +open /m);
    expect(await ok(["info", "@fix"])).toContain("userxattr");
    const [pid] = keepers();
    expect(readFileSync(`/proc/${pid}/comm`, "latin1")).toBe("sh\n");
    // What it changed is the subordinate id's outside.
    const file = join(anna.state, "sessions/fix/layers/0/upper/home/user/x");
    expect(statSync(file).uid).toBe(1_000_999);
    const changes = await ok(["diff", "@fix"]);
    expect(changes).toMatch(/^A +\/home\/user\/x$/m);
    // Its layers' marks are no changes.
    expect(changes).not.toContain("overlay");
    expect(await ok(["end", "fix"])).toBe("ended fix\n");
    await expectNothing();
  });

  test("can be forked, and what it changed committed and taken back", async () => {
    await ok(["begin", "tiny", "--name", "one"]);
    await ok(["run", "@one", "--", "sh", "-c", "echo x >/home/user/x; chown user /home/user/x; rm /bin/zcat"]);
    await ok(["fork", "@one", "--name", "two"]);
    expect(
      await ok([
        "run",
        "@two",
        "--",
        "sh",
        "-c",
        "stat -c %u /home/user/x; ls /bin/zcat 2>&1 | wc -l; tty >/dev/null; ls /dev/null",
      ]),
    ).toBe("1000\n1\n/dev/null\n");
    await ok(["end", "one"]);
    await ok(["run", "@two", "--", "sh", "-c", "echo y >/etc/y"]);
    await ok(["commit", "@two"]);
    expect(await ok(["log"])).toMatch(/^\w+ +two +\S+ \S+ +anna +/m);
    expect(readFileSync(join(root, "etc/y"), "utf8")).toBe("y\n");
    await ok(["undo"]);
    expect(existsSync(join(root, "etc/y"))).toBe(false);
    await ok(["end", "two"]);
    await expectNothing();
  });

  test("is as it began when all was discarded, though its union parts hard links", async () => {
    const links = "mkdir /links; cd /links; echo 1 >a; ln a b; ln a c; mkdir d; ln a d/e";
    await ok(["run", "source:tiny", "--", "sh", "-c", links]);
    await ok(["begin", "tiny", "--name", "d"]);
    await ok(["run", "@d", "--", "sh", "-c", "cd /links; ln a f; echo 2 >g"]);
    await ok(["discard", "@d", "/links/a", "/links/f", "/links/g"]);
    expect(await ok(["diff", "@d"])).toBe("nothing changed\n");
    expect(await ok(["run", "@d", "--", "sh", "-c", "cd /links; ls -i a b c d/e | cut -d/ -f1"])).toMatch(
      /^ *(\d+) a\n *\1 b\n *\1 c\n *\1 d\n$/,
    );
    await ok(["end", "d"]);
    await ok(["run", "source:tiny", "--", "rm", "-r", "/links"]);
    await expectNothing();
  });

  test("is none of root's, nor root's one of theirs", async () => {
    await ok(["begin", "tiny", "--name", "theirs"]);
    const asRoot = execFileSync(executable, ["list"], { encoding: "utf8", env: { ...process.env, HOME: anna.home } });
    expect(asRoot).not.toContain("theirs");
    const forged = await anna.run(["sh", "-c", 'exec "$0" as-user 9 / list', executable]);
    expect(forged).toMatchObject({ status: 2, stdout: "" });
    for (const env of [{ HOME: anna.home }, { HOME: anna.home, XDG_STATE_HOME: join(anna.home, ".local/state") }]) {
      const call = () =>
        execFileSync(executable, ["as-user", "9", "/", "list"], { encoding: "utf8", stdio: "pipe", env });
      expect(call).toThrow(/inside a user's name spaces/);
    }
    await ok(["end", "theirs"]);
    await expectNothing();
  });

  test("ends what runs in it, also in other users' names", async () => {
    await ok(["begin", "tiny", "--name", "busy"]);
    await ok(["run", "@busy", "--user", "user", "--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 &"]);
    expect(await ok(["end", "busy"])).toBe("ended busy, killed 1 process\n");
    await expectNothing();
  });

  test("begins where the caller stands, with their words as they are", async () => {
    mkdirSync(join(root, "etc/x"), { recursive: true });
    const { stdout } = await anna.fallthru(["run", "tiny", "--", "sh", "-c", 'pwd; echo "$1"', "sh", "a b\n'"], {
      directory: "/etc",
    });
    expect(stdout).toBe("/etc\na b\n'\n");
  });

  test("has the machine's devices, and terminals", async () => {
    const script =
      "echo x >/dev/null && head -c 1 /dev/zero | wc -c; ls /proc/self/fd >/dev/null && [ -e /sys/kernel ] && echo shm >/dev/shm/x && cat /dev/shm/x";
    expect(await ok(["run", "tiny", "--", "sh", "-c", script])).toBe("1\nshm\n");
    expect(existsSync("/dev/shm/x")).toBe(false);
  });

  test("can have no network, and a host name of its own", async () => {
    const own = ["--network", "none", "--hostname", "box"];
    const script = ["--", "sh", "-c", 'hostname; ip link | grep -c "^[0-9]"; echo "$X"; exit 3'];
    const result = { status: 3, stderr: "", stdout: "box\n1\n a \n" };
    expect(await anna.fallthru(["run", "tiny", ...own, "--env", "X= a ", ...script])).toMatchObject(result);
    await ok(["begin", "tiny", "--name", "box", ...own]);
    expect(await anna.fallthru(["run", "@box", "--env", "X= a ", ...script])).toMatchObject(result);
    await ok(["end", "box"]);
    await expectNothing();
  });

  test("can have a union of ours", async () => {
    const args = [
      "run",
      "tiny",
      "--union",
      "fallthru",
      "--",
      "sh",
      "-c",
      "echo y >/etc/new; mv /etc /etc2; cat /etc2/new",
    ];
    expect(await ok(args)).toBe("y\n");
    await expectNothing();
  });
});

describe("a view of the machine's own root without root", () => {
  test("keeps what the user does to their files, and what they may not read they still may not", async () => {
    writeFileSync(join(anna.home, "precious"), "precious\n");
    const secret = join(anna.home, "..", "secret");
    mkdirSync(secret, { mode: 0o700 });
    const script = `rm precious && echo new >other && cat other; echo x >/var/tmp/x; echo y >/tmp/y; cat /var/tmp/x /tmp/y
      cat /etc/shadow || echo no; ls ${secret} || echo no; ls ${anna.state}/sessions; ls -d /usr/bin/env; id -u`;
    const { stdout, stderr, status } = await anna.fallthru(["run", "--", "sh", "-c", script]);
    expect([stdout, status]).toEqual(["new\nx\ny\nno\nno\n/usr/bin/env\n0\n", 0]);
    expect(stderr.match(/Permission denied/g)).toHaveLength(2);
    expect(readFileSync(join(anna.home, "precious"), "utf8")).toBe("precious\n");
    for (const path of [join(anna.home, "other"), "/var/tmp/x", "/tmp/y"])
      expect([path, existsSync(path)]).toEqual([path, false]);
    await expectNothing();
  });

  test("shows what is mounted, and lasts over the death of its name spaces", async () => {
    const disk = join(anna.home, "..", "mounted");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "mode=1777", "tmpfs", disk]);
    try {
      writeFileSync(join(disk, "file"), "on it\n");
      await ok(["begin", "--name", "view"]);
      await ok(["run", "@view", "--", "sh", "-c", `cat ${disk}/file && echo more >${disk}/more`]);
      expect(existsSync(join(disk, "more"))).toBe(false);
      for (const pid of keepers()) process.kill(pid, "SIGKILL");
      while (keepers().length > 0) await sleep(5);
      expect(await ok(["recover"])).toBe("recovered view\n");
      expect(await ok(["run", "@view", "--", "cat", join(disk, "more")])).toBe("more\n");
      // What the machine unmounts isn't kept from it.
      execFileSync("umount", [disk]);
      await ok(["end", "view"]);
    } finally {
      spawnSync("umount", [disk]);
    }
    await expectNothing();
  });
});

describe("limits without root", () => {
  const group = "/sys/fs/cgroup/pids/anna";

  test("are set below a control group that the user was handed, and say so where there is none", async () => {
    const refused = await anna.fallthru(["run", "tiny", "--pids", "20", "--", "true"]);
    expect([refused.status, refused.stderr]).toEqual([
      125,
      expect.stringContaining("no control group with the pids controller is yours"),
    ]);
    expect(refused.stderr).toContain("hint: have systemd hand one over: systemd-run --user --scope");
    mkdirSync(group);
    execFileSync("chown", ["-R", `${anna.uid}`, group]);
    const handed = (args: readonly string[]) =>
      run(["sh", "-c", `echo $$ >${group}/cgroup.procs && exec "$@"`, "sh", ...anna.words, executable, ...args], {
        directory: anna.home,
        env: { HOME: anna.home, XDG_STATE_HOME: undefined, XDG_DATA_HOME: undefined, XDG_CONFIG_HOME: undefined },
      });
    const script =
      "grep -o '/anna.*' /proc/self/cgroup; i=0; while [ $i -lt 40 ]; do sleep 1 & i=$((i+1)); done 2>&1 | head -n 1; wait";
    const once = await handed(["run", "tiny", "--pids", "20", "--", "sh", "-c", script]);
    expect(once.stdout).toMatch(/^\/anna\/fallthru\/tiny-\w+\n.*(?:fork|Resource temporarily unavailable)/);
    expect(readdirSync(group).includes("fallthru")).toBe(false);
    expect((await handed(["begin", "tiny", "--name", "few", "--pids", "20"])).stderr).toBe("");
    expect(readFileSync(join(group, "fallthru/few/pids.max"), "latin1")).toBe("20\n");
    // By who was handed nothing.
    expect(await ok(["run", "@few", "--", "sh", "-c", "grep -o '/anna.*' /proc/self/cgroup"])).toBe(
      "/anna/fallthru/few\n",
    );
    await ok(["end", "few"]);
    expect(readdirSync(group).includes("fallthru")).toBe(false);
    await expectNothing();
    rmdirSync(group);
  });
});

describe("the name spaces", () => {
  test("are the same for callers at once, of whom each may be the first and the last", async () => {
    for (let round = 0; round < 3; round++) {
      const calls = Array.from({ length: 6 }, (_, index) =>
        anna.fallthru(["run", "tiny", "--", "sh", "-c", `echo ${index}`]),
      );
      const results = await Promise.all(calls);
      expect(results.map(({ stdout, stderr }) => stdout + stderr)).toEqual(["0\n", "1\n", "2\n", "3\n", "4\n", "5\n"]);
      await expectNothing();
    }
  });

  test("are gone when their keeper is killed, and what was changed is there after recover", async () => {
    await ok(["begin", "tiny", "--name", "kept"]);
    await ok(["run", "@kept", "--", "sh", "-c", "echo still >/there"]);
    for (const pid of keepers()) process.kill(pid, "SIGKILL");
    while (keepers().length > 0) await sleep(5);
    expect(await ok(["list"])).toMatch(/^kept +tiny +unmounted /m);
    expect((await anna.fallthru(["run", "@kept", "--", "true"])).stderr).toContain("fallthru recover");
    expect(await ok(["recover"])).toBe("recovered kept\n");
    expect(await ok(["run", "@kept", "--", "cat", "/there"])).toBe("still\n");
    await ok(["end", "--all"]);
    await expectNothing();
  });

  test("get another keeper where theirs is killed and something runs in them, and nothing is mounted twice", async () => {
    await ok(["begin", "tiny", "--name", "busy"]);
    await ok(["run", "@busy", "--user", "user", "--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 &"]);
    for (const verb of [["list"], ["run", "@busy", "--", "true"], ["recover"]]) {
      const before = keepers();
      for (const pid of before) process.kill(pid, "SIGKILL");
      while (keepers().length > 0) await sleep(5);
      await ok(verb);
      expect(keepers()).toHaveLength(1);
      expect(keepers()).not.toEqual(before);
      expect(await ok(["list"])).toMatch(/^busy +tiny +open /m);
    }
    expect(await ok(["end", "busy"])).toBe("ended busy, killed 1 process\n");
    await expectNothing();
  });

  test("go with the next command where whoever had them last was killed", async () => {
    await ok(["begin", "tiny", "--name", "last"]);
    await anna.run(["sh", "-c", '"$0" end last & sleep 0.02; kill -9 $!', executable]);
    await anna.fallthru(["end", "last"]);
    await ok(["gc"]);
    await expectNothing();
  });

  test("need a state directory that is the user's alone", async () => {
    const open = join(anna.home, "open");
    mkdirSync(join(open, "fallthru"), { recursive: true });
    const options = { env: { XDG_STATE_HOME: open } };
    expect((await anna.fallthru(["run", "tiny", "--", "true"], options)).stderr).toMatch(
      /is not only yours|permission denied/,
    );
    const strange = await anna.fallthru(["run", "tiny", "--", "true"], { env: { HOME: "/root" } });
    expect(strange).toMatchObject({ status: 125, stdout: "" });
    expect(strange.stderr).toContain("hint: is HOME yours?");
  });
});

describe("chroots without root", () => {
  test("can be imported; devices and what only root may set are left out, and said", async () => {
    const archive = join(anna.home, "tiny.tar");
    const tree = tinyRoot();
    execFileSync("mknod", [join(tree, "dev/null"), "c", "1", "3"]);
    execFileSync("setfattr", ["-n", "trusted.mark", "-v", "x", join(tree, "etc")]);
    execFileSync("tar", [
      "--create",
      "--xattrs",
      "--xattrs-include=*",
      `--file=${archive}`,
      `--directory=${tree}`,
      ".",
    ]);
    const made = await anna.fallthru(["chroot", "import", "copy", "tiny.tar"]);
    expect(made.status).toBe(0);
    expect(made.stderr).toContain("left out 1 devices, which only root may make");
    expect(made.stderr).toContain("of 1 entries");
    expect(await ok(["run", "copy", "--", "stat", "-c", "%u:%g", "/home/user"])).toBe("1000:1000\n");
    const at = join(anna.home, ".local/share/fallthru/chroots/copy");
    expect(statSync(at).uid).toBe(anna.uid);
    await ok(["chroot", "remove", "copy"]);
    expect(existsSync(at)).toBe(false);
    await expectNothing();
  });

  test("can be kept as an archive, and changed; not as what only root may mount", async () => {
    execFileSync("tar", ["--create", `--file=${join(anna.home, "kept.tar")}`, `--directory=${root}`, "."]);
    await ok(["chroot", "import", "kept", "kept.tar", "--type", "file", "--quiet"]);
    await ok(["chroot", "update", "kept", "--", "touch", "/etc/new"]);
    expect(await ok(["run", "kept", "--", "ls", "/etc/new"])).toBe("/etc/new\n");
    await ok(["chroot", "remove", "kept"]);
    const refused = await anna.fallthru(["chroot", "import", "image", "kept.tar", "--type", "loopback"]);
    expect([refused.status, refused.stderr]).toEqual([7, expect.stringContaining("--type loopback needs root")]);
    await expectNothing();
  });

  test("can't have owners beyond the subordinate ids", async () => {
    const archive = join(anna.home, "beyond.tar");
    const tree = tinyRoot();
    writeFileSync(join(tree, "file"), "");
    execFileSync("chown", ["70000:70000", join(tree, "file")]);
    execFileSync("tar", ["--create", `--file=${archive}`, `--directory=${tree}`, "."]);
    const { status, stderr } = await anna.fallthru(["chroot", "import", "beyond", archive]);
    expect([status, stderr]).toEqual([
      7,
      expect.stringContaining("its owner 70000:70000 is beyond your subordinate ids"),
    ]);
    expect(readdirSync(join(anna.home, ".local/share/fallthru/chroots"))).toEqual([]);
  });

  test("are made by mmdebstrap, and apt-get installs in them", async () => {
    expect(await anna.fallthru(["chroot", "create", "debian", "--suite", "stable", "--quiet"])).toMatchObject({
      status: 0,
    });
    const script =
      "apt-get -qq update && apt-get -qqy install cowsay >/dev/null 2>&1 && /usr/games/cowsay moo; stat -c %G /etc/shadow";
    expect(await ok(["run", "debian", "--", "sh", "-c", script])).toMatch(/< moo >[^]*shadow\n$/);
    await ok(["chroot", "remove", "debian"]);
    await expectNothing();
  });
});
