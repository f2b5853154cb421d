import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { findAt, isDirectory, openDirectory, sync } from "../kernel/file.ts";
import { detachMount } from "../kernel/mount.ts";
import { nameOf, parentOf } from "../kernel/names.ts";
import { removeTree } from "../layer/remove.ts";
import { elsewhere, readElsewhere } from "./elsewhere.ts";
import { memoryUpperOf } from "./paths.ts";
import { isMounted } from "./state.ts";

/** Deletes a session's layers, wherever they are, and what they were mounted from. */
export function removeLayers(id: string, dir: Fd): void {
  const memory = memoryUpperOf(id);
  while (isMounted(memory)) detachMount(memory);
  removeEmptyDirectory(memory);
  removeTree(dir, "layers");
  if (findAt(dir, elsewhere) === undefined) return;
  const base = readElsewhere(dir);
  const parent = unless(["ENOENT"], () => openDirectory(parentOf(base)));
  if (parent === undefined) return;
  using open = parent;
  removeTree(open, nameOf(base));
  // What is still on that disk after a power cut must have its link on this one.
  sync(open);
}

function removeEmptyDirectory(path: string): void {
  using parent = openDirectory(parentOf(path));
  const attr = findAt(parent, nameOf(path));
  if (attr !== undefined && isDirectory(attr)) removeTree(parent, nameOf(path));
}
