import { mkdirSync, readlinkSync, symlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { MadeRoot } from "../../chroot/types.ts";
import { UserError } from "../../error.ts";
import { O } from "../../kernel/abi/file.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import {
  changeModeAt,
  changeOwnerAt,
  lock,
  openAt,
  openDirectory,
  readAvailable,
  renameAt,
  statAt,
  sync,
  unlinkAt,
} from "../../kernel/file.ts";
import { cloneMount } from "../../kernel/mount.ts";
import { type Compression, detectCompression } from "../../image/compression.ts";
import { extractArchive } from "../../image/import.ts";
import { packTree } from "../../image/pack.ts";
import { noteIdentity, refuseChanged } from "./identity.ts";
import type { RootKeeper, RootPlace } from "./keeper.ts";
import { mountRoot, unmountRoot } from "./mounted.ts";

type ArchiveRoot = MadeRoot & { kind: "archive" };

/** A tar archive: unpacked among the session's layers. Where the root is deeper inside, that is mounted. */
export const archive: RootKeeper<ArchiveRoot> = {
  async make(root, place) {
    const tree = treeOf(place);
    mkdirSync(tree, { mode: 0o755 });
    {
      using file = openAt(null, root.file, O.RDONLY);
      if (place.access === "write") noteIdentity(place.dir, statAt(file));
      using dir = openDirectory(tree);
      changeModeAt(dir, ".", 0o755); // whatever the umask is
      await extractArchive(file, dir, {});
    }
    return root.location === "/" ? tree : mountInner(root, place);
  },
  restore(root, place) {
    if (root.location !== "/") mountInner(root, place);
  },
  remove(_, place) {
    unmountRoot(place.id);
    dropPacked(place.dir);
  },
  save,
};

function treeOf({ base }: RootPlace): string {
  return `${base}/root`;
}

function mountInner(root: ArchiveRoot, place: RootPlace): string {
  using whole = cloneMount(null, treeOf(place));
  return mountRoot(place.id, whole, root.location);
}

/** A symbolic link in the session's directory to the archive that is being written; beside the old one, to take its place. */
const packed = "packed";

/**
 * Packs the tree and puts it in the archive's place, compressed as that is, with its owner and mode. Until then the old
 * one stays; killed in between, this is done again when the session is ended.
 */
async function save(root: ArchiveRoot, place: RootPlace): Promise<void> {
  dropPacked(place.dir);
  const name = `.${basename(root.file)}.${place.name}`;
  using dir = openDirectory(dirname(root.file));
  using old = openAt(dir, basename(root.file), O.RDONLY);
  // Of two at once the second sees here what the first has put there.
  lock(old, "exclusive");
  refuseChanged(place.dir, statAt(dir, basename(root.file)), root.file);
  symlinkSync(`${dir.path}/${name}`, `${place.dir.procPath}/${packed}`);
  sync(place.dir);
  try {
    {
      using file = openAt(dir, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, { mode: 0o600 });
      await pack(file, compressionOf(old), place, root.file);
      const attr = statAt(old);
      changeOwnerAt(file, "", attr.uid, attr.gid);
      changeModeAt(dir, name, attr.mode);
      sync(file);
      noteIdentity(place.dir, statAt(file)); // whoever is killed behind the next line does it again
    }
    renameAt(dir, name, dir, basename(root.file));
    sync(dir);
  } catch (error) {
    dropPacked(place.dir);
    throw error;
  }
  unlinkAt(place.dir, packed);
}

/** Deletes what a save() that was killed had packed. */
export function dropPacked(dir: Fd): void {
  const path = unless(["ENOENT"], () => readlinkSync(`${dir.procPath}/${packed}`));
  if (path === undefined) return;
  unless(["ENOENT"], () => unlinkAt(null, path));
  unless(["ENOENT"], () => unlinkAt(dir, packed));
}

function compressionOf(file: Fd): Compression {
  return detectCompression(readAvailable(file));
}

async function pack(file: Fd, compression: Compression, place: RootPlace, name: string): Promise<void> {
  const problem = await packTree(treeOf(place), file, { compression, held: place.hold });
  if (problem === undefined) return;
  throw new UserError("failed", `pack ${name}: ${problem}`, {
    hint: "the old archive is as it was, and the session too: make room, then end it again",
  });
}
