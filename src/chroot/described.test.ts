import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { findChroot } from "./config.ts";
import { readDescribed } from "./described.ts";
import { readProfile } from "./profile.ts";

const etc = "/etc/schroot";
const kept = "/run/fallthru/chroot-x.json";
const text = (name: string, more = "") => `[${name}]\ntype=directory\ndirectory=/srv\nusers=root\n${more}`;
const fstab = "/proc /proc none rw,bind 0 0\n";

/** What is kept is of files that have been what they are for two seconds. */
async function settle(): Promise<void> {
  await sleep(2100);
  await described(readDescribed);
}

async function described(read: (name: string) => unknown, name = "x"): Promise<unknown> {
  try {
    return await read(name);
  } catch (error) {
    return String(error);
  }
}

const anew = (name: string) => {
  const chroot = findChroot(name);
  return { chroot, profile: readProfile(chroot) };
};

beforeAll(async () => {
  mkdirSync("/run/fallthru", { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "fallthru", "/run/fallthru"]);
  for (const name of readdirSync(etc)) rmSync(`${etc}/${name}`, { recursive: true });
  mkdirSync(`${etc}/chroot.d`, { recursive: true });
  mkdirSync(`${etc}/mine`);
  writeFileSync(`${etc}/chroot.d/x.conf`, text("x", "profile=mine\naliases=y\nshell=/bin/sh\n"));
  writeFileSync(`${etc}/chroot.d/other.conf`, text("other"));
  for (const name of ["fstab", "copyfiles", "nssdatabases"]) writeFileSync(`${etc}/mine/${name}`, "");
  writeFileSync(`${etc}/mine/fstab`, fstab);
  await settle();
});

afterAll(() => {
  execFileSync("umount", ["/run/fallthru"]);
});

test("readDescribed() keeps what it found, and says the same from there", async () => {
  expect(existsSync(kept)).toBe(true);
  expect(await readDescribed("x")).toEqual(anew("x"));
  writeFileSync(kept, readFileSync(kept, "utf8").replace('"/srv"', '"/kept"'));
  expect((await readDescribed("x")).chroot).toMatchObject({ directory: "/kept" });
  writeFileSync(kept, "{");
  expect(await readDescribed("x")).toEqual(anew("x"));
  // By another name it is another file, and no name leads elsewhere.
  expect((await readDescribed("y")).chroot.name).toBe("x");
  expect(await described(readDescribed, "../x")).toEqual(await described(anew, "../x"));
});

test("whatever becomes of the files, it says what they say", async () => {
  const before = readFileSync(`${etc}/chroot.d/x.conf`);
  const changes: readonly (() => void)[] = [
    () => writeFileSync(`${etc}/chroot.d/x.conf`, before.toString().replace("/srv", "/opt")), // as long as it was
    () => {
      writeFileSync(`${etc}/chroot.d/x.conf`, before);
      utimesSync(`${etc}/chroot.d/x.conf`, 1_000_000_000, 1_000_000_000);
    },
    () => writeFileSync(`${etc}/chroot.d/other.conf`, text("x")), // described twice
    () => writeFileSync(`${etc}/chroot.d/other.conf`, text("other", "aliases=x\n")),
    () => writeFileSync(`${etc}/schroot.conf`, text("x")),
    () => rmSync(`${etc}/schroot.conf`),
    () => chmodSync(`${etc}/chroot.d/x.conf`, 0o666),
    () => chmodSync(`${etc}/chroot.d/x.conf`, 0o644),
    () => writeFileSync(`${etc}/mine/fstab`, fstab.replaceAll("proc", "root")),
    () => rmSync(`${etc}/mine/copyfiles`),
    () => symlinkSync("/etc/hosts", `${etc}/mine/copyfiles`),
    () => writeFileSync(`${etc}/mine/config`, `FSTAB=mine/other\n`),
    () => writeFileSync(`${etc}/mine/other`, fstab),
    () => renameSync(`${etc}/mine`, `${etc}/yours`),
    () => renameSync(`${etc}/yours`, `${etc}/mine`),
    () => renameSync(`${etc}/chroot.d`, `${etc}/chroot.old`),
    () => renameSync(`${etc}/chroot.old`, `${etc}/chroot.d`),
  ];
  for (const [index, change] of changes.entries()) {
    if (index % 3 === 0) await settle();
    change();
    expect([index, await described(readDescribed)]).toEqual([index, await described(anew)]);
  }
});
