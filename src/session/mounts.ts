import { parseFstab } from "../chroot/fstab.ts";
import { UserError } from "../error.ts";
import { KernelError, unless } from "../kernel/error.ts";
import { openDirectory, readFile, readLinkAt } from "../kernel/file.ts";
import { attachSteps } from "../mount/attach.ts";
import { readMountInfo } from "../mount/mountinfo.ts";
import { fstabStep } from "./plan.ts";

/** What schroot's setup scripts have two programs for. */

/** A directory's path without links; undefined where there is none. */
export function resolveDirectory(path: string): string | undefined {
  using open = unless(["ENOENT", "ENOTDIR", "ELOOP"], () => openDirectory(path));
  return open === undefined ? undefined : readLinkAt(null, `/proc/self/fd/${open.number}`).toString("utf8");
}

/** The mount points at a path and below it, those that must be unmounted first before the others. */
export function mountPointsBelow(path: string): string[] {
  const below = path.endsWith("/") ? path : `${path}/`;
  const points = readMountInfo().map(({ mountPoint }) => mountPoint);
  return points.filter((point) => point === path || point.startsWith(below)).toReversed();
}

/** @returns undefined where there is no such file */
export function readFstab(file: string): string | undefined {
  return unless(["ENOENT", "ENOTDIR"], () => readFile(file))?.toString("utf8");
}

/**
 * Mounts what an fstab(5) names inside a root. Missing mount points are made, and no link leads out of the root.
 * @throws {UserError} config, at the first bad line; failed, at the first mount that is refused, and none stays
 */
export function mountFstab(path: string, text: string, file: string): void {
  const steps = parseFstab(text, file).map(fstabStep);
  using root = openDirectory(path);
  try {
    attachSteps(root, steps);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new UserError("failed", `${file}: ${error.message}`, { hint: error.hint, cause: error });
  }
}
