// As whom, where and with which variables a command runs.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";
import { Terminal } from "../support/terminal.ts";

const root = tinyRoot();
chmodSync(join(root, "root"), 0o700);
writeFileSync(
  join(root, "etc/passwd"),
  `root:x:0:0:root:/root:/bin/sh
user:x:1000:1000:User:/home/user:/bin/sh
1000:x:1234:1000:a name of digits:/home/user:/bin/sh
nohome:x:1001:100::/no/home:/bin/sh
noshell:x:1002:100::/home/user:/bin/zsh
empty:x:1003:100:::
minus:x:4294967295:100::/:/bin/sh
mgid:x:1004:4294967295::/:/bin/sh
huge:x:9999999999:100::/:/bin/sh
short:x:7
+::::::
`,
);
writeFileSync(
  join(root, "etc/group"),
  `root:x:0:
audio:x:29:user
users:x:100:user,nohome
us:x:101:superuser,username,use
user:x:1000:
video:x:44:other,user,more
minus:x:4294967295:user
`,
);

beforeAll(async () => {
  // No files of the host's: the root's own users.
  describeChroot("tiny", root, ["profile=fallthru", "setup.copyfiles=", "setup.nssdatabases="]);
  expect((await fallthru(["begin", "tiny", "--name", "named"])).stderr).toBe("");
});
afterAll(async () => fallthru(["end", "named"]));

for (const source of ["tiny", "@named"]) {
  describe(`--user in ${source}`, () => {
    const idOf = async (user: string) => {
      const result = await fallthru([
        "run",
        source,
        "--user",
        user,
        "--",
        "sh",
        "-c",
        "id -u; id -g; id -G; id -ru; id -rg",
      ]);
      return result.status === 0 ? result.stdout.trim().split("\n").join(" / ") : result;
    };
    const users = [
      ["root", "0 / 0 / 0 / 0 / 0"],
      ["user", "1000 / 1000 / 1000 29 44 100 / 1000 / 1000"],
      ["user:", "1000 / 1000 / 1000 29 44 100 / 1000 / 1000"],
      ["user:audio", "1000 / 29 / 29 / 1000 / 29"],
      ["user:29", "1000 / 29 / 29 / 1000 / 29"],
      ["user:777", "1000 / 777 / 777 / 1000 / 777"],
      ["1000", "1234 / 1000 / 1000 / 1234 / 1000"],
      ["1001", "1001 / 100 / 100 / 1001 / 100"],
      ["1001:44", "1001 / 44 / 44 / 1001 / 44"],
      ["5555", "5555 / 5555 / 5555 / 5555 / 5555"],
      ["5555:audio", "5555 / 29 / 29 / 5555 / 29"],
      ["4294967294", "4294967294 / 4294967294 / 4294967294 / 4294967294 / 4294967294"],
      ["0", "0 / 0 / 0 / 0 / 0"],
    ] as const;
    test("finds users, groups and supplementary groups in the root's own files", async () => {
      for (const [user, ids] of users) expect([user, await idOf(user)]).toEqual([user, ids]);
    });

    test("refuses who isn't there, and ids that mean «unchanged» to the kernel", async () => {
      for (const user of [
        "stranger",
        "",
        ":audio",
        "-1",
        "4294967295",
        "99999999999",
        "minus",
        "huge",
        "mgid",
        "short",
        "+",
        "user:nogroup",
        "user:-1",
        "user:minus",
        "user:4294967295",
        "user:audio:x",
      ]) {
        const result = await idOf(user);
        expect([user, result]).toEqual([user, expect.objectContaining({ status: 125, stdout: "" })]);
        expect(result).toHaveProperty("stderr", expect.stringMatching(/^fallthru: .*\nhint: .*\n$/));
      }
    });
  });
}

