// An administrator's own scripts in /etc/schroot/setup.d: what the real schroot does with them is what ours has to do.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run, type RunResult, startFallthru } from "../support/fallthru.ts";
import { leftoversAfter, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";

const directory = "/etc/schroot/setup.d";
const stock = temporaryDirectory("stock");
const notes = temporaryDirectory("notes");
const root = tinyRoot();
/** Where both programs keep what is theirs; here both begin with nothing. */
const covered = ["/var/lib/schroot", "/run/schroot", "/run/lock/schroot"];

beforeAll(() => {
  for (const path of covered) {
    mkdirSync(path, { recursive: true });
    execFileSync("mount", ["--bind", mkdtempSync(join(temporaryDirectory("state"), "x-")), path]);
  }
  for (const name of ["session", "unpack", "union/overlay", "union/underlay"]) {
    mkdirSync(`/var/lib/schroot/${name}`, { recursive: true });
  }
  mkdirSync("/run/schroot/mount");
  chmodSync("/run/lock/schroot", 0o700);
  cpSync(directory, stock, { recursive: true, verbatimSymlinks: true });
  const described = `type=directory\ndirectory=${root}\nprofile=minimal\nsetup.nssdatabases=\nusers=root\n`;
  writeFileSync(
    "/etc/schroot/chroot.d/setup.conf",
    `[own]\n${described}union-type=overlay\ndescription=A root\naliases=alias\nmy.key=value\nmy.other-key=x y\nempty.key=\n
[quiet]\n${described}message-verbosity=quiet\nunion-type=overlay\nsetup.copyfiles=\n
[old]\ntype=directory\ndirectory=${root}\nscript-config=minimal/config\nunion-type=overlay\nusers=root\n
[plain]\ntype=plain\ndirectory=${root}\nusers=root\n`,
  );
});
afterAll(() => {
  for (const path of covered) execFileSync("umount", [path]);
});

const before = traces();
beforeEach(() => {
  for (const name of readdirSync(directory)) rmSync(join(directory, name));
  cpSync(stock, directory, { recursive: true, verbatimSymlinks: true });
  for (const name of readdirSync(notes)) rmSync(join(notes, name));
});
afterEach(async () => {
  await fallthru(["end", "--force", "s"]);
  if (existsSync("/var/lib/schroot/session/s")) await run(["schroot", "-e", "-c", "s"]);
  const left = await leftoversAfter(before, 300);
  expect(left.filter((line) => !covered.some((path) => line.includes(` on ${path}`)))).toEqual([]);
});

function write(name: string, script: string, mode = 0o755): void {
  writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(directory, name), mode);
}

const noted = (name: string) => (existsSync(join(notes, name)) ? readFileSync(join(notes, name), "utf8") : "");

/** From a directory and with a umask that mustn't reach the scripts. */
const from = (...command: readonly string[]) =>
  run(["sh", "-c", 'cd /usr; umask 077; ulimit -Sn 500; "$@"; exit $?', "sh", ...command], {
    input: "input\n",
    env: { ODD: "x" },
  });

/** Both programs with the same arguments in their own words. */
const programs = {
  fallthru: {
    begin: (chroot: string) => from(executable, "begin", chroot, "--name", "s"),
    end: () => from(executable, "end", "s"),
    once: (chroot: string) => from(executable, "run", chroot, "--", "true"),
  },
  schroot: {
    begin: (chroot: string) => from("schroot", "-b", "-c", chroot, "-n", "s"),
    end: () => from("schroot", "-e", "-c", "s"),
    once: (chroot: string) => from("schroot", "-d", "/", "-c", chroot, "--", "true"),
  },
} as const;
type Program = keyof typeof programs;

/** Without ids, and without what is each program's own. */
function normalize(text: string): string {
  return text
    .replaceAll(/\/run\/fallthru\/mount\/[\w.-]+/g, "MOUNTS")
    .replaceAll("/var/run/schroot/mount", "MOUNTS")
    .replaceAll(/^(.*(?:OVERLAY|UNDERLAY)_DIRECTORY)=.*/gm, "$1=LAYER")
    .replaceAll(/^(.*\bPID)=\d+$/gm, "$1=N")
    .replaceAll(/(?:own|old|quiet)-[0-9a-f-]{8,}/g, "ID");
}

