// Setup scripts of sessions that are begun or ended by schroot's name, and of those that a real schroot has begun.
import { describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run } from "../support/fallthru.ts";
import {
  directory,
  dropIn,
  from,
  look,
  normalize,
  noted,
  notes,
  prepareSetup,
  programs,
  write,
} from "../support/setup.ts";

prepareSetup();

describe("under schroot's name a script sees what it does under schroot:", () => {
  const ways: readonly (readonly string[])[] = [
    ["-c", "alias"],
    ["-c", "own", "-u", "nobody"],
    ["-c", "source:own"],
    ["-q", "-c", "own"],
  ];
  for (const way of ways) {
    test(way.join(" "), async () => {
      for (const name of ["60own", "04own"]) write(name, look);
      for (const program of ["schroot", dropIn]) {
        expect((await from(program, "-b", "-n", "s", ...way)).status).toBe(0);
        expect(await from(program, "-e", "-c", "s")).toMatchObject({ status: 0 });
      }
      // When it ends a source's session schroot has forgotten that it is one.
      const seen = normalize(noted("schroot")).split(/^(?=\/etc.* setup-stop)/m);
      const same = way.includes("source:own") ? seen.slice(0, 1) : seen;
      const ours = normalize(noted("fallthru")).split(/^(?=\/etc.* setup-stop)/m);
      expect(ours.slice(0, same.length)).toEqual(same);
      expect(ours.length).toBe(seen.length);
      expect(noted("schroot")).toContain("AUTH_RUSER=root");
    });
  }

  test("and its failure is told in schroot's words", async () => {
    write("60own", "exit 3");
    const [theirs, ours] = [
      await run(["schroot", "-c", "own", "--", "true"]),
      await run([dropIn, "-c", "own", "--", "true"]),
    ];
    rmSync(join(directory, "60own"));
    for (const id of readdirSync("/var/lib/schroot/session")) await run(["schroot", "-e", "-c", id]);
    for (const { status, stderr } of [ours, theirs]) {
      expect(status).toBe(1);
      expect(stderr).toMatch(/^E: own-[0-9a-f-]+: Chroot setup failed: stage=setup-start$/m);
    }
  });
});

describe("a session of a real schroot's", () => {
  const begin = async () => expect((await programs.schroot.begin("own")).status).toBe(0);
  const isGone = () => {
    expect(existsSync("/var/lib/schroot/session/s")).toBe(false);
    expect(readFileSync("/proc/mounts", "utf8")).not.toContain("/mount/s");
    for (const kind of ["overlay", "underlay"]) expect(readdirSync(`/var/lib/schroot/union/${kind}`)).toEqual([]);
    expect(readdirSync("/run/schroot/mount")).toEqual([]);
  };

  test("is ended as schroot ends it", async () => {
    for (const name of ["60own", "12own", "04own"]) {
      write(
        name,
        `echo "$0 $*" $(mountpoint -q $CHROOT_PATH && echo mounted) >>${notes}/calls; env | grep -v ^PID | sort >>${notes}/calls`,
      );
    }
    await begin();
    rmSync(join(notes, "calls"));
    expect(await programs.schroot.end()).toMatchObject({ status: 0 });
    const theirs = noted("calls");
    await begin();
    rmSync(join(notes, "calls"));
    expect(await from(dropIn, "-e", "-c", "s")).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(noted("calls")).toBe(theirs);
    isGone();
  });

  test("is ended with stubborn processes in it, and somebody who stands there", async () => {
    await begin();
    const daemon = "mknod /dev/null c 1 3; trap '' TERM; for i in 1 2 3; do sleep 1000 >/dev/null 2>&1 & done";
    expect((await run(["schroot", "-d", "/", "-r", "-c", "s", "--", "sh", "-c", daemon])).status).toBe(0);
    const shell = spawn("sleep", ["1000"], { cwd: "/run/schroot/mount/s/etc", stdio: "ignore" });
    expect(await from(dropIn, "-e", "-c", "s")).toMatchObject({ status: 0, stderr: "" });
    shell.kill();
    isGone();
  });

  test("stays where a script fails", async () => {
    await begin();
    write("60own", "exit 1");
    expect(await from(dropIn, "-e", "-c", "s")).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^E: s: Chroot setup failed: stage=setup-stop\n/) as string,
    });
    rmSync(join(directory, "60own"));
    expect(await from(dropIn, "-e", "-c", "s")).toMatchObject({ status: 0, stderr: "" });
    isGone();
  });
});
