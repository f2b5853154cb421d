import { O, RESOLVE } from "../kernel/abi/file.ts";
import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { isErrno, KernelError, unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import {
  changeModeAt,
  isDirectory,
  makeDirectoryAt,
  openAt,
  readAll,
  removeDirectoryAt,
  statAt,
} from "../kernel/file.ts";
import {
  attachMount,
  detachMount,
  makeFollower,
  makePrivate,
  MountError,
  type MountOption,
  setMountAttributes,
} from "../kernel/mount.ts";
import { nameOf, parentOf } from "../kernel/names.ts";
import { copyInto, openParent } from "../layer/inside.ts";
import { canBuildDetached } from "./detached.ts";
import { makeOverlay } from "./overlay/mount.ts";
import { cloneAsAllowed, makeAsAllowed } from "./unprivileged.ts";
import { describeStep, type MountPlan, type PlanStep, type UnionStep } from "./plan.ts";

export interface Attached {
  /** Of each union, in the plan's order: what the kernel took. */
  readonly unionOptions: readonly (readonly string[])[];
  /** What was left out or isn't as planned, a line each. */
  readonly warnings: readonly string[];
}

export interface AttachOptions {
  /**
   * Called with the root before anything is mounted in it (or where the plan says), so that what is written there can't
   * land in anything of the host's. What it throws undoes the whole.
   */
  readonly prepare?: (root: Fd) => void;
  /**
   * "detached" builds the tree where nobody sees it (Linux ≥ 6.15), "attached" beside the mount point; in both it comes to
   * its place in one call, when it is whole.
   */
  readonly order?: "detached" | "attached";
  /** What oursFor() gives, where the plan has unions of ours. */
  readonly ours?: MakeOurs | undefined;
}

/** Makes one of our own unions, detached. */
export type MakeOurs = (step: UnionStep) => Fd;

/** Loads what our own unions need, where there is one: sessions on overlays, which nearly all are, do without. */
export async function oursFor({ steps }: MountPlan): Promise<MakeOurs | undefined> {
  const isOurs = steps.some((step) => step.kind === "union" && step.union.type === "fallthru");
  return isOurs ? (await import("./fallthru/step.ts")).makeOurs : undefined;
}

/**
 * Builds the plan's tree and attaches it at `mountPoint`, an existing directory. Whatever fails, nothing stays mounted.
 * @throws {KernelError} with the step that failed
 */
export function attachPlan(plan: MountPlan, mountPoint: string, options: AttachOptions = {}): Attached {
  const order = options.order ?? (canBuildDetached() ? "detached" : "attached");
  const [first, ...others] = plan.steps;
  const { filesAfter = 1 } = plan;
  if (first === undefined) throw new Error("an empty mount plan");
  const unionOptions: (readonly string[])[] = [];
  const warnings: string[] = [];
  using target = openAt(null, mountPoint, O.PATH | O.DIRECTORY | O.NOFOLLOW);
  using root = makeStep(first, unionOptions, options.ours);
  try {
    if (order === "attached") attachBeside(root, mountPoint);
    for (const [index, step] of others.entries()) {
      if (index + 1 === filesAfter) options.prepare?.(root);
      executeStep(step, root, { unionOptions, warnings, ours: options.ours });
    }
    if (filesAfter > others.length) options.prepare?.(root);
    attachMount(root, target);
  } finally {
    if (order === "attached") clearBeside(mountPoint);
  }
  return { unionOptions, warnings };
}

/**
 * Mounts further steps in a tree that is in its place already, each at once: what stands stays where a later one fails.
 * @throws {KernelError} with the step that failed
 */
export function attachSteps(root: Fd, steps: readonly PlanStep[], ours?: MakeOurs): void {
  for (const step of steps) {
    using mount = makeStep(step, [], ours);
    attachInto(root, mount, step.at);
  }
}

/** Attaches what is mounted nowhere yet in a tree that is in its place; a missing mount point is made. */
export function attachInto(root: Fd, mount: Fd, at: string): void {
  using target = openTarget(root, at, mount);
  attachOn(mount, target);
}

/** One union of a plan, detached. @throws {MountError} */
export function makeUnionMount(step: UnionStep, ours: MakeOurs): Fd {
  return makeStep(step, [], ours);
}

/** No session's name begins with a dot. */
function placeBeside(mountPoint: string): string {
  return `${parentOf(mountPoint)}/.${nameOf(mountPoint)}`;
}

function attachBeside(root: Fd, mountPoint: string): void {
  const place = placeBeside(mountPoint);
  unless(["EEXIST"], () => makeDirectoryAt(null, place, 0o700));
  makePrivate(root);
  using open = openAt(null, place, O.PATH | O.DIRECTORY | O.NOFOLLOW);
  attachMount(root, open);
}

/** Takes away what an attachPlan() that was killed has left beside the mount point; where there is nothing, nothing. */
export function clearBeside(mountPoint: string): void {
  const place = placeBeside(mountPoint);
  while (unless(["ENOENT"], () => statAt(null, place))?.isMountRoot === true) detachMount(place);
  unless(["ENOENT"], () => removeDirectoryAt(null, place));
}

/** What is gathered on the way, and what is needed. */
interface Course {
  readonly unionOptions: (readonly string[])[];
  readonly warnings: string[];
  readonly ours: MakeOurs | undefined;
}

function executeStep(step: PlanStep, root: Fd, course: Course): void {
  const { unionOptions, warnings, ours } = course;
  try {
    if (step.kind === "copy") {
      copyFile(step, root);
      return;
    }
    if (step.kind === "bind" && step.ifThere === true && !isThere(step.from, root, step.at)) return;
    using mount = makeStep(step, unionOptions, ours);
    using target = openTarget(root, step.at, mount);
    attachOn(mount, target);
  } catch (error) {
    if (
      step.kind === "union" &&
      step.orReadOnly === true &&
      isErrno(error, "ENOENT", "ENOTDIR") &&
      isGone(step.union.lowers)
    ) {
      warnings.push(`${step.at} is left out: it is gone`);
      unionOptions.push([]);
      return;
    }
    if (step.kind === "union" && step.orReadOnly === true && error instanceof MountError && isRefusal(error)) {
      const reason = [error.message, ...(error.hint === undefined ? [] : [error.hint])].join("; ");
      warnings.push(`${step.at} is read-only: ${reason}`);
      unionOptions.push([]);
      executeStep(readOnly(step), root, course);
      return;
    }
    if (!(step.kind === "bind" && step.optional === true && error instanceof KernelError)) throw error;
    warnings.push(`${step.at} is left out: ${error.message}`);
  }
}

/** The host's own directory, as may happen between planning and mounting. */
function isGone(lowers: readonly string[]): boolean {
  return lowers.some((path) => unless(["ENOENT", "ENOTDIR"], () => statAt(null, path)) === undefined);
}

/** A link that leads nowhere is no place: what it should lead to isn't made up. */
function isThere(from: string, root: Fd, at: string): boolean {
  const canOpen = (dir: Fd | null, path: string, flags: number, resolve: number): boolean =>
    unless(["ENOENT", "ENOTDIR", "ELOOP"], () => openAt(dir, path, O.PATH | flags, { resolve }).close() ?? true) ===
    true;
  if (!canOpen(null, from, 0, 0)) return false;
  if (canOpen(root, at, 0, RESOLVE.IN_ROOT)) return true;
  return canOpen(root, parentOf(at), O.DIRECTORY, RESOLVE.IN_ROOT) && !canOpen(root, at, O.NOFOLLOW, RESOLVE.IN_ROOT);
}

/** Whether it is the file system that is no layer, and not a disk that is full or the like. */
function isRefusal(error: MountError): boolean {
  return isErrno(error, "EINVAL", "EOPNOTSUPP", "ELOOP", "EPERM", "EACCES", "EIO", "ENOTCONN", "ESTALE");
}

function readOnly(step: UnionStep): PlanStep {
  const attributes = step.attributes | MOUNT_ATTR.RDONLY;
  return {
    kind: "bind",
    at: step.at,
    from: step.union.lowers[0] ?? step.at,
    depth: "single",
    attributes,
    optional: true,
  };
}

function makeStep(step: PlanStep, unionOptions: (readonly string[])[], ours: MakeOurs | undefined): Fd {
  switch (step.kind) {
    case "union": {
      if (step.union.type === "fallthru") {
        if (ours === undefined) throw new Error(`nothing is loaded for ${describeStep(step)}`);
        unionOptions.push([]);
        return ours(step);
      }
      const long: Fd[] = [];
      try {
        const made = makeOverlay(step.union, step.attributes, (path) => {
          const fd = openAt(null, path, O.PATH | O.DIRECTORY);
          long.push(fd);
          return fd;
        });
        unionOptions.push(made.options);
        return made.mount;
      } finally {
        for (const fd of long) fd.close();
      }
    }
    case "bind": {
      const { mount, depth } = cloneAsAllowed(step.from, step.depth);
      try {
        // A copy of the host's mounts would otherwise go on following what the host mounts and unmounts below them.
        if (step.follows === true) makeFollower(mount);
        else makePrivate(mount, "recursive");
        if (step.attributes !== 0) setMountAttributes(mount, { set: step.attributes }, depth);
      } catch (error) {
        mount.close();
        throw error;
      }
      return mount;
    }
    case "filesystem": {
      const options = step.options.map((option): MountOption => {
        const equals = option.indexOf("=");
        return equals < 0 ? [option] : [option.slice(0, equals), option.slice(equals + 1)];
      });
      return makeAsAllowed(step.type, [["source", step.source], ...options], step.attributes);
    }
    case "copy":
      throw new Error(`not a mount: ${describeStep(step)}`);
  }
}

/** Opens the mount point inside the tree, making what is missing: a directory, or a file for a file's mount. */
function openTarget(root: Fd, at: string, mount: Fd): Fd {
  const open = () => openAt(root, at, O.PATH, { resolve: RESOLVE.IN_ROOT });
  const found = unless(["ENOENT"], open);
  if (found !== undefined) return found;
  if (isTree(mount)) return openParent(root, `${at}/.`, "make");
  using parent = openParent(root, at, "make");
  const name = at.split("/").findLast((part) => part !== "") ?? "";
  openAt(parent, name, O.WRONLY | O.CREAT | O.NOFOLLOW, { mode: 0o644 }).close();
  changeModeAt(parent, name, 0o644);
  return open();
}

/** The kernel says EINVAL for a directory on a file, and for a file on a directory. */
function attachOn(mount: Fd, target: Fd): void {
  try {
    attachMount(mount, target);
  } catch (error) {
    if (!isErrno(error, "EINVAL") || isTree(mount) === isTree(target)) throw error;
    const errno = isTree(mount) ? "ENOTDIR" : "EISDIR";
    throw new KernelError({ syscall: `mount ${mount.path} on`, path: target.path, errno });
  }
}

/** Where nobody may look (another user's FUSE, a server that is gone) it is a file system's root, so a directory. */
function isTree(file: Fd): boolean {
  const attr = unless(["EACCES", "ENOTCONN", "ESTALE", "EIO"], () => statAt(file));
  return attr === undefined || isDirectory(attr);
}

/** A file that is mounted on a file (a container's /etc/resolv.conf): its content, in the upper. */
function copyFile(step: PlanStep & { kind: "copy" }, root: Fd): void {
  using source = openAt(null, step.from, O.RDONLY);
  const attr = statAt(source);
  copyInto(root, step.at, readAll(source, attr.size), attr);
}
