import { O, S } from "../../kernel/abi/file.ts";
import { E } from "../../kernel/abi/errno.ts";
import {
  chmodName,
  chownName,
  closeFd,
  KEEP_ID,
  must,
  type Name,
  openName,
  stat,
  statFd,
  statName,
} from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import { openDirectory } from "../../kernel/file.ts";
import { attributeName, getXattr, listDirectory } from "../../kernel/io.ts";
import { openHandle } from "../../kernel/handle.ts";
import { cloneMount } from "../../kernel/mount.ts";
import { decodeOrigin, inodeNumberIn, isOnlyNamed } from "../../layer/handle.ts";
import type { Fd } from "../../kernel/fd.ts";
import type { Union } from "../../mount/plan.ts";
import { join } from "../changes/names.ts";

/**
 * Gives every changed file with several names all of these names in the upper. One that was copied up under one of its
 * names is found under the others by the work directory's index only; without that, as a lower, the upper would show them
 * as they were. What is read of it are the index's entries, few or none; the tree only where a name may be missing.
 * @param mountPoint where the union is mounted
 */
export function completeLinks(union: Union, mountPoint: string): void {
  const wanted = indexedInodes(union, (index, name) => !isComplete(index, name));
  if (wanted.size === 0) return;
  // Without what is mounted in it.
  using tree = cloneMount(null, mountPoint);
  using root = openDirectory(".", tree);
  walk(root.number, wanted, "", copyUp);
}

/**
 * The names of changed files whose content is still below, under a name that was renamed in the union and isn't there any
 * more: nothing in the upper tells of them, and the union finds the content until it is mounted anew.
 * @param after the union
 */
export function namesWithoutContent(union: Union, after: Fd): Name[] {
  const found: Name[] = [];
  const wanted = indexedInodes(union, (index, name) => isElsewhere(index, name) && !isComplete(index, name));
  if (wanted.size === 0) return found;
  using root = openDirectory(".", after);
  walk(root.number, wanted, "", (_dir, _name, path) => found.push(path));
  return found;
}

/** The low bits of an inode number: unions put the file system's number into the high ones. */
const lowBits = 2 ** 40;

/** The inodes in the lowers of which the index has wanted entries. */
function indexedInodes({ work, lowers }: Union, isWanted: (index: number, name: Name) => boolean): ReadonlySet<number> {
  const found = new Set<number>();
  using index = unless(["ENOENT"], () => openDirectory(`${work}/index`));
  if (index === undefined) return found;
  const names: Name[] = [];
  must(
    "readdir",
    "index",
    listDirectory(index.number, (name) => {
      if (/^[0-9a-f]{42,}$/.test(name)) names.push(name);
    }),
  );
  const pending = names.filter((name) => isWanted(index.number, name));
  if (pending.length === 0) return found;
  using opened = new DisposableStack();
  const roots = lowers.map((path) => opened.use(openDirectory(path)).number);
  for (const name of pending) for (const ino of lowerInodes(name, roots)) found.add(ino % lowBits);
  return found;
}

const [marks, redirects] = ["nlink", "redirect"].map((mark) =>
  ["trusted.overlay.", "user.overlay."].map((prefix) => attributeName(prefix + mark)),
) as [Uint8Array[], Uint8Array[]];
const value = Buffer.alloc(64);

/** Whether all names that an inode has in the union are in the upper: the index's own is one more. */
function isComplete(index: number, name: Name): boolean {
  if (statName(index, name) !== 0 || stat.isWhiteoutDevice || stat.type === S.IFDIR) return true;
  return marks.some((mark) => {
    const length = getXattr(index, name, mark, value);
    return length > 0 && value.toString("latin1", 0, length) === "U-1";
  });
}

function isElsewhere(index: number, name: Name): boolean {
  return redirects.some((mark) => {
    const length = getXattr(index, name, mark, value);
    return length > 0 || length === -E.RANGE;
  });
}

/** @param roots the layers, of which one has the inode that the entry is called by */
function lowerInodes(name: Name, roots: readonly number[]): number[] {
  const handle = decodeOrigin(Buffer.from(name, "hex"));
  if (handle === undefined) return [];
  return roots.flatMap((root) => {
    const fd = openHandle(root, handle);
    // In a user name space nothing is opened so; where the number stands in it is known.
    if (fd === -E.PERM || (fd < 0 && isOnlyNamed(handle))) {
      const number = inodeNumberIn(handle);
      return number === undefined ? [] : [number.high * 2 ** 32 + number.low];
    }
    if (fd < 0) return [];
    const isThere = statFd(fd) === 0;
    closeFd(fd);
    return isThere ? [stat.ino] : [];
  });
}

const DIRECTORY = 4; // DT_DIR of readdir(3)

type Visit = (dir: number, name: Name, path: Name) => void;

/** @param visit told of each name of a wanted inode, with `stat` of it */
function walk(dir: number, wanted: ReadonlySet<number>, at: Name, visit: Visit): void {
  const directories: Name[] = [];
  const others: Name[] = [];
  const list = listDirectory(dir, (name, _high, _low, type) => {
    if (name !== "." && name !== "..") (type === DIRECTORY ? directories : others).push(name);
  });
  must("readdir", "", list);
  for (const name of others) {
    must("stat", name, statName(dir, name));
    if (wanted.has(stat.ino % lowBits)) visit(dir, name, join(at, name));
  }
  for (const name of directories) {
    const fd = openName(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
    if (fd === -E.NOENT) continue;
    must("open", name, fd);
    try {
      walk(fd, wanted, join(at, name), visit);
    } finally {
      closeFd(fd);
    }
  }
}

/** Says what is so already: the union then links the inode to this name, too. */
function copyUp(dir: number, name: Name): void {
  if (stat.type === S.IFLNK) must("chown", name, chownName(dir, name, KEEP_ID, KEEP_ID));
  else must("chmod", name, chmodName(dir, name, stat.mode));
}