describe("the environment in a chroot", () => {
  const env = async (options: readonly string[], own: Record<string, string> = {}, source = "tiny") => {
    const result = await fallthru(["run", source, ...options, "--", "env"], {
      env: { TERM: "dumb", SECRET: "x", LD_PRELOAD: undefined, ...own },
    });
    expect(result.stderr).toBe("");
    const lines = result.stdout.trim().split("\n").toSorted();
    return lines
      .filter((line) => !/^(SHLVL|PWD|OLDPWD)=/.test(line))
      .map((line) => line.replace(/^(FALLTHRU_SESSION=tiny)-\w{8}$/, "$1-ID"));
  };
  const path = "PATH=/usr/local/bin:/usr/bin:/bin";
  const superuserPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

  test("is a login's", async () => {
    expect(await env([])).toEqual([
      "FALLTHRU_SESSION=tiny-ID",
      "HOME=/root",
      "LOGNAME=root",
      superuserPath,
      "SHELL=/bin/sh",
      "TERM=dumb",
      "USER=root",
    ]);
    expect(await env(["--user", "user"])).toEqual([
      "FALLTHRU_SESSION=tiny-ID",
      "HOME=/home/user",
      "LOGNAME=user",
      path,
      "SHELL=/bin/sh",
      "TERM=dumb",
      "USER=user",
    ]);
    expect(await env(["--user", "5555"])).toEqual([
      "FALLTHRU_SESSION=tiny-ID",
      "HOME=/",
      "LOGNAME=5555",
      path,
      "SHELL=/bin/sh",
      "TERM=dumb",
      "USER=5555",
    ]);
    expect(await env([], {}, "@named")).toContain("FALLTHRU_SESSION=named");
  });

  test("has what --env says, last", async () => {
    const given = await env(["--env", "HOME=/elsewhere", "-e", "X=a=b", "--env=EMPTY=", "-e", "X=last"]);
    expect(given.filter((line) => /^(HOME|X|EMPTY)=/.test(line))).toEqual(["EMPTY=", "HOME=/elsewhere", "X=last"]);
    const bad = await fallthru(["run", "tiny", "--env", "NAME", "--", "env"]);
    expect([bad.status, bad.stderr]).toEqual([125, expect.stringMatching(/^fallthru: --env: no NAME=VALUE: NAME\n/)]);
  });

  test("is the caller's with --preserve-environment, but for what would mislead", async () => {
    const kept = await env(["--preserve-environment"], {
      LD_PRELOAD: "",
      LD_LIBRARY_PATH: "/x",
      IFS: "x",
      BASH_ENV: "/x",
      HOME: "/my/home",
    });
    expect(kept).toContain("SECRET=x");
    expect(kept).toContain("HOME=/my/home");
    expect(kept.filter((line) => /^(LD_|IFS|BASH_ENV)/.test(line))).toEqual([]);
    const changed = await env(["--preserve-environment", "--user", "user"], { HOME: "/my/home" });
    expect(changed).toContain("HOME=/home/user");
    expect(changed).toContain("SECRET=x");
  });

  test("keeps what --env says, though it would be filtered", async () => {
    for (const options of [[], ["--preserve-environment"]]) {
      expect(await env([...options, "--env", "LD_LIBRARY_PATH=/mine"])).toContain("LD_LIBRARY_PATH=/mine");
    }
  });

  test("follows the chroot's own keys", async () => {
    describeChroot("keeping", root, [
      "profile=fallthru",
      "setup.nssdatabases=",
      "preserve-environment=true",
      "environment-filter=^SECRET$",
      "shell=/bin/ash",
    ]);
    const kept = await env([], { OTHER: "y", SHELL: "/bin/mine" }, "keeping");
    expect(kept).toContain("OTHER=y");
    expect(kept).not.toContain("SECRET=x");
  });
});

describe("the directory", () => {
  test("is the caller's where it is there inside, else the home, else /", async () => {
    const here = temporaryDirectory("here");
    const pwd = async (options: readonly string[], directory: string) =>
      (await fallthru(["run", "tiny", ...options, "--", "pwd"], { directory })).stdout;
    expect(await pwd([], "/etc")).toBe("/etc\n");
    expect(await pwd([], here)).toBe("/root\n");
    expect(await pwd(["--user", "user"], here)).toBe("/home/user\n");
    expect(await pwd(["--user", "user"], "/root")).toBe("/home/user\n");
    expect(await pwd(["--user", "nohome"], here)).toBe("/\n");
    expect(await pwd(["--directory", "/tmp"], "/etc")).toBe("/tmp\n");
    expect(await pwd(["-d", "tmp"], "/etc")).toBe("/tmp\n");
  });

  test("whose name isn't UTF-8 is no hindrance", async () => {
    const here = temporaryDirectory("here");
    const script = `cd ${here}; mkdir $'\\xff'; cd $'\\xff'; ${executable} run -- pwd | od -An -c | tail -n 1`;
    expect((await run(["bash", "-c", script])).stdout).toMatch(/ 377 +\\n\n$/);
    const elsewhere = `cd ${here}/$'\\xff'; ${executable} run tiny -- pwd`;
    expect((await run(["bash", "-c", elsewhere])).stdout).toBe("/root\n");
  });

  test("that a link leads out of the root to is looked for inside", async () => {
    symlinkSync("../../../../../../tmp", join(root, "out"));
    expect((await fallthru(["run", "tiny", "--directory", "/out", "--", "pwd", "-P"])).stdout).toBe("/tmp\n");
    const closed = await fallthru(["run", "tiny", "--directory", "/root", "--user", "user", "--", "pwd"]);
    expect([closed.status, closed.stderr]).toEqual([
      125,
      "fallthru: change to directory /root: permission denied (EACCES)\n",
    ]);
  });
});