async function both(name: keyof (typeof programs)["schroot"], chroot: string): Promise<Record<Program, RunResult>> {
  const results = {
    schroot: await programs.schroot[name](chroot),
    fallthru: await programs.fallthru[name](chroot),
  };
  return results;
}

const messages = ({ stderr }: RunResult) => stderr.split("\n").filter((line) => /^[IE]: \d*[a-z]+: /.test(line));

/** What a script sees, into a file of its own for each program. */
const look = `case $MOUNT_DIR in *fallthru*) who=fallthru;; *) who=schroot;; esac
{ echo "$0 $*"; env | sort; echo "$(pwd) $(umask)"; read -r line; echo "read $line"
  ulimit -Sn; grep -E 'Sig(Ign|Blk)' /proc/self/status
  mountpoint -q "$CHROOT_PATH" && echo mounted; mountpoint -q "$CHROOT_PATH/proc" && echo proc
  ls "$CHROOT_PATH" 2>/dev/null | head -n 3; } >>${notes}/$who
echo "to stdout"; echo "to stderr" >&2; echo "to /dev/stderr" >/dev/stderr`;

describe("a script sees and says what it does under schroot:", () => {
  for (const chroot of ["own", "alias", "quiet", "old"]) {
    test(chroot, async () => {
      for (const name of ["60own", "12own", "04own"]) write(name, look);
      for (const step of ["begin", "end"] as const) {
        const { schroot, fallthru: ours } = await both(step, chroot);
        expect([ours.status, schroot.status]).toEqual([0, 0]);
        expect(messages(ours).toSorted()).toEqual(messages(schroot).toSorted());
        expect(messages(ours).length).toBe(9);
      }
      const seen = normalize(noted("schroot"));
      expect(normalize(noted("fallthru"))).toBe(seen);
      expect(seen).toContain("CHROOT_UNION_TYPE=overlay");
    });
  }
});

test("names, order and what is passed over are schroot's", async () => {
  const names = ["a-b", "A1", "5", "x-cvs", "abc.org-foo", "_x-y", "a_b", "q-dpkg-old", "r.bak-x", "t-", "zz.x", "z~"];
  for (const name of names) write(name, `echo ${name} >>${notes}/order`);
  for (const program of ["schroot", "fallthru"] as const) {
    for (const step of ["begin", "end"] as const) {
      expect((await programs[program][step]("own")).status).toBe(0);
    }
  }
  const order = noted("order").trim().split("\n");
  expect(order.slice(order.length / 2)).toEqual(order.slice(0, order.length / 2));
  expect(order.slice(0, 2)).toEqual(["5", "_x-y"]);
});

test("what stops schroot altogether is passed over: directories, dead links, what isn't executable", async () => {
  mkdirSync(join(directory, "60directory"));
  symlinkSync("nowhere", join(directory, "61link"));
  write("62text", "echo no", 0o644);
  expect(await fallthru(["run", "own", "--", "true"])).toMatchObject({ status: 0, stdout: "", stderr: "" });
  rmSync(join(directory, "60directory"), { recursive: true });
});

test("a script that fails ends the beginning, and setup-stop is told so; nothing is left", async () => {
  write("60own", `echo "$@" >>${notes}/calls`);
  write("65fail", `[ $1 = setup-start ] && exit 3; echo 65 "$@" >>${notes}/calls`);
  write("70after", `echo after "$@" >>${notes}/calls`);
  expect((await programs.schroot.once("own")).status).toBe(1);
  const schroots = noted("calls");
  rmSync(join(notes, "calls"));
  expect(await fallthru(["begin", "own", "--name", "s"])).toMatchObject({
    status: 1,
    stdout: "",
    stderr: `fallthru: run ${directory}/65fail (setup-start): status 3\nhint: its output is above\n`,
  });
  expect(noted("calls")).toBe(schroots);
  expect((await fallthru(["list", "--json"])).stdout).toContain('"sessions": []');
});

