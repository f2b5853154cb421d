import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "./directories.ts";

/** Describes a chroot of any type in this test file's own /etc/schroot. */
export function describeAs(name: string, type: string, keys: readonly string[]): void {
  writeFileSync(`/etc/schroot/chroot.d/${name}.conf`, [`[${name}]`, `type=${type}`, ...keys, ""].join("\n"));
}

/** A file of an ext4 file system with this tree on it. */
export function ext4Image(tree: string, size = "48M"): string {
  const image = join(temporaryDirectory("image"), "root.ext4");
  execFileSync("truncate", ["-s", size, image]);
  execFileSync("mkfs.ext4", ["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-d", tree, image]);
  return image;
}

/** An archive of this tree, compressed as its name says. */
export function archiveOf(tree: string, name = "root.tar.zst"): string {
  const archive = join(temporaryDirectory("archive"), name);
  execFileSync("tar", ["--create", "--auto-compress", `--file=${archive}`, `--directory=${tree}`, "."]);
  return archive;
}

/** A Btrfs file system in a file, mounted until the caller unmounts it: a subvolume with this tree, and a place for snapshots. */
export function btrfsSubvolume(tree: string): { subvolume: string; snapshots: string; mountPoint: string } {
  const folder = temporaryDirectory("btrfs");
  const image = join(folder, "image");
  const mountPoint = join(folder, "mounted");
  mkdirSync(mountPoint);
  execFileSync("truncate", ["-s", "128M", image]);
  execFileSync("mkfs.btrfs", ["-q", image], { stdio: "ignore" });
  execFileSync("mount", ["-o", "loop", image, mountPoint]);
  const [subvolume, snapshots] = [join(mountPoint, "root"), join(mountPoint, "snapshots")];
  execFileSync("btrfs", ["subvolume", "create", subvolume], { stdio: "ignore" });
  execFileSync("cp", ["-a", `${tree}/.`, subvolume]);
  mkdirSync(snapshots);
  return { subvolume, snapshots, mountPoint };
}
