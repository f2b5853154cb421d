// The host's files that a chroot gets: resolv.conf, hosts, accounts; and chroots that want to lead them elsewhere.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { leftoversAfter, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";

/** The host's own files for this test: in its mount name space nobody else sees them. */
const host = temporaryDirectory("host");
const files: Readonly<Record<string, string>> = {
  "resolv.conf": "nameserver 192.0.2.1\n",
  hosts: "127.0.0.1 localhost\n192.0.2.2 host\n",
  passwd:
    "root:x:0:0:host root:/root:/bin/bash\ndaemon:x:1:1::/:/bin/false\nperson:x:1500:1500:Person:/home/person:/bin/bash\nuser:x:2000:2000:host user:/home/u:/bin/sh\nsystem:x:150:150::/:/bin/false\n+nis::::::\n",
  group: "root:x:0:\nperson:x:1500:\naudio:x:63:person,user\nshared:x:2500:person\nsystem:x:150:\n",
  shadow: "root:hostroot:1::::::\nperson:secret:1::::::\n",
  gshadow: "root:*::\nperson:!::\naudio:!::person\n",
  "nsswitch.conf": "passwd: files systemd\ngroup: files [SUCCESS=merge] systemd\nshadow: files\n",
};

beforeAll(() => {
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(host, name), content);
    execFileSync("touch", ["-a", `/etc/${name}`]);
    execFileSync("mount", ["--bind", join(host, name), `/etc/${name}`]);
  }
  execFileSync(
    "sh",
    [
      "-c",
      "chmod 640 shadow gshadow; chgrp 42 shadow gshadow; chmod 604 hosts; chown 3:4 hosts; touch -d 2002-03-04T05:06:07Z hosts",
    ],
    { cwd: host },
  );
  mkdirSync("/etc/schroot/mine");
  writeFileSync("/etc/schroot/mine/fstab", "proc /proc proc defaults 0 0\n");
});
afterAll(() => {
  for (const name of Object.keys(files)) execFileSync("umount", [`/etc/${name}`]);
});

