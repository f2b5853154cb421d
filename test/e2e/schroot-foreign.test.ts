// Sessions of a real schroot in our hands, and ours in those of a real schroot and of others who read its files.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { tinyRoot } from "../support/roots.ts";
import { archiveOf, ext4Image } from "../support/rootstores.ts";
import { makeTwins, runTwin } from "../support/schroot.ts";

const base = makeTwins();

test("a real schroot's session is listed, described, run in, recovered and ended", async () => {
  const said = await runTwin(base, "schroot", [
    "$SCHROOT -b -c ov -n real",
    "$SCHROOT -l --all-sessions > /tmp/a; $FALLTHRU -l --all-sessions | diff /tmp/a -",
    "$SCHROOT -i -c session:real > /tmp/a; $FALLTHRU -i -c session:real | diff /tmp/a -",
    "$FALLTHRU -r -c real -- sh -c 'echo x > /etc/x; echo $SCHROOT_SESSION_ID $SCHROOT_CHROOT_NAME'",
    "$SCHROOT -r -c real -- cat /etc/x",
    "$FALLTHRU --recover-session -c real",
    "$FALLTHRU -r -c real -- cat /etc/x",
    "$FALLTHRU -e -c real",
    "ls /var/lib/schroot/session /var/lib/schroot/union/overlay /run/schroot/mount; grep -c schroot/mount/ /proc/mounts",
    "$FALLTHRU -e -c real",
  ]);
  const quiet = { status: 0, stderr: "" };
  expect(said.slice(0, 8)).toEqual([
    { ...quiet, stdout: "real\n" },
    { ...quiet, stdout: "" },
    { ...quiet, stdout: "" },
    { ...quiet, stdout: "real ov\n" },
    { ...quiet, stdout: "x\n" },
    { ...quiet, stdout: "" },
    { ...quiet, stdout: "x\n" },
    { ...quiet, stdout: "" },
  ]);
  expect(said[8]?.stdout).not.toContain("real");
  expect(said[8]?.stdout).toEndWith("\n0\n");
  expect(said[9]).toEqual({ status: 1, stdout: "", stderr: "E: real: Chroot not found\n" });
});

test("a failing script of schroot's leaves its session, to be ended again", async () => {
  const bad = "/etc/schroot/setup.d/50bad";
  const said = await runTwin(base, "schroot", [
    "$SCHROOT -b -c ov -n real",
    "$SCHROOT -l --all-sessions",
    `printf '#!/bin/sh\\necho out; echo why >&2; exit 3\\n' > ${bad}; chmod 755 ${bad}`,
    "$FALLTHRU -e -c real",
    "$FALLTHRU -l --all-sessions",
    `rm ${bad}; $FALLTHRU -e -c real; $FALLTHRU -l --all-sessions`,
  ]);
  const plains = "session:default\nsession:plain\n";
  expect(said[3]).toMatchObject({ status: 1, stdout: "" });
  expect(said[3]?.stderr).toStartWith("I: 50bad: out\nE: 50bad: why\nE: real: Chroot setup failed: stage=setup-stop\n");
  expect(said[4]?.stdout).toBe(`${plains}session:real\n`);
  expect(said[5]).toEqual({ status: 0, stdout: plains, stderr: "" });
});

test("a session of a real schroot that was purged meanwhile is ended without its scripts", async () => {
  const root = join(base, "root");
  const [archive, image] = [archiveOf(tinyRoot(), "root.tar.gz"), ext4Image(tinyRoot())];
  const types = [
    `type=file file=${archive}`,
    `type=loopback file=${image}`,
    "type=directory directory=@ union-type=overlay",
  ];
  const said = await runTwin(base, "schroot", [
    "mkdir /var/lib/schroot/unpack",
    ...types.map((keys, index) => `conf '[x]' ${keys} profile=minimal; $SCHROOT -b -c x -n s${index}`),
    "$SCHROOT -b -c dir -n dir",
    "$SCHROOT -r -d / -c s2 -- sh -c 'mknod /dev/null c 1 3; sleep 1000 >/dev/null 2>&1 &'",
    "mkdir /tmp/none; mount --bind /tmp/none /etc/schroot/setup.d; conf",
    "$FALLTHRU -e -c s0 -c s1 -c s2 -c dir; $FALLTHRU -l --all-sessions",
    "umount /etc/schroot/setup.d; cd /var/lib/schroot; ls session union/* unpack /run/schroot/mount; grep -c -e schroot/mount/ -e schroot/union/ /proc/mounts; ls " +
      root,
  ]);
  const plains = "session:default\nsession:plain\n";
  expect(said.at(-2)).toEqual({ status: 0, stdout: plains, stderr: "" });
  const [left = "", kept = ""] = said.at(-1)?.stdout.split("\n0\n") ?? [];
  expect(left).not.toMatch(/^(?:s\d|dir)$/m);
  expect(kept).toContain("bin\n");
});

test("our session is listed and described by a real schroot, and by whoever reads its ini file", async () => {
  const parse =
    "import configparser, sys; p = configparser.RawConfigParser(); p.read(sys.argv[1]); print(dict(p['ours'])['original-name'])";
  const said = await runTwin(base, "fallthru", [
    "schroot -b -c ova -n ours",
    "$FALLTHRU -l --all-sessions > /tmp/a; $SCHROOT -l --all-sessions | diff /tmp/a -",
    "$FALLTHRU -i -c session:ours > /tmp/a; $SCHROOT -i -c session:ours | diff /tmp/a -",
    `perl -ne 'print "$1\\n" if /^original-name=(.*)/' /var/lib/schroot/session/ours; command -v python3 > /dev/null && python3 -c "${parse}" /var/lib/schroot/session/ours || echo ov`,
    "$SCHROOT -r -c ours -- echo well",
    "schroot -e -c ours; ls /var/lib/schroot/session",
  ]);
  const stdouts = ["ours\n", "", "", "ov\nov\n", "well\n", ""];
  expect(said).toEqual(stdouts.map((stdout) => ({ status: 0, stdout, stderr: "" })));
});

test("a session file that nobody can read, or an empty one, costs no other session anything", async () => {
  const folder = "/var/lib/schroot/session";
  const said = await runTwin(base, "fallthru", [
    "schroot -b -c ov -n good",
    `echo garbage > ${folder}/junk; : > ${folder}/empty; head -c 64 /dev/urandom > ${folder}/noise`,
    "schroot -l --all-sessions 2> /dev/null | grep good",
    "schroot -b -c ov -n other 2> /dev/null",
    "schroot -r -c good -- echo well 2> /dev/null",
    "schroot -e -c good -c other 2> /dev/null",
    `rm ${folder}/junk ${folder}/empty ${folder}/noise; ls ${folder}`,
  ]);
  const stdouts = ["good\n", "", "session:good\n", "other\n", "well\n", "", ""];
  expect(said).toEqual(stdouts.map((stdout) => ({ status: 0, stdout, stderr: "" })));
});
