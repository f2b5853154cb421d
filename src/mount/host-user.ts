import type { Dirent, Stats } from "node:fs";
import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { isErrno, unless } from "../kernel/error.ts";
import { nodeFs } from "../kernel/trusted.ts";
import { copyLimit, type HostPlan, kindOf, memoryStep, stepFor } from "./host.ts";
import type { MountInfo } from "./mountinfo.ts";
import type { PlanStep, Skeleton, SkeletonEntry, Union } from "./plan.ts";

/** Where the kernel's own interfaces are shown, with all that is below them. */
const kernels = new Set(["/proc", "/sys", "/dev"]);

export interface Unions {
  /** The session's root, over a lower that is made for it. */
  readonly root: (skeleton: Skeleton) => Union;
  readonly over: (lower: string) => Union;
}

interface Places {
  /** Of which nothing is shown, mounted or not. */
  readonly hidden: readonly string[];
  /** Where the user has files of their own, below directories that aren't theirs: see Walk.make(). */
  readonly written: readonly string[];
}

/**
 * The steps for a user's view of this machine's own root. In their name spaces the kernel takes no directory for a layer that
 * has something mounted below it, as that would show what is hidden by it. So each directory that has none becomes
 * a union; those above them are made anew, as a skeleton that has their names.
 * @param mounts those of the name space
 */
export function planUsersHost(mounts: readonly MountInfo[], { hidden, written }: Places, unions: Unions): HostPlan {
  const walk = new Walk(
    mounts.filter(({ mountPoint }) => !hidden.some((path) => mountPoint === path || mountPoint.startsWith(`${path}/`))),
    unions,
    { written, hidden },
  );
  walk.split("/");
  for (const path of written) walk.make(path);
  const root: PlanStep = { kind: "union", at: "/", union: unions.root(walk.skeleton), attributes: 0 };
  return { steps: [root, ...walk.steps, ...kernelSteps(hidden)], warnings: walk.warnings };
}

class Walk {
  readonly skeleton: SkeletonEntry[] = [];
  readonly steps: PlanStep[] = [];
  readonly warnings: string[] = [];
  readonly #mounts = new Map<string, MountInfo>();
  /** The directories above each of them. */
  readonly #above = new Set<string>();
  readonly #unions: Unions;
  readonly #places: Places;

  constructor(mounts: readonly MountInfo[], unions: Unions, places: Places) {
    [this.#unions, this.#places] = [unions, places];
    for (const mount of mounts) {
      // The last one at a place is the one that is seen.
      this.#mounts.set(mount.mountPoint, mount);
      for (let path = mount.mountPoint; path !== "/"; path = parentOf(path)) this.#above.add(parentOf(path));
    }
  }

  /** A directory that has something mounted below it, or is the root: shown name by name. */
  split(path: string): void {
    const entries = listDirectory(path);
    if (entries === undefined) {
      this.#showUnlistable(path, lstatOf(path));
      return;
    }
    if (path !== "/") this.#place(path, lstatOf(path));
    for (const entry of entries) {
      const child = path === "/" ? `/${entry.name}` : `${path}/${entry.name}`;
      if (entry.name.includes("\uFFFD")) this.warnings.push(`${child} is left out: its name is not UTF-8`);
      else this.#show(child);
    }
  }

  /**
   * Makes a place one where the user can change what is theirs. What is changed is copied into the upper with all
   * directories above it, and those of owners who have no id here can't be (EOVERFLOW). So below them it gets a union of its own.
   */
  make(path: string): void {
    const outer = this.steps.findLast(({ kind, at }) => kind === "union" && path.startsWith(`${at}/`));
    if (outer === undefined || this.steps.some(({ at }) => at === path)) return;
    let isBelowOthers = false;
    for (let end = outer.at.length; end !== -1 && end < path.length;) {
      const next = path.indexOf("/", end + 1);
      const place = next === -1 ? path : path.slice(0, next);
      const stat = lstatOf(place);
      if (stat?.isDirectory() !== true) return;
      if (isEverybodys(stat)) this.#union(place);
      else if (!isNobodys(stat)) {
        if (isBelowOthers) this.#union(place);
        return;
      }
      isBelowOthers = !isEverybodys(stat);
      end = next;
    }
  }

  /** What is gone by now is passed over. */
  #union(path: string): void {
    const union = unless(["ENOENT", "ENOTDIR", "EACCES"], () => this.#unions.over(path));
    if (union !== undefined) this.steps.push({ kind: "union", at: path, union, attributes: 0, orReadOnly: true });
  }

  #show(path: string): void {
    const mount = this.#mounts.get(path);
    const isHidden = this.#places.hidden.includes(path);
    if (kernels.has(path) || isHidden || (mount !== undefined && kindOf(mount) === "pseudo"))
      this.#place(path, lstatOf(path));
    else if (this.#above.has(path)) this.split(path);
    else if (mount !== undefined) this.#showMount(path, mount);
    else this.#showEntry(path, lstatOf(path));
  }

  #showMount(path: string, mount: MountInfo): void {
    const stat = lstatOf(path);
    if (stat?.isDirectory() === true && !isListable(path)) {
      this.#showUnlistable(path, stat);
      return;
    }
    this.#place(path, stat);
    this.steps.push(stepFor(mount, this.#unions.over));
  }

  #showEntry(path: string, stat: Stats | undefined): void {
    if (stat === undefined) return;
    if (stat.isSymbolicLink()) this.skeleton.push({ kind: "link", path, target: nodeFs().readlinkSync(path) });
    else if (stat.isDirectory()) this.#showDirectory(path, stat);
    else if (stat.isFile() && stat.size <= copyLimit && isReadable(path))
      this.skeleton.push({ kind: "file", path, mode: modeOf(stat), content: "copied" });
    else this.#showAsItIs(path, stat);
  }

  #showDirectory(path: string, stat: Stats): void {
    if (!isListable(path)) {
      this.#showUnlistable(path, stat);
      return;
    }
    this.#place(path, stat);
    this.#union(path);
  }

