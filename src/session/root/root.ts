import type { MadeRoot } from "../../chroot/types.ts";
import type { RootKeeper, RootPlace } from "./keeper.ts";
import { identityOf, lockRoots } from "../roots.ts";
import { type RootNote, writeNote } from "./note.ts";

/** Whose root it is: what the note doesn't say. */
export type RootOwner = Pick<RootPlace, "id" | "dir" | "hold">;

/** Notes down what is to be made, then makes it. @returns the tree's path */
export async function makeRoot(note: RootNote, owner: RootOwner): Promise<string> {
  const keeper = await keeperOf(note.root);
  if (note.root.kind !== "image") {
    writeNote(owner.dir, note);
    return keeper.make(note.root, { ...note, ...owner });
  }
  // What is noted is what is mounted.
  using _ = lockRoots("shared");
  const identity = identityOf(note.root.file);
  writeNote(owner.dir, identity === undefined ? note : { ...note, identity });
  return await keeper.make(note.root, { ...note, ...owner });
}

/** Makes again what a restart of the machine took. */
export async function restoreRoot(note: RootNote, owner: RootOwner): Promise<void> {
  await (await keeperOf(note.root)).restore(note.root, { ...note, ...owner });
}

/** Takes away what was made, whole or not. */
export async function removeRoot(note: RootNote, owner: RootOwner): Promise<void> {
  await (await keeperOf(note.root)).remove(note.root, { ...note, ...owner });
}

/** Keeps what a session on the root itself has changed, where that isn't so already. */
export async function saveRoot(note: RootNote, owner: RootOwner): Promise<void> {
  if (note.access !== "write") return;
  await (await keeperOf(note.root)).save?.(note.root, { ...note, ...owner });
}

/** Each kind is loaded where it is used only. */
async function keeperOf(root: MadeRoot): Promise<RootKeeper<MadeRoot>> {
  const load = async (): Promise<unknown> => {
    switch (root.kind) {
      case "archive":
        return (await import("./archive.ts")).archive;
      case "image":
        return (await import("./image.ts")).image;
      case "device":
        return (await import("./device.ts")).device;
      case "btrfs":
        return (await import("./btrfs.ts")).btrfs;
      case "lvm":
        return (await import("./lvm.ts")).lvm;
      case "zfs":
        return (await import("./zfs.ts")).zfs;
      case "update":
        return (await import("./update.ts")).update;
      case "empty":
        return (await import("./empty.ts")).empty;
    }
  };
  // By the switch above it takes roots of this kind.
  return (await load()) as RootKeeper<MadeRoot>;
}
