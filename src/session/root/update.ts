import { basename, dirname } from "node:path";
import type { MadeRoot, UpdateTarget } from "../../chroot/types.ts";
import { UserError } from "../../error.ts";
import { makeSnapshot } from "../../kernel/btrfs.ts";
import { unless } from "../../kernel/error.ts";
import {
  lock,
  openDirectory,
  renameAt,
  renameExchangeAt,
  statAt,
  sync,
  syncFileSystem,
  unlinkAt,
} from "../../kernel/file.ts";
import { detachMount } from "../../kernel/mount.ts";
import { removeTree } from "../../layer/remove.ts";
import { listSessions } from "../list.ts";
import { mountPointOf } from "../paths.ts";
import { isMounted } from "../state.ts";
import { destroy, explain } from "./btrfs.ts";
import { noteIdentity, refuseChanged } from "./identity.ts";
import { image } from "./image.ts";
import type { RootKeeper, RootPlace } from "./keeper.ts";
import { unmountRoot } from "./mounted.ts";
import { requireProgram } from "./program.ts";

type UpdateRoot = MadeRoot & { kind: "update" };

/**
 * A copy of a chroot's root, beside it, which takes its place when it is saved. The old one is what remove() finds then
 * under the copy's name; without save() it finds the copy.
 */
export const update: RootKeeper<UpdateRoot> = {
  make(root, place) {
    refuseUsed(root, place);
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
    if (unless(["ENOENT"], () => statAt(dir, name)) === undefined) return;
    if (root.of.kind === "image") unlinkAt(dir, name);
    else if (root.of.kind === "subvolume") destroy(dir, name);
    else removeTree(dir, name);
    sync(dir);
  },
  async save(root, place) {
    refuseUsed(root, place);
    using dir = openDirectory(dirname(root.of.path));
    if (root.of.kind === "subvolume") {
      lock(dir, "exclusive");
      refuseChanged(place.dir, statAt(null, root.of.path), root.of.path);
    }
    const [name, copy] = [basename(root.of.path), basename(copyOf(root.of, place))];
    // A file system that is still mounted isn't clean; what runs in the session has been ended.
    if (root.of.kind === "image") unmount(place);
    await syncFileSystem(dir);
    if (root.of.kind === "image") renameAt(dir, copy, dir, name);
    else renameExchangeAt(dir, copy, name);
    sync(dir);
  },
};

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

/** What lies below a union mustn't go, and a session that is mounted again later must find what it was begun on. */
function refuseUsed({ chroot, of }: UpdateRoot, { id }: RootPlace): void {
  if (of.kind === "subvolume") return; // Sessions have snapshots of their own.
  const used = listSessions().filter((session) => session.id !== id && [chroot, ""].includes(session.chroot));
  if (used.length === 0) return;
  const ids = used.map((session) => `@${session.id}`).join(" ");
  throw new UserError("busy", `sessions lie over ${of.path}, which is as it was: ${ids}`, {
    hint: `end them first (fallthru end ${ids}); a chroot of type file or btrfs-snapshot can be updated under its sessions`,
  });
}
