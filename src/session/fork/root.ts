import { mkdirSync } from "node:fs";
import { UserError } from "../../error.ts";
import { makeSnapshot } from "../../kernel/btrfs.ts";
import { openDirectory, sync } from "../../kernel/file.ts";
import { copyTrees } from "./copy.ts";
import { rootMountOf } from "../root/mounted.ts";
import { type RootNote, writeNote } from "../root/note.ts";
import { makeRoot, restoreRoot, type RootOwner } from "../root/root.ts";

/** A root of the other session's, for that of the first one; `from` and `to` are the paths of the trees. */
export interface ForkedRoot {
  readonly from: string;
  readonly to: string;
  readonly way: "mounted" | "snapshot" | "copied";
  /** How many entries changed faster than they could be copied. */
  readonly unsettled: number;
}

/** @throws {UserError} unsupported: a session whose root can't be had twice */
export function refuseRoot(id: string, note: RootNote): void {
  if (note.access === "write") {
    throw cannot(id, "it changes the chroot itself: there is nothing that would be the session's own");
  }
  if (note.root.kind === "lvm" || note.root.kind === "zfs") {
    const what = note.root.kind === "lvm" ? "an LVM snapshot" : "a ZFS clone";
    throw cannot(id, `its root is ${what}, of which another can't be made that outlives it`);
  }
}

export function cannot(id: string, why: string): UserError {
  return new UserError("unsupported", `session ${id} can't be forked: ${why}`, {
    hint: "begin another on the same chroot: fallthru begin",
  });
}

/** Makes the other session's root as the first one's is now. It is noted down before anything of it is made. */
export async function forkRoot(id: string, from: RootNote, note: RootNote, owner: RootOwner): Promise<ForkedRoot> {
  const { root } = note;
  switch (root.kind) {
    case "image":
    case "device":
      return { from: rootMountOf(id), to: await makeRoot(note, owner), way: "mounted", unsettled: 0 };
    case "btrfs": {
      const paths = { from: `${root.snapshots}/${from.name}`, to: `${root.snapshots}/${note.name}` };
      writeNote(owner.dir, note);
      using snapshot = openDirectory(paths.from);
      using place = openDirectory(root.snapshots);
      makeSnapshot(snapshot, place, note.name);
      sync(place);
      return { ...paths, way: "snapshot", unsettled: 0 };
    }
    case "archive":
    case "empty": {
      writeNote(owner.dir, note);
      const tree = `${note.base}/root`;
      mkdirSync(tree, { mode: 0o755 });
      using source = openDirectory(`${from.base}/root`);
      using target = openDirectory(tree);
      const unsettled = copyTrees([{ from: source, to: target, isWhole: true }], true);
      const isInner = root.kind === "archive" && root.location !== "/";
      if (isInner) await restoreRoot(note, owner);
      const paths = isInner
        ? { from: rootMountOf(id), to: rootMountOf(owner.id) }
        : { from: `${from.base}/root`, to: tree };
      return { ...paths, way: "copied", unsettled };
    }
    default:
      throw new Error(`a root of kind ${root.kind} can't be forked`);
  }
}
