import { execFileSync } from "node:child_process";
import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { linkFd, must } from "../kernel/at.ts";
import { makeSubvolume } from "../kernel/btrfs.ts";
import { isErrno } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { changeModeAt, makeDirectoryAt, openAt, openDirectory, readDirectory, renameAt, sync } from "../kernel/file.ts";
import { truncateFd } from "../kernel/io.ts";
import { removeTree } from "../layer/remove.ts";
import { packTree, runHolding } from "./pack.ts";
import { type PlaceOptions, placeRoot } from "./place.ts";

/** How a root that is made is kept: schroot.conf(5)'s types of chroots that can be made here. */
export const rootTypes = ["directory", "file", "loopback", "btrfs-snapshot"] as const;
export type RootType = (typeof rootTypes)[number];

export interface KeepOptions extends PlaceOptions {
  /** Without it a directory. */
  readonly type?: RootType;
}

/** What is in the place of the root, for those that are no directory. */
const kept = { file: "root.tar.zst", loopback: "root.ext4", "btrfs-snapshot": "root" } as const;

/** Beside a Btrfs root: where its sessions' snapshots are. */
const snapshotsName = "snapshots";

/**
 * As placeRoot(), with the root kept as `type` says: then its place is a directory with the archive, image or subvolume.
 * @returns the path of that
 */
export async function keepRoot(name: string, make: (root: Fd) => Promise<void>, options: KeepOptions): Promise<string> {
  const { type = "directory", signal } = options;
  if (type === "directory") return placeRoot(name, make, options);
  const place = await placeRoot(
    name,
    async (root) => {
      await make(root);
      await convert(type, root, signal);
    },
    options,
  );
  return `${place}/${kept[type]}`;
}

/** All is done in the root's own directory, or in files without a name: what is killed goes with it. */
async function convert(type: Exclude<RootType, "directory">, root: Fd, signal: AbortSignal | undefined): Promise<void> {
  if (type === "btrfs-snapshot") {
    await moveToSubvolume(root, signal);
    return;
  }
  using file = openAt(root, ".", O.TMPFILE | O.RDWR, { mode: 0o600 });
  const problem = type === "file" ? await pack(root, file, signal) : await format(root, file, signal);
  if (problem !== undefined) throw new UserError("failed", `keep the root as ${kept[type]}: ${problem}`);
  sync(file);
  empty(root);
  must("link", kept[type], linkFd(file.number, root.number, kept[type]));
}

function pack(root: Fd, file: Fd, signal: AbortSignal | undefined): Promise<string | undefined> {
  return packTree(root.path, file, { compression: "zstd", held: root, signal });
}

/** With room for twice as much again: a file's holes cost nothing. */
function format(root: Fd, file: Fd, signal: AbortSignal | undefined): Promise<string | undefined> {
  const used = execFileSync("du", ["--summarize", "--block-size=1", root.path], { encoding: "utf8" });
  must("truncate", kept.loopback, truncateFd(file.number, 3 * Number.parseInt(used, 10) + (512 << 20)));
  const words = ["-q", "-F", "-i", "8192", "-d", root.path, `/proc/self/fd/3`] as const;
  return runHolding(["mkfs.ext4", ...words], ["ignore", "ignore", "pipe", file.number, root.number], signal);
}

async function moveToSubvolume(root: Fd, signal: AbortSignal | undefined): Promise<void> {
  const names = namesIn(root);
  const name = ".fallthru-subvolume";
  try {
    makeSubvolume(root, name);
  } catch (error) {
    if (!isErrno(error, "ENOTTY")) throw error;
    throw new UserError("unsupported", `${root.path} is not on Btrfs`, {
      hint: "another --type: directory, file, loopback",
      cause: error,
    });
  }
  {
    using subvolume = openDirectory(name, root);
    changeModeAt(subvolume, ".", 0o755);
  }
  const words = ["--archive", "--reflink=auto", "--target-directory", `${root.path}/${name}`, "--"] as const;
  const from = names.map((each) => `${root.path}/${each}`);
  const problem = await runHolding(["cp", ...words, ...from], ["ignore", "ignore", "pipe", root.number], signal);
  if (problem !== undefined) throw new UserError("failed", `copy the root into a subvolume: ${problem}`);
  for (const each of names) removeTree(root, each);
  makeDirectoryAt(root, snapshotsName, 0o700);
  renameAt(root, name, root, kept["btrfs-snapshot"]);
}

function namesIn(root: Fd): string[] {
  using listing = openDirectory(".", root);
  return [...readDirectory(listing)].map(({ name }) => name.toString("utf8"));
}

function empty(root: Fd): void {
  for (const name of namesIn(root)) removeTree(root, name);
}
