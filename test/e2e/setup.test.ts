// An administrator's own scripts in /etc/schroot/setup.d: what the real schroot does with them is what ours has to do.
import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeChroot } from "../support/directories.ts";
import { fallthru, type RunResult, startFallthru } from "../support/fallthru.ts";
import { untilRuns } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import {
  both,
  directory,
  look,
  messages,
  normalize,
  noted,
  notes,
  prepareSetup,
  programs,
  root,
  stock,
  write,
} from "../support/setup.ts";

prepareSetup();

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
  process.kill(await untilRuns("sleep 1000"));
  expect(await fallthru(["recover"])).toMatchObject({ status: 0, stdout: "removed s\n", stderr: "" });
  expect(noted("calls")).toBe("setup-start ok\nsetup-stop fail\n");
});

test("a signal that is to end a begin ends the script that runs, and nothing is left", async () => {
  for (const signal of ["SIGTERM", "SIGHUP"] as const) {
    write("60own", `echo "$@" >>${notes}/calls; [ $1 != setup-start ] || { echo up; exec sleep 1000; }`);
    const child = startFallthru(["begin", "own", "--name", "s"]);
    await new Promise((up) => child.stderr?.once("data", up));
    const gone = new Promise((done) => child.once("exit", done));
    child.kill(signal);
    expect(await gone).toBe(1);
    expect(noted("calls")).toBe("setup-start ok\nsetup-stop fail\n");
    rmSync(join(notes, "calls"));
    expect((await fallthru(["list", "--json"])).stdout).toContain('"sessions": []');
  }
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

test("a service that doesn't start keeps a session from beginning, as with schroot", async () => {
  const program = `#!/bin/sh\necho "$@"\ntest $2 = one\n`;
  const services = tinyRoot();
  mkdirSync(join(services, "usr/sbin"));
  writeFileSync(join(services, "usr/sbin/invoke-rc.d"), program, { mode: 0o755 });
  describeChroot("served", services, [
    "union-type=overlay",
    "users=root",
    "profile=minimal",
    "setup.services=one,two,three",
    "setup.nssdatabases=",
  ]);
  const { schroot: theirs, fallthru: ours } = await both("begin", "served");
  const said = ["one start", "two start"].map((words) => `I: 70services: --force ${words}`);
  const told = (result: RunResult) => messages(result).filter((line) => line.includes(": 70services: "));
  expect(told(theirs)).toEqual(said);
  // schroot leaves the session, ours is taken down again.
  const stopped = ["three stop", "two stop", "one stop"].map((words) => `I: 70services: --force ${words}`);
  expect(told(ours)).toEqual([...said, ...stopped]);
  expect([theirs.status === 0, ours.status === 0]).toEqual([false, false]);
  expect(await fallthru(["list", "--json"])).toMatchObject({ status: 0, stdout: expect.not.stringContaining('"s"') });
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
