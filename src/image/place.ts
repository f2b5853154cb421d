import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../error.ts";
import { RESOLVE } from "../kernel/abi/file.ts";
import { isErrno, unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import {
  changeModeAt,
  isDirectory,
  lock,
  makeDirectoryAt,
  openDirectory,
  readDirectory,
  renameNoReplaceAt,
  statAt,
  sync,
  syncFileSystem,
  tryLock,
} from "../kernel/file.ts";
import { removeXattrAt } from "../kernel/xattr.ts";
import { removeTree } from "../layer/remove.ts";
import { places } from "../places.ts";
import type { Reporting } from "./progress.ts";
import { noSpace } from "./space.ts";

/**
 * Where roots are made and kept. Only the superuser may look inside: a root has set-user-ID programs, perhaps old
 * ones with known holes, and they would work for everybody who can reach them from the host.
 */
const chrootsDir = places.chroots;

/** A root that is being made or deleted: `.NAME.partial-8 hex digits`, locked by the process that does so. */
const partialName = /^\.(.+)\.partial-[0-9a-f]{8}$/;

export interface PlaceOptions extends Reporting {
  /** Without it: chrootsDir. */
  readonly directory?: string;
}

/** Where the root of this name is, or would be. @throws {UserError} usage: no name for a directory */
export function rootPathOf(name: string, directory: string = chrootsDir): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/.test(name))
    throw new UserError("usage", `${JSON.stringify(name)} can't be a chroot's name`);
  return `${directory}/${name}`;
}

/**
 * Makes a root with `make` under a hidden name and gives it its own when it is whole and on the disk. Whatever stops
 * it, nothing stands at its own name; what a killed process has left is removed by the next call.
 * @returns the root's path
 * @throws {UserError} exists; busy: it is being made by somebody else; no-space
 */
export async function placeRoot(
  name: string,
  make: (root: Fd) => Promise<void>,
  options: PlaceOptions = {},
): Promise<string> {
  const { directory = chrootsDir, onProgress, signal } = options;
  const path = rootPathOf(name, directory);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  await clearPartials(options);
  using store = openDirectory(directory);
  const partial = startPartial(store, name, path);
  using root = partial.root;
  try {
    signal?.throwIfAborted();
    await make(root);
    signal?.throwIfAborted();
    onProgress?.({ phase: "sync", fraction: 0.98 });
    await syncFileSystem(root);
    renameNoReplaceAt(store, partial.name, store, name);
  } catch (error) {
    await tryRemovePartial(store, partial.name, options);
    if (isErrno(error, "EEXIST")) throw takenError(name, path);
    throw isErrno(error, "ENOSPC", "EDQUOT") ? noSpace(store, `make ${path}`, error) : error;
  }
  sync(store);
  onProgress?.({ phase: "sync", fraction: 1 });
  return path;
}

/** Deletes a root that placeRoot() made; from the first moment on it has no name of its own any more. */
export async function removeRoot(name: string, directory: string = chrootsDir): Promise<void> {
  const path = rootPathOf(name, directory);
  using store = openDirectory(directory);
  using root = openRoot(store, name, path);
  const hidden = newPartialName(name);
  {
    using guard = openDirectory(directory);
    lock(guard, "exclusive");
    if (!tryLock(root, "exclusive")) throw new UserError("busy", `${path} is in use by another process of Fallthru`);
    renameNoReplaceAt(store, name, store, hidden);
  }
  sync(store);
  await removePartial(store, hidden);
}

/**
 * Removes what processes that were killed have left of roots they were making or deleting; what is still being made stays.
 * What can't be removed is told through `onWarning` and tried again the next time.
 * @returns the names of the chroots whose remains were removed
 */