const before = traces();
afterEach(async () => {
  await fallthru(["end", "s"]);
  const left = await leftoversAfter(before);
  expect(left.filter((line) => !/ on \/etc\//.test(line))).toEqual([]);
});

const sh = (root: string, script: string) => execFileSync("bash", ["-ec", script], { cwd: root, encoding: "utf8" });

/** A chroot with a profile of these files, prepared by a script; runs another in it. */
async function inChroot(prepare: string, script: string, profile: { copyfiles?: string; nssdatabases?: string } = {}) {
  const root = tinyRoot();
  sh(root, prepare);
  writeFileSync("/etc/schroot/mine/copyfiles", profile.copyfiles ?? "/etc/resolv.conf\n/etc/hosts\n");
  writeFileSync("/etc/schroot/mine/nssdatabases", profile.nssdatabases ?? "passwd\nshadow\ngroup\ngshadow\n");
  describeChroot("mine", root, ["profile=mine"]);
  const result = await fallthru(["run", "mine", "--user", "0", "--", "/bin/busybox", "sh", "-c", script]);
  return { ...result, root };
}

test("files have the host's content, mode, owner and time, and the chroot itself is unchanged", async () => {
  const { stdout, stderr, root } = await inChroot(
    "echo own >etc/resolv.conf",
    "cat /etc/resolv.conf; stat -c '%a %u %g %Y' /etc/hosts",
  );
  expect([stdout, stderr]).toEqual(["nameserver 192.0.2.1\n604 3 4 1015218367\n", ""]);
  expect(sh(root, "cat etc/resolv.conf; ls etc")).toBe("own\ngroup\npasswd\nresolv.conf\n");
});

describe("a chroot's resolv.conf that is", () => {
  const victims = () => ["/etc/shadow", "/etc/passwd", "/etc/hosts"].map((path) => readFileSync(path, "utf8"));
  for (const [name, prepare] of [
    ["a link to /etc/shadow", "echo own >etc/shadow; ln -s /etc/shadow etc/resolv.conf"],
    ["a link to ../../../etc/shadow", "ln -s ../../../../../../../etc/shadow etc/resolv.conf"],
    ["a link out of the root", `ln -s ${host}/shadow etc/resolv.conf`],
    ["a link through /proc", "ln -s /proc/1/root/etc/shadow etc/resolv.conf"],
    ["a link to a directory", "ln -s /home etc/resolv.conf"],
    ["a link into a missing directory", "ln -s ../run/systemd/resolve/stub-resolv.conf etc/resolv.conf"],
    ["a link to itself", "ln -s resolv.conf etc/resolv.conf"],
    ["a pipe", "mkfifo etc/resolv.conf"],
    ["a device", "mknod etc/resolv.conf c 5 1"],
    ["a whiteout", "mknod etc/resolv.conf c 0 0"],
  ] as const) {
    test(`${name} becomes a file of the session's`, async () => {
      const before = victims();
      const { status, stdout, stderr } = await inChroot(
        prepare,
        "cat /etc/resolv.conf; stat -c %F /etc/resolv.conf; cat /etc/shadow | head -n 1",
      );
      expect([status, stderr]).toEqual([0, ""]);
      expect(stdout).toStartWith("nameserver 192.0.2.1\nregular file\n");
      expect(victims()).toEqual(before);
    });
  }

  test("a directory is an error that names it, and nothing is left", async () => {
    const { status, stdout, stderr } = await inChroot("mkdir etc/resolv.conf", "true");
    expect([status, stdout, stderr]).toEqual([
      125,
      "",
      expect.stringMatching(/^fallthru: rename .*\/etc\/resolv\.conf: is a directory \(EISDIR\)\n/),
    ]);
  });
});

describe("a chroot whose /etc is", () => {
  for (const [name, prepare, place] of [
    ["a link to another directory", "mv etc conf; ln -s conf etc", "/conf"],
    ["an absolute link", "mkdir usr/share; mv etc usr/share/conf; ln -s /usr/share/conf etc", "/usr/share/conf"],
    ["a link out of the root", `rm -r etc; ln -s ../../../../../../..${host} etc`, host],
    ["a link to the host's /etc by ..", "rm -r etc; mkdir conf; ln -s ../../../../../../../../conf etc", "/conf"],
    ["missing", "rm -r etc", "/etc"],
  ] as const) {
    test(`${name} has its files inside`, async () => {
      const before = sh(host, "cat *");
      const { status, stdout, stderr } = await inChroot(prepare, `cat /etc/resolv.conf; ls ${place}`);
      expect([status, stderr]).toEqual([0, ""]);
      expect(stdout).toMatch(/^nameserver 192\.0\.2\.1\n[^]*resolv\.conf\n[^]*shadow\n/);
      expect(sh(host, "cat *")).toBe(before);
    });
  }
});

describe("accounts", () => {
  test("are the chroot's and the host's", async () => {
    const own =
      "root:x:0:0:own:/root:/bin/sh\ndaemon:x:7:7:own daemon:/:/bin/false\nuser:x:1000:1000:own user:/home/user:/bin/sh\nlocal:x:900:900::/:/bin/sh\n";
    const groups = "root:x:0:\naudio:x:29:user,local\nuser:x:1000:\nlocal:x:900:\n";
    const { stdout } = await inChroot(
      `printf '${own.replaceAll("\n", "\\n")}' >etc/passwd; printf '${groups.replaceAll("\n", "\\n")}' >etc/group`,
      "cat /etc/passwd; echo; cat /etc/group",
    );
    expect(stdout).toBe(
      "root:x:0:0:own:/root:/bin/sh\ndaemon:x:7:7:own daemon:/:/bin/false\nuser:x:2000:2000:host user:/home/u:/bin/sh\nlocal:x:900:900::/:/bin/sh\nperson:x:1500:1500:Person:/home/person:/bin/bash\nsystem:x:150:150::/:/bin/false\n\n" +
        "root:x:0:\naudio:x:29:user,local,person\nuser:x:1000:\nlocal:x:900:\nperson:x:1500:\nshared:x:2500:person\nsystem:x:150:\n",
    );
  });

  test("that may be secret stay so", async () => {
    const { stdout } = await inChroot(
      "echo 'root:own:2::::::' >etc/shadow",
      "cat /etc/shadow; stat -c '%a %u %g' /etc/shadow /etc/gshadow /etc/passwd",
    );
    expect(stdout).toBe("root:own:2::::::\nperson:secret:1::::::\n640 0 42\n640 0 42\n644 0 0\n");
  });

  test("that a directory service knows are there, too, where nsswitch.conf names one", async () => {
    const nsswitch = join(host, "nsswitch.conf");
    const fake = join(temporaryDirectory("bin"), "getent");
    writeFileSync(fake, '#!/bin/sh\ncat "/etc/$1"\necho "ldap$1:x:3000:3000::/home/ldap:/bin/sh"\n', { mode: 0o755 });
    writeFileSync(nsswitch, "passwd: files [NOTFOUND=continue] ldap\ngroup: files systemd\n");
    execFileSync("mount", ["--bind", fake, "/usr/bin/getent"]);
    try {
      const { stdout } = await inChroot("true", "cut -d: -f1 /etc/passwd /etc/group");
      expect(stdout.split("\n")).toEqual(expect.arrayContaining(["user", "person", "ldappasswd"]) as string[]);
      expect(stdout).not.toContain("ldapgroup");
    } finally {
      execFileSync("umount", ["/usr/bin/getent"]);
      writeFileSync(nsswitch, files["nsswitch.conf"] ?? "");
    }
  });

  test("with replace are the host's alone", async () => {
    const { stdout } = await inChroot("true", "cat /etc/passwd; grep -c . /etc/group", {
      nssdatabases: "passwd replace\ngroup merge\n",
    });
    expect(stdout).toBe(`${files["passwd"] ?? ""}8\n`);
  });

  test("of other databases are the host's file, where there is one", async () => {
    const { stdout } = await inChroot(
      "echo own >etc/services; rm -f etc/networks",
      "cat /etc/services | head -n 1; ls /etc/rpc 2>&1",
      { nssdatabases: "services\nrpc\nnosuch\n" },
    );
    expect(stdout.split("\n")[0]).toBe(readFileSync("/etc/services", "utf8").split("\n")[0] ?? "");
  });

  for (const [name, prepare] of [
    ["a pipe", "rm etc/passwd; mkfifo etc/passwd"],
    ["a device", "rm etc/passwd; mknod etc/passwd c 1 5"],
    ["a link to the host's", "rm etc/passwd; ln -s ../../../../../../etc/passwd etc/passwd"],
    ["a loop of links", "rm etc/passwd; ln -s passwd etc/passwd"],
    ["missing", "rm etc/passwd"],
    ["empty", ": >etc/passwd"],
  ] as const) {
    test(`where the chroot's passwd is ${name} are the host's`, async () => {
      const before = readFileSync("/etc/passwd", "utf8");
      const { status, stdout, stderr } = await inChroot(prepare, "stat -c %F /etc/passwd; grep -c . /etc/passwd", {
        nssdatabases: "passwd\n",
      });
      expect([status, stdout.split("\n")[0], stderr]).toEqual([0, "regular file", ""]);
      expect(Number(stdout.split("\n")[1])).toBeGreaterThanOrEqual(5);
      expect(readFileSync("/etc/passwd", "utf8")).toBe(before);
    });
  }

  test("where the chroot's passwd is a directory are an error", async () => {
    const { status, stderr } = await inChroot("rm etc/passwd; mkdir etc/passwd", "true");
    expect([status, stderr]).toEqual([125, expect.stringMatching(/^fallthru: rename .*\/etc\/passwd: is a directory/)]);
  });

  test("with bytes that aren't UTF-8 come through", async () => {
    const { stdout } = await inChroot(
      "printf 'odd:x:3:3:\\xff\\xe9:/:/bin/sh\\n' >>etc/passwd",
      "grep odd /etc/passwd | od -An -c | tr -s ' '",
      { nssdatabases: "passwd\n" },
    );
    expect(stdout).toContain(" 377 351 ");
  });

  test("of people can be run as", async () => {
    const root = tinyRoot();
    describeChroot("people", root, ["profile=fallthru"]);
    expect((await fallthru(["run", "people", "--user", "person", "--", "id"])).stdout).toBe(
      "uid=1500(person) gid=1500(person) groups=63(audio),1500(person),2500(shared)\n".replace("63", "29"),
    );
  });
});

describe("copyfiles", () => {
  test("may name another place, makes directories, and passes over what the host doesn't have", async () => {
    const { stdout, stderr } = await inChroot("true", "cat /a/b/c; ls /etc", {
      copyfiles: "/etc/hosts /a/b/c\n/etc/no/such/file\n",
      nssdatabases: "",
    });
    expect([stdout, stderr]).toEqual([`${files["hosts"] ?? ""}debian_chroot\ngroup\npasswd\n`, ""]);
  });

  test("that name what is no file are a configuration error, and nothing is left", async () => {
    for (const path of ["/etc", "/dev/null"]) {
      const { status, stderr } = await inChroot("true", "true", { copyfiles: `${path}\n` });
      expect([status, stderr]).toEqual([
        125,
        `fallthru: ${path}, named in the profile's copyfiles, is not a regular file\n`,
      ]);
    }
  });

  test("take large and empty files", async () => {
    writeFileSync(join(host, "large"), Buffer.alloc(3 << 20, "x"));
    writeFileSync(join(host, "empty"), "");
    const { stdout } = await inChroot("true", `md5sum </large; wc -c </empty`, {
      copyfiles: `${host}/large /large\n${host}/empty /empty\n`,
    });
    expect(stdout).toBe(`${sh(host, "md5sum <large")}0\n`);
  });

  test("are written again when a session is mounted again", async () => {
    const root = tinyRoot();
    describeChroot("again", root, ["profile=fallthru"]);
    await fallthru(["begin", "again", "--name", "s"]);
    execFileSync("umount", ["-l", "/run/fallthru/mount/s/s"]);
    expect((await fallthru(["recover"])).stdout).toBe("recovered s\n");
    expect((await fallthru(["run", "@s", "--", "cat", "/etc/resolv.conf"])).stdout).toBe(files["resolv.conf"] ?? "");
  });
});

test("a profile's fstab mounts what it says, and its errors leave nothing", async () => {
  const root = tinyRoot();
  const shared = temporaryDirectory("shared");
  writeFileSync(join(shared, "file"), "shared\n");
  mkdirSync("/etc/schroot/tab", { recursive: true });
  for (const name of ["copyfiles", "nssdatabases"]) writeFileSync(`/etc/schroot/tab/${name}`, "");
  writeFileSync(
    "/etc/schroot/tab/fstab",
    `# comment
proc /proc proc defaults 0 0
${shared} /mnt/shared none rw,bind 0 0
${shared} /mnt/ro none ro,bind
tmpfs /tmp tmpfs size=1M,mode=1777,nosuid 0 0
/no/such/directory /mnt/none none bind,nofail 0 0
`,
  );
  describeChroot("tabbed", root, ["profile=tab"]);
  const { stdout, stderr } = await fallthru([
    "run",
    "tabbed",
    "--",
    "sh",
    "-c",
    "cat /mnt/shared/file /mnt/ro/file; touch /mnt/ro/x 2>/dev/null || echo ro; grep ' /tmp ' /proc/mounts",
  ]);
  expect(stdout).toMatch(/^shared\nshared\nro\ntmpfs \/tmp tmpfs rw,nosuid,(.*,)?size=1024k/);
  expect(stderr).toMatch(
    /^fallthru: warning: \/mnt\/none is left out: .*\/no\/such\/directory: no such file or directory \(ENOENT\)\n$/,
  );
  for (const line of [
    "/no/such /mnt none bind",
    "nosuchfs /mnt nosuchfs defaults",
    "tmpfs /tmp tmpfs nosuchoption=1",
  ]) {
    writeFileSync("/etc/schroot/tab/fstab", `${line}\n`);
    const result = await fallthru(["begin", "tabbed", "--name", "s"]);
    expect([line, result.status, result.stderr]).toEqual([
      line,
      1,
      expect.stringMatching(/^fallthru: .*(no such|invalid)/),
    ]);
  }
  expect(statSync(join(root, "mnt")).isDirectory()).toBe(true);
});
