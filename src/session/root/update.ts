import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { MadeRoot, UpdateTarget } from "../../chroot/types.ts";
import { UserError } from "../../error.ts";
import { makeSnapshot } from "../../kernel/btrfs.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { lock, openDirectory, renameExchangeAt, statAt, sync, syncFileSystem, unlinkAt } from "../../kernel/file.ts";
import { detachMount } from "../../kernel/mount.ts";
import { removeTree } from "../../layer/remove.ts";
import { commitsTo } from "../commit/log.ts";
import { takeCommits } from "../commit/settle.ts";
import { mountPointOf } from "../paths.ts";
import { dropReplaced, isUsed, noteReplaced, removeReplaced } from "../replaced.ts";
import { identityOf, isReplaced, lockRoots, readReplacedBy } from "../roots.ts";
import { isMounted } from "../state.ts";
import { destroy, explain } from "./btrfs.ts";
import { noteIdentity, refuseChanged } from "./identity.ts";
import { image } from "./image.ts";
import { refuseInUse, refuseMounts } from "./inuse.ts";
import type { RootKeeper, RootPlace } from "./keeper.ts";
import { unmountRoot } from "./mounted.ts";
import { requireProgram } from "./program.ts";

type UpdateRoot = MadeRoot & { kind: "update" };

/**
 * A copy of a chroot's root, beside it, which takes its place when it is saved. The old one is what remove() finds then
 * under the copy's name, and leaves there while sessions lie over it; without save() it finds the copy.
 */
export const update: RootKeeper<UpdateRoot> = {
  make(root, place) {
    refuseMounts(root.of);
    refuseInUse(root.of, place.id);
    writeFileSync(`${place.dir.procPath}/${commitsBefore}`, commitsTo(root.of.path), { mode: 0o600 });
    const copy = copyOf(root.of, place);
    switch (root.of.kind) {
      case "directory":
        requireProgram(place, ["cp", "--archive", "--reflink=auto", "--", root.of.path, copy], "coreutils");
        return copy;
      case "subvolume":
        noteIdentity(place.dir, statAt(null, root.of.path));
        snapshot(root.of.path, copy);
        return copy;
      case "image": {
        const words = ["--reflink=auto", "--sparse=always", "--preserve=all", "--", root.of.path, copy] as const;
        requireProgram(place, ["cp", ...words], "coreutils");
        return image.make({ kind: "image", file: copy, mount: root.of.mount }, place);
      }
    }
  },
  restore() {
    // Nobody mounts an update again: it is its command's own.
  },
  remove(root, place) {
    unmountRoot(place.id);
    using dir = openDirectory(dirname(root.of.path));
    const name = basename(copyOf(root.of, place));
    const replaced = readReplacedBy(place.name);
    if (replaced !== undefined && isReplaced(replaced)) {
      if (!isUsed(replaced, place.id)) removeReplaced(place.name, replaced);
      return;
    }
    if (unless(["ENOENT"], () => statAt(dir, name)) !== undefined) {
      if (root.of.kind === "image") unlinkAt(dir, name);
      else if (root.of.kind === "subvolume") destroy(dir, name);
      else removeTree(dir, name);
      sync(dir);
    }
    dropReplaced(place.name);
  },
  async save(root, place) {
    using dir = openDirectory(dirname(root.of.path));
    // A file system that is still mounted isn't clean; what runs in the session has been ended.
    if (root.of.kind === "image") unmount(place);
    await syncFileSystem(dir);
    using commits = await takeCommits();
    try {
      exchange(root, place, dir);
    } finally {
      commits.release();
    }
  },
};

/** Nobody commits meanwhile. */
function exchange({ of }: UpdateRoot, place: RootPlace, dir: Fd): void {
  using _ = lockRoots("exclusive");
  refuseMounts(of);
  refuseInUse(of, place.id);
  refuseCommitted(of, place);
  if (of.kind === "subvolume") {
    lock(dir, "exclusive");
    refuseChanged(place.dir, statAt(null, of.path), of.path);
  } else {
    const { kind, path } = of;
    const identity = identityOf(path) ?? "";
    const about = { identity, path, old: copyOf(of, place), kind, replacedMs: Date.now(), updatedBy: place.id };
    noteReplaced(place.name, about);
  }
  renameExchangeAt(dir, basename(copyOf(of, place)), basename(of.path));
  sync(dir);
}

/** In the session's directory: which commits there had been to the root before it was copied. */
const commitsBefore = "commits";

/** What was committed since would be lost. */
function refuseCommitted({ path }: UpdateTarget, { dir }: RootPlace): void {
  if (readFileSync(`${dir.procPath}/${commitsBefore}`, "utf8") === commitsTo(path)) return;
  throw new UserError("busy", `something was committed to ${path}, or undone there, since this update began`, {
    hint: "it is as it was then; do the update again",
  });
}

function copyOf({ path }: UpdateTarget, { name }: RootPlace): string {
  return `${dirname(path)}/.${basename(path)}.${name}`;
}

function snapshot(from: string, to: string): void {
  using subvolume = openDirectory(from);
  using dir = openDirectory(dirname(to));
  try {
    makeSnapshot(subvolume, dir, basename(to));
  } catch (error) {
    throw explain(error, { kind: "btrfs", subvolume: from, snapshots: dirname(to) });
  }
}

function unmount({ id }: RootPlace): void {
  const path = mountPointOf(id);
  while (isMounted(path)) detachMount(path);
  unmountRoot(id);
}
