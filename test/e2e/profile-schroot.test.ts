// schroot's five profiles, with the real schroot and with ours: what is mounted, copied and merged.
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";
import { prepareSetup } from "../support/setup.ts";

prepareSetup();

/** Where a profile shows a directory that this machine may lack, it is another one. */
const shared = temporaryDirectory("shared");
for (const name of ["sbuild", "buildd", "desktop"]) {
  const file = join("/etc/schroot", name, "fstab");
  writeFileSync(file, readFileSync(file, "utf8").replace(/^\/var\/lib\/(?:sbuild\/build|dbus)\b/m, shared));
}

const root = tinyRoot();
writeFileSync(join(root, "etc/passwd"), `${readFileSync(join(root, "etc/passwd"), "utf8")}own:x:900:900::/:/bin/sh\n`);

const parts = {
  mounts: "cut -d ' ' -f 2-3 /proc/self/mounts | sort -u",
  // What getent(1) prints of hosts and services lacks the comments; here it is the host's file.
  files: "cd /etc; ls; md5sum resolv.conf debian_chroot; awk '!/^#/ && NF { print $1 }' protocols 2>&1 | sort -u; true",
  names: "cut -d : -f 1 /etc/passwd",
} as const;

async function inside(program: readonly string[], part: keyof typeof parts): Promise<string> {
  const { status, stdout, stderr } = await run([...program, "--", "sh", "-c", parts[part]]);
  // schroot warns of another chroot's keys.
  expect({ program, status, stderr: stderr.replace(/^[WI]: .*\n/gm, "") }).toEqual({ program, status: 0, stderr: "" });
  return stdout;
}

for (const profile of ["default", "minimal", "desktop", "sbuild", "buildd"]) {
  describe(`the profile ${profile}`, () => {
    describeChroot(profile, root, [`profile=${profile}`, "union-type=overlay", "users=root", "root-users=root"]);
    const theirs = ["schroot", "-d", "/", "-c", profile];
    const ours = [executable, "run", profile, "--directory", "/"];

    test("mounts what schroot mounts, and copies what it copies", async () => {
      for (const part of ["mounts", "files"] as const) {
        expect(await inside(ours, part)).toBe(await inside(theirs, part));
      }
    });

    test("has everybody whom schroot has, and the chroot's own users too", async () => {
      const names = (await inside(ours, "names")).split("\n");
      const their = (await inside(theirs, "names")).split("\n");
      expect(their).not.toContain("own");
      expect(names).toContain("own");
      expect(their.filter((name) => !names.includes(name))).toEqual([]);
    });
  });
}

test("a profile's replace puts the host's users in the place of the chroot's own", async () => {
  writeFileSync("/etc/schroot/minimal/nssdatabases", "passwd replace\n");
  const { stdout } = await fallthru(["run", "minimal", "--user", "0", "--", "cat", "/etc/passwd"]);
  expect(stdout).toBe(readFileSync("/etc/passwd", "utf8"));
});
