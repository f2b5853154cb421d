import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { temporaryDirectory } from "./directories.ts";
import { run } from "./fallthru.ts";

const cache = resolve(import.meta.dirname, "../../build/test-cache");

export interface DebianRootOptions {
  /** Without it, the host's own. */
  readonly suite?: string;
  readonly variant?: string;
}

/**
 * A small Debian root, made by mmdebstrap where build/test-cache lacks it (half a minute). All tests share it: they
 * only read it, as a chroot's source or a lower layer.
 */
export async function debianRoot({
  suite = hostSuite(),
  variant = "minbase",
}: DebianRootOptions = {}): Promise<string> {
  const root = join(cache, `debian-${suite}-${variant}`);
  if (existsSync(root)) return root;
  mkdirSync(cache, { recursive: true });
  const make = `test -e "$0" || { rm -rf "$0.new" && mmdebstrap --quiet --variant="$1" "$2" "$0.new" && mv "$0.new" "$0"; }`;
  const made = await run(["flock", join(cache, ".lock"), "sh", "-c", make, root, variant, suite]);
  if (made.status !== 0) throw new Error(`mmdebstrap ended with status ${String(made.status)}:\n${made.stderr}`);
  return root;
}

export function hostSuite(): string {
  return /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "stable";
}

/**
 * A new root of 2 MB, in milliseconds: busybox, and two accounts besides the superuser's: `nobody`, and `user`
 * (1000), who is also in the groups `users` and `audio`. The caller may write to it.
 */
export function tinyRoot(): string {
  const root = temporaryDirectory("root");
  chmodSync(root, 0o755);
  for (const name of [
    "bin",
    "dev",
    "etc",
    "home/user",
    "mnt",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "usr/bin",
    "var",
  ]) {
    mkdirSync(join(root, name), { recursive: true });
  }
  for (const name of ["tmp", "var/tmp"]) {
    mkdirSync(join(root, name));
    chmodSync(join(root, name), 0o1777);
  }
  execFileSync("chown", ["1000:1000", join(root, "home/user")]);
  copyFileSync("/bin/busybox", join(root, "bin/busybox"));
  for (const applet of execFileSync("/bin/busybox", ["--list"], { encoding: "utf8" }).trim().split("\n")) {
    if (applet !== "busybox") symlinkSync("busybox", join(root, "bin", applet));
  }
  writeFileSync(join(root, "etc/passwd"), passwd);
  writeFileSync(join(root, "etc/group"), group);
  return root;
}

const passwd = `root:x:0:0:root:/root:/bin/sh
user:x:1000:1000:User:/home/user:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
`;

const group = `root:x:0:
audio:x:29:user
users:x:100:user
user:x:1000:
nogroup:x:65534:
`;

if (import.meta.main) await debianRoot();