  /** As /home may be, of mode 711: what is the user's in it is shown; where nothing is, all of it, as it is. */
  #showUnlistable(path: string, stat: Stats | undefined): void {
    const { written, hidden } = this.#places;
    const below = [...written, ...hidden].filter((own) => own.startsWith(`${path}/`));
    if (below.length === 0 || !isSearchable(path)) {
      this.#showAsItIs(path, stat);
      return;
    }
    this.#place(path, stat);
    const children = below.map((own) => own.slice(path.length + 1).split("/")[0] ?? "");
    for (const child of new Set(children)) this.#show(`${path}/${child}`);
  }

  /** What the user may not look at stays so: it is the machine's own. */
  #showAsItIs(path: string, stat: Stats | undefined): void {
    this.#place(path, stat);
    this.steps.push(shown(path, "recursive", MOUNT_ATTR.RDONLY));
  }

  /** Where something is mounted; what can't be looked at is taken for a directory. */
  #place(path: string, stat: Stats | undefined): void {
    const mode = modeOf(stat);
    if (stat === undefined || stat.isDirectory()) this.skeleton.push({ kind: "directory", path, mode });
    else this.skeleton.push({ kind: "file", path, mode, content: "empty" });
  }
}

function kernelSteps(hidden: readonly string[]): PlanStep[] {
  const { RDONLY, NOSUID, NODEV, NOEXEC } = MOUNT_ATTR;
  const kernel = NOSUID | NODEV | NOEXEC;
  return [
    shown("/proc", "recursive", kernel),
    shown("/sys", "recursive", kernel | RDONLY),
    shown("/dev", "recursive", 0),
    memoryStep("/dev/shm", "1777"),
    ...hidden.map((path) => memoryStep(path, "0700")),
  ];
}

function shown(at: string, depth: "single" | "recursive", attributes: number): PlanStep {
  return { kind: "bind", at, from: at, depth, attributes, optional: true };
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf("/")));
}

function listDirectory(path: string): Dirent[] | undefined {
  return unless(["EACCES", "ENOENT", "ENOTDIR"], () => nodeFs().readdirSync(path, { withFileTypes: true }));
}

function lstatOf(path: string): Stats | undefined {
  return unless(["EACCES", "ENOENT", "ENOTCONN", "EIO", "ESTALE"], () => nodeFs().lstatSync(path));
}

function modeOf(stat: Stats | undefined): number {
  return stat === undefined ? 0o755 : stat.mode & 0o7777;
}

/** Of an owner who has no id in the user's name spaces. */
function isNobodys({ uid }: Stats): boolean {
  return uid === 65_534;
}

/** Where everybody may put files, as in /var/tmp. */
function isEverybodys(stat: Stats): boolean {
  return isNobodys(stat) && (stat.mode & 0o1002) === 0o1002;
}

function isReadable(path: string): boolean {
  return allows(path, nodeFs().constants.R_OK);
}

/** Of what may not be listed nobody could say what has changed. */
function isListable(path: string): boolean {
  return isReadable(path) && isSearchable(path);
}

/** A union over what may not be entered would be one that may be. */
function isSearchable(path: string): boolean {
  return allows(path, nodeFs().constants.X_OK);
}

function allows(path: string, access: number): boolean {
  try {
    nodeFs().accessSync(path, access);
    return true;
  } catch (error) {
    if (isErrno(error, "EACCES", "EPERM", "ENOENT")) return false;
    throw error;
  }
}