test("a script that fails at the end keeps the session as it is, until --force", async () => {
  write("60own", `echo "$@" >>${notes}/calls; [ $1 != setup-stop ]`);
  expect((await fallthru(["begin", "own", "--name", "s"])).status).toBe(0);
  expect(await fallthru(["end", "s"])).toMatchObject({
    status: 1,
    stderr: `fallthru: run ${directory}/60own (setup-stop): status 1\nhint: the session stays; end it all the same: fallthru end --force @s\n`,
  });
  expect(await fallthru(["run", "@s", "--", "cat", "/etc/debian_chroot"])).toMatchObject({
    status: 0,
    stdout: "own\n",
  });
  expect(await fallthru(["end", "--force", "s"])).toMatchObject({ status: 0, stdout: "ended s\n" });
  expect(noted("calls")).toBe("setup-start ok\nsetup-stop ok\nsetup-stop ok\n");
});

test("one that fails when the tree is gone, or after an automatic session, is told of", async () => {
  for (const name of ["04own", "60own"]) {
    write(name, `[ $1 != setup-stop ] || exit 5`);
    const { status, stderr } = await fallthru(["run", "own", "--", "true"]);
    expect([status, stderr]).toEqual([
      125,
      expect.stringMatching(
        /^fallthru: run .*own \(setup-stop\): status 5\nhint: session own-\S+ is ended all the same\n$/,
      ) as string,
    ]);
    rmSync(join(directory, name));
  }
});

test("processes are ended between the scripts behind 15killprocs and those before", async () => {
  for (const name of ["60own", "12own", "04own"]) {
    write(
      name,
      `echo $1 $0 $(ls /proc/*/root -ld 2>/dev/null | grep -c " $CHROOT_PATH\\$") $(mountpoint -q $CHROOT_PATH && echo mounted) >>${notes}/calls`,
    );
  }
  expect((await fallthru(["begin", "own", "--name", "s"])).status).toBe(0);
  expect(
    (await fallthru(["run", "@s", "--", "sh", "-c", "mknod /dev/null c 1 3; sleep 1000 >/dev/null 2>&1 &"])).status,
  ).toBe(0);
  expect((await fallthru(["end", "s"])).stdout).toBe("ended s, killed 1 process\n");
  const lines = noted("calls").replaceAll(`${directory}/`, "").trim().split("\n");
  expect(lines).toEqual([
    "setup-start 04own 0",
    "setup-start 12own 0 mounted",
    "setup-start 60own 0 mounted",
    "setup-stop 60own 1 mounted",
    "setup-stop 12own 0 mounted",
    "setup-stop 04own 0",
  ]);
});

describe("stock scripts", () => {
  const inside = async (script: string) =>
    (await fallthru(["run", "own", "--user", "0", "--", "sh", "-c", script])).stdout;

  test("aren't run, what they do is done", async () => {
    expect(await inside("cat /etc/debian_chroot; test -s /etc/resolv.conf && echo there")).toBe("own\nthere\n");
  });

  test("that are gone aren't missed", async () => {
    for (const name of ["50chrootname", "20copyfiles"]) rmSync(join(directory, name));
    expect(await inside("ls /etc")).toBe("group\npasswd\n");
  });

  test("that were changed are run in their place, and instead of our own step", async () => {
    write("20copyfiles", 'echo changed >"$CHROOT_PATH/etc/changed"');
    expect(await inside("ls /etc")).toBe("changed\ndebian_chroot\ngroup\npasswd\n");
  });

  test("that were changed and mount are run for what was added", async () => {
    const add =
      '\nif [ $STAGE != setup-stop ]; then touch "$CHROOT_PATH/etc/added"; fi\necho $STAGE >>' + notes + "/calls\n";
    for (const name of ["05file", "05union", "10mount"]) {
      writeFileSync(join(directory, name), readFileSync(join(stock, name), "utf8") + (name === "10mount" ? add : "\n"));
    }
    expect(await inside("ls /etc; grep -c ' /proc ' /proc/mounts; touch /usr/new")).toBe(
      "added\ndebian_chroot\ngroup\npasswd\nresolv.conf\n1\n",
    );
    expect(noted("calls")).toBe("setup-start\nsetup-stop\n");
    expect(existsSync(join(root, "usr/new"))).toBe(false);
  });
});

test("a plain chroot and the host's root have no scripts", async () => {
  write("60own", `echo "$@" >>${notes}/calls`);
  for (const source of ["plain", "host"]) {
    expect(await fallthru(["run", source, "--", "true"])).toMatchObject({ status: 0, stderr: "" });
  }
  expect(noted("calls")).toBe("");
});

