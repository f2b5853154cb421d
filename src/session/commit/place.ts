import { basename, dirname } from "node:path";
import { UserError } from "../../error.ts";
import { O, RESOLVE } from "../../kernel/abi/file.ts";
import { E } from "../../kernel/abi/errno.ts";
import { isErrno, unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import {
  changeModeAt,
  changeOwnerAt,
  isDirectory,
  makeDirectoryAt,
  openAt,
  openDirectory,
  sameDevice,
  statAt,
  sync,
} from "../../kernel/file.ts";
import { attributeName, removeXattr } from "../../kernel/io.ts";
import { cloneMount } from "../../kernel/mount.ts";
import { nodeFs } from "../../kernel/trusted.ts";
import { removeTree } from "../../layer/remove.ts";
import { commitsDir } from "../paths.ts";
import { Tree } from "./tree.ts";

/** What an area is called where it has to lie beside the target or in it. */
export const areaPrefix = ".fallthru-commit-";

/** A target, and the area beside it from which things are renamed into it: both on one private mount without anything below. */
export interface Place extends Disposable {
  readonly tree: Tree;
  readonly area: Fd;
}

/**
 * Where the area of a commit is: renaming needs the target's own mount. Best is among our own state, which sessions don't see;
 * else beside the target; where that is another file system, or not the user's to write to, in the target itself.
 */
export function chooseArea(target: string, id: string, part: number): string {
  const name = `${id}-${part}`;
  if (isOneMount(commitsDir, target)) return `${commitsDir}/${id}/area-${part}`;
  if (target !== "/" && isOneMount(dirname(target), target) && isWritable(dirname(target)))
    return `${slashed(dirname(target))}${areaPrefix}${name}`;
  return `${slashed(target)}${areaPrefix}${name}`;
}

function isWritable(directory: string): boolean {
  const { accessSync, constants } = nodeFs();
  const isAllowed = unless(["EACCES", "EPERM", "EROFS"], () => {
    accessSync(directory, constants.R_OK | constants.W_OK);
    return true;
  });
  return isAllowed === true;
}

function slashed(path: string): string {
  return path.endsWith("/") ? path : `${path}/`;
}

function isOneMount(one: string, other: string): boolean {
  const [first, second] = [statAt(null, one), statAt(null, other)];
  return first.mountId === second.mountId && sameDevice(first, second);
}

/** Nobody but the superuser may look into it, and nothing in it inherits anything. */
export function makeArea(path: string): void {
  using parent = openDirectory(dirname(path));
  const name = basename(path);
  makeDirectoryAt(parent, name, 0o700);
  using area = openAt(parent, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  for (const acl of ["system.posix_acl_default", "system.posix_acl_access"]) {
    const result = removeXattr(area.number, "", attributeName(acl));
    if (result < 0 && result !== -E.NODATA && result !== -E.OPNOTSUPP)
      throw new UserError("failed", `${path} keeps its ACL`);
  }
  changeOwnerAt(area, "", 0, 0);
  changeModeAt(area, ".", 0o700);
  sync(parent);
}

export function removeArea(path: string): void {
  const opened = unless(["ENOENT"], () => openDirectory(dirname(path)));
  if (opened === undefined) return;
  using parent = opened;
  removeTree(parent, basename(path));
  sync(parent);
}

/** @throws {UserError} failed, where the target or the area isn't there any more */
export function openPlace(target: string, area: string): Place {
  const common = commonDirectory(target, dirname(area));
  try {
    using mount = cloneMount(null, common);
    const open = (path: string): Fd => {
      const below = path.slice(common.length).replace(/^\/+/, "");
      const resolve = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV;
      return openDirectory(below === "" ? "." : below, mount, resolve);
    };
    using undo = new DisposableStack();
    const tree = undo.use(new Tree(open(target)));
    const opened = undo.use(open(area));
    const attr = statAt(opened);
    if (!isDirectory(attr) || attr.uid !== 0 || (attr.mode & 0o077) !== 0)
      throw new UserError("failed", `${area} isn't ours any more`);
    const both = undo.move();
    return { tree, area: opened, [Symbol.dispose]: () => both.dispose() };
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EXDEV")) throw error;
    throw new UserError("failed", `${target}, or ${area} beside it, is not what it was when the commit began`, {
      cause: error,
    });
  }
}

function commonDirectory(one: string, other: string): string {
  const [first, second] = [one.split("/"), other.split("/")];
  let same = 0;
  while (same < Math.min(first.length, second.length) && first[same] === second[same]) same++;
  return first.slice(0, same).join("/") || "/";
}