describe("the shell", () => {
  /** What is run where no command is given. */
  const shell = async (name: string, options: readonly string[] = [], env = {}) =>
    (
      await fallthru(["run", name, ...options], {
        input: 'echo "$0"; echo $SHELL; cat /proc/$$/cmdline | tr "\\0" " "\n',
        env,
      })
    ).stdout.split("\n");

  test("is the user's own, as a login shell", async () => {
    expect(await shell("tiny")).toEqual(["-sh", "/bin/sh", "-sh "]);
    expect(await shell("@named", ["--user", "user"])).toEqual(["-sh", "/bin/sh", "-sh "]);
  });

  test("is another where the user's isn't there", async () => {
    for (const user of ["noshell", "empty", "5555"])
      expect(await shell("tiny", ["--user", user])).toEqual(["-sh", "/bin/sh", "-sh "]);
  });

  test("is no login shell where the environment is kept", async () => {
    expect(await shell("tiny", ["--preserve-environment"])).toEqual(["/bin/sh", expect.any(String), "/bin/sh "]);
  });

  test("is what the chroot says", async () => {
    describeChroot("shelled", root, ["profile=fallthru", "setup.nssdatabases=", "shell=/bin/ash"]);
    expect(await shell("shelled")).toEqual(["-ash", "/bin/ash", "-ash "]);
    describeChroot("shell-less", root, ["profile=fallthru", "setup.nssdatabases=", "shell=/bin/none"]);
    const none = await fallthru(["run", "shell-less"]);
    expect([none.status, none.stderr]).toEqual([
      127,
      expect.stringMatching(/^fallthru: run \/bin\/none: no such file/),
    ]);
  });

  test("is put behind the chroot's command-prefix, as a command is", async () => {
    writeFileSync(join(root, "bin/prefix"), '#!/bin/sh\necho "prefix $*"\nshift\nexec "$@"\n', { mode: 0o755 });
    describeChroot("prefixed", root, ["profile=fallthru", "setup.nssdatabases=", "command-prefix=prefix,-x"]);
    expect((await fallthru(["run", "prefixed", "--", "echo", "a", "b"])).stdout).toBe("prefix -x echo a b\na b\n");
    expect((await fallthru(["run", "prefixed"], { input: "echo hello\n" })).stdout).toBe("prefix -x /bin/sh\nhello\n");
  });

  test("on a terminal is interactive", async () => {
    const terminal = new Terminal([executable, "run", "tiny", "--env", "PS1=tiny: "]);
    await terminal.until("tiny: ");
    terminal.type("tty; exit 4\r");
    expect(await terminal.until(/\/dev\/\w+\/\d+/)).toContain("/dev/pts/");
    expect(await terminal.ended).toEqual({ status: 4, signal: null });
  });
});

test("personality", async () => {
  for (const [name, machine] of [
    ["linux32", "i686"],
    ["linux", process.arch === "x64" ? "x86_64" : "aarch64"],
    ["undefined", process.arch === "x64" ? "x86_64" : "aarch64"],
  ] as const) {
    describeChroot(`p-${name}`, root, ["profile=fallthru", `personality=${name}`]);
    expect((await fallthru(["run", `p-${name}`, "--", "uname", "-m"])).stdout).toBe(`${machine}\n`);
    await fallthru(["begin", `p-${name}`, "--name", "p"]);
    expect((await fallthru(["run", "@p", "--", "uname", "-m"])).stdout).toBe(`${machine}\n`);
    await fallthru(["end", "p"]);
  }
});