test("a begin that is killed while a script runs is undone by the next command, with its scripts", async () => {
  write(
    "60own",
    `echo "$@" >>${notes}/calls; [ $1 != setup-start ] || { echo up; exec sleep 1000 </dev/null >/dev/null 2>&1; }`,
  );
  const child = startFallthru(["begin", "own", "--name", "s"]);
  await new Promise((up) => child.stderr?.once("data", up));
  const gone = new Promise((done) => child.once("exit", done));
  child.kill("SIGKILL");
  await gone;
  const [sleeper = ""] = (await run(["pgrep", "-f", "-x", "sleep 1000"])).stdout.split("\n");
  if (sleeper !== "") process.kill(Number(sleeper));
  expect(await fallthru(["recover"])).toMatchObject({ status: 0, stdout: "removed s\n", stderr: "" });
  expect(noted("calls")).toBe("setup-start ok\nsetup-stop fail\n");
});

test("recover runs them again, after a restart of the machine", async () => {
  write("60own", `echo "$@" $(mountpoint -q $CHROOT_PATH && echo mounted) $AUTH_USER >>${notes}/calls`);
  expect((await fallthru(["begin", "own", "--name", "s"])).status).toBe(0);
  execFileSync("umount", ["-l", "/run/fallthru/mount/s/s"]);
  expect(await fallthru(["recover"])).toMatchObject({ status: 0, stdout: "recovered s\n" });
  expect((await fallthru(["end", "s"])).status).toBe(0);
  expect(noted("calls")).toBe(
    "setup-start ok mounted root\nsetup-recover ok mounted root\nsetup-stop ok mounted root\n",
  );
});

test("services are started in order and stopped in reverse", async () => {
  const services = tinyRoot();
  mkdirSync(join(services, "usr/sbin"));
  writeFileSync(join(services, "usr/sbin/invoke-rc.d"), `#!/bin/sh\necho "$@"\n[ $3 = start ]\n`, { mode: 0o755 });
  describeChroot("served", services, ["profile=minimal", "setup.services=one,two", "setup.nssdatabases="]);
  expect(await fallthru(["run", "served", "--", "true"])).toMatchObject({
    status: 0,
    stderr: ["one start", "two start", "two stop", "one stop"]
      .map((words) => `I: 70services: --force ${words}\n`)
      .join(""),
  });
});

test("a line without an end is said, and a daemon that keeps the output open isn't waited for", async () => {
  write("60own", `sleep 1000 & printf 'no end'; echo $! >>${notes}/pids`);
  expect(await fallthru(["run", "own", "--", "true"])).toMatchObject({
    status: 0,
    stderr: "I: 60own: no end\nI: 60own: no end\n",
  });
  for (const pid of noted("pids").trim().split("\n")) process.kill(Number(pid));
});

test("where schroot is gone its scripts' own library is ours", async () => {
  const script = `. "$SETUP_DATA_DIR/common-data"; . "$SETUP_DATA_DIR/common-functions"; . "$SETUP_DATA_DIR/common-config"
info "told only if verbose"; warn "a warning"; echo $STAGE $STATUS $SETUP_FSTAB $SETUP_COPYFILES $FSTAB
[ $STAGE = setup-start ] || fatal "no more"`;
  write("60own", script);
  // What comes through two pipes has no order.
  const messagesOf = async (chroot: string) =>
    (await fallthru(["run", chroot, "--", "true"])).stderr
      .replaceAll(/own-\S+|old-\S+/g, "ID")
      .split("\n")
      .toSorted();
  const theirs = [await messagesOf("own"), await messagesOf("old")];
  execFileSync("mount", ["-t", "tmpfs", "none", "/usr/share/schroot"]);
  try {
    expect([await messagesOf("own"), await messagesOf("old")]).toEqual(theirs);
  } finally {
    execFileSync("umount", ["/usr/share/schroot"]);
    rmSync("/run/fallthru/setup", { recursive: true });
  }
  expect(theirs[0]).toContain("I: 60own: setup-start ok /etc/schroot/minimal/fstab /etc/schroot/minimal/copyfiles");
  expect(theirs[1]).toContain(
    "I: 60own: setup-start ok /etc/schroot/minimal/fstab /etc/schroot/minimal/copyfiles /etc/schroot/minimal/fstab",
  );
  expect(theirs[0]).toContain("E: 60own: error: no more");
});