export async function clearPartials({ directory = chrootsDir, onWarning }: PlaceOptions = {}): Promise<string[]> {
  const opened = unless(["ENOENT"], () => openDirectory(directory));
  if (opened === undefined) return [];
  using store = opened;
  const cleared: string[] = [];
  for (const { entry, chroot, root } of deadPartials(store, directory)) {
    using _ = root; // holds the lock until all is gone
    if (await tryRemovePartial(store, entry, { onWarning })) cleared.push(chroot);
  }
  return cleared;
}

interface DeadPartial {
  readonly entry: string;
  readonly chroot: string;
  readonly root: Fd;
}

function deadPartials(store: Fd, directory: string): DeadPartial[] {
  using guard = openDirectory(directory);
  lock(guard, "exclusive");
  const found: DeadPartial[] = [];
  for (const { entry, chroot } of partialsIn(store)) {
    const root = openEntry(store, entry);
    if (tryLock(root, "exclusive")) found.push({ entry, chroot, root });
    else root.close();
  }
  return found;
}

function* partialsIn(store: Fd): Generator<{ entry: string; chroot: string }> {
  using listing = openDirectory(".", store);
  for (const { name } of readDirectory(listing)) {
    const entry = name.toString("latin1");
    const chroot = partialName.exec(entry)?.[1];
    if (chroot !== undefined && isDirectory(statAt(store, entry))) yield { entry, chroot };
  }
}

interface Partial {
  readonly name: string;
  readonly root: Fd;
}

/** Between making the directory and locking it nobody may look: it would be taken for a dead one. */
function startPartial(store: Fd, name: string, path: string): Partial {
  using guard = openDirectory(".", store);
  lock(guard, "exclusive");
  if (unless(["ENOENT"], () => statAt(store, name)) !== undefined) throw takenError(name, path);
  for (const { entry, chroot } of partialsIn(store)) {
    if (chroot === name && isHeld(store, entry)) {
      throw new UserError("busy", `the chroot ${name} is being made or removed by another process`);
    }
  }
  const hidden = newPartialName(name);
  makeDirectoryAt(store, hidden, 0o755);
  const root = openEntry(store, hidden);
  lock(root, "exclusive");
  changeModeAt(root, ".", 0o755); // whatever the umask is, and not the set-group-ID bit of the directory above
  for (const acl of ["system.posix_acl_access", "system.posix_acl_default"]) {
    unless(["ENODATA", "EOPNOTSUPP"], () => removeXattrAt(store, hidden, acl));
  }
  return { name: hidden, root };
}

function isHeld(store: Fd, entry: string): boolean {
  using root = openEntry(store, entry);
  return !tryLock(root, "exclusive");
}

/** A program that was stopped may need a moment to be gone, and write until then. */
async function removePartial(store: Fd, name: string): Promise<void> {
  for (let triesLeft = 50; ; triesLeft--) {
    try {
      removeTree(store, name);
      return;
    } catch (error) {
      if (triesLeft === 0 || !isErrno(error, "ENOTEMPTY")) throw error;
    }
    await sleep(100);
  }
}

/** @returns whether it is gone; why not is a warning, so that it hides no other error and stops no other work */
async function tryRemovePartial(
  store: Fd,
  name: string,
  { onWarning }: { onWarning?: Reporting["onWarning"] | undefined },
): Promise<boolean> {
  try {
    await removePartial(store, name);
    return true;
  } catch (error) {
    onWarning?.(`remove ${store.path}/${name}: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}

function newPartialName(name: string): string {
  return `.${name}.partial-${randomBytes(4).toString("hex")}`;
}

function openRoot(store: Fd, name: string, path: string): Fd {
  const root = unless(["ENOENT"], () => openEntry(store, name));
  if (root === undefined) throw new UserError("not-found", `there is no ${path}`);
  return root;
}

function openEntry(store: Fd, entry: string): Fd {
  return openDirectory(entry, store, RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV);
}

function takenError(name: string, path: string): UserError {
  return new UserError("exists", `${path} is already there`, {
    hint: `choose another name, or remove it: fallthru chroot remove ${name}`,
  });
}
