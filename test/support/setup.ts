// What the tests of setup scripts share: both programs begin with nothing, and each test with the stock scripts.
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "bun:test";
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
import { temporaryDirectory } from "./directories.ts";
import { executable, fallthru, run, type RunResult } from "./fallthru.ts";
import { leftoversAfter, traces } from "./leftovers.ts";
import { tinyRoot } from "./roots.ts";

export const directory = "/etc/schroot/setup.d";
export const stock = temporaryDirectory("stock");
export const notes = temporaryDirectory("notes");
export const root = tinyRoot();
/** Where both programs keep what is theirs; here both begin with nothing. */
const covered = ["/var/lib/schroot", "/run/schroot", "/run/lock/schroot"];

/** To be called once by a test file. */
export function prepareSetup(): void {
  beforeAll(() => {
    for (const path of covered) {
      // Also right where it is the machine's own and stays: schroot refuses a directory of locks that others can enter.
      mkdirSync(path, { recursive: true, mode: path === "/run/lock/schroot" ? 0o700 : 0o755 });
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
    const isNew = (trace: string): boolean => !covered.some((path) => trace.includes(` on ${path}`));
    expect(await leftoversAfter(before, isNew)).toEqual([]);
  });
}

export function write(name: string, script: string, mode = 0o755): void {
  writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(directory, name), mode);
}

export const noted = (name: string) => (existsSync(join(notes, name)) ? readFileSync(join(notes, name), "utf8") : "");

/** From a directory and with a umask that mustn't reach the scripts. */
export const from = (...command: readonly string[]) =>
  run(["sh", "-c", 'cd /usr; umask 077; ulimit -Sn 500; "$@"; exit $?', "sh", ...command], {
    input: "input\n",
    env: { ODD: "x" },
  });

/** Both programs with the same arguments in their own words. */
export const programs = {
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
export function normalize(text: string): string {
  return text
    .replaceAll(/\/run\/fallthru\/mount\/[\w.-]+/g, "MOUNTS")
    .replaceAll("/var/run/schroot/mount", "MOUNTS")
    .replaceAll(/^(.*(?:OVERLAY|UNDERLAY)_DIRECTORY)=.*/gm, "$1=LAYER")
    .replaceAll(/^(.*\bPID)=\d+$/gm, "$1=N")
    .replaceAll(/(?:own|old|quiet)-[0-9a-f-]{8,}/g, "ID");
}

export async function both(
  name: keyof (typeof programs)["schroot"],
  chroot: string,
): Promise<Record<Program, RunResult>> {
  const results = {
    schroot: await programs.schroot[name](chroot),
    fallthru: await programs.fallthru[name](chroot),
  };
  return results;
}

/** This program by schroot's name. */
export const dropIn = join(temporaryDirectory("bin"), "schroot");
symlinkSync(executable, dropIn);

export const messages = ({ stderr }: RunResult) => stderr.split("\n").filter((line) => /^[IE]: \d*[a-z]+: /.test(line));

/** What a script sees, into a file of its own for each program. */
export const look = `case $MOUNT_DIR in *fallthru*) who=fallthru;; *) who=schroot;; esac
{ echo "$0 $*"; env | sort; echo "$(pwd) $(umask)"; read -r line; echo "read $line"
  ulimit -Sn; grep -E 'Sig(Ign|Blk)' /proc/self/status
  mountpoint -q "$CHROOT_PATH" && echo mounted; mountpoint -q "$CHROOT_PATH/proc" && echo proc
  ls "$CHROOT_PATH" 2>/dev/null | head -n 3; } >>${notes}/$who
echo "to stdout"; echo "to stderr" >&2; echo "to /dev/stderr" >/dev/stderr`;
