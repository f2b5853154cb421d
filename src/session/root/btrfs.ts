import type { MadeRoot } from "../../chroot/types.ts";
import { UserError } from "../../error.ts";
import { destroySubvolume, makeSnapshot } from "../../kernel/btrfs.ts";
import { isErrno, unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { openDirectory, statAt, sync } from "../../kernel/file.ts";
import { removeTree } from "../../layer/remove.ts";
import type { RootKeeper } from "./keeper.ts";

type BtrfsRoot = MadeRoot & { kind: "btrfs" };

/** A snapshot of a Btrfs subvolume: made and deleted by the kernel, without btrfs(8). */
export const btrfs: RootKeeper<BtrfsRoot> = {
  make(root, { name }) {
    using subvolume = openDirectory(root.subvolume);
    using dir = openDirectory(root.snapshots);
    try {
      makeSnapshot(subvolume, dir, name);
    } catch (error) {
      throw explain(error, root);
    }
    // The record may say that it is there before the next commit of that file system.
    sync(dir);
    return `${root.snapshots}/${name}`;
  },
  restore(root, { name }) {
    using dir = openDirectory(root.snapshots);
    statAt(dir, name);
  },
  remove(root, { name }) {
    const dir = unless(["ENOENT"], () => openDirectory(root.snapshots));
    if (dir === undefined) return;
    using open = dir;
    if (unless(["ENOENT"], () => statAt(open, name)) !== undefined) destroy(open, name);
    // What a power cut brings back must have its note: that goes after this.
    sync(open);
  },
};

/** Deletes a subvolume: those that were made in it are in the way, and go as directories do. */
export function destroy(dir: Fd, name: string): void {
  try {
    destroySubvolume(dir, name);
  } catch (error) {
    if (!isErrno(error, "ENOTEMPTY")) throw error;
    removeTree(dir, name);
  }
}

export function explain(error: unknown, { subvolume, snapshots }: BtrfsRoot): unknown {
  const why = (reason: string, hint: string) => new UserError("unsupported", reason, { hint, cause: error });
  const make = `btrfs subvolume create ${subvolume}`;
  if (isErrno(error, "ENOTTY"))
    return why(`${snapshots} is not on Btrfs`, "another type: directory, union-type=overlay");
  if (isErrno(error, "EINVAL")) return why(`${subvolume} is not a Btrfs subvolume`, `make it one: ${make}`);
  if (isErrno(error, "EXDEV"))
    return why(`${snapshots} is not on the same file system as ${subvolume}`, "btrfs-snapshot-directory says where");
  return error;
}
