import { mkdirSync, rmdirSync } from "node:fs";
import { UserError } from "../../error.ts";
import { O, RESOLVE } from "../../kernel/abi/file.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { openAt } from "../../kernel/file.ts";
import { attachMount, cloneMount, detachMount, makePrivate } from "../../kernel/mount.ts";
import { runDir } from "../paths.ts";
import { isMounted } from "../state.ts";

/** Where a session's root is mounted that isn't a directory of the host's. */
export function rootMountOf(id: string): string {
  return `${runDir}/root/${id}`;
}

/**
 * Mounts a session's root; what was there is taken away.
 * @param location the directory in it that is the root. Links on its way are followed inside
 * @returns where
 */
export function mountRoot(id: string, mount: Fd, location: string): string {
  const path = rootMountOf(id);
  unmountRoot(id);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  attach(mount, path);
  if (location === "/") return path;
  using whole = openAt(null, path, O.PATH | O.DIRECTORY);
  using inner = openLocation(whole, location);
  using part = cloneMount(inner, "");
  attach(part, path); // over the whole one, which goes with it
  return path;
}

function openLocation(whole: Fd, location: string): Fd {
  const open = () => openAt(whole, location.slice(1), O.PATH | O.DIRECTORY, { resolve: RESOLVE.IN_ROOT });
  const found = unless(["ENOENT", "ENOTDIR", "ELOOP"], open);
  if (found !== undefined) return found;
  throw new UserError("not-found", `there is no directory ${location} in the chroot's file system or archive`, {
    hint: "the key location says where the root is in it",
  });
}

function attach(mount: Fd, path: string): void {
  using target = openAt(null, path, O.PATH | O.DIRECTORY | O.NOFOLLOW);
  makePrivate(mount);
  attachMount(mount, target);
}

/** Does nothing where nothing is. */
export function unmountRoot(id: string): void {
  const path = rootMountOf(id);
  while (isMounted(path)) detachMount(path);
  unless(["ENOENT"], () => rmdirSync(path));
}
