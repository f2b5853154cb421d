import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import type { MadeRoot, RootSource, UpdateTarget } from "../chroot/types.ts";
import type { UnionOptions } from "../chroot/types/options.ts";
import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import { openAt } from "../kernel/file.ts";
import { nodeFs } from "../kernel/trusted.ts";
import { splitOptions } from "../mount/mountinfo.ts";
import { describeStep, type MountPlan, type PlanStep, type Skeleton, type Union } from "../mount/plan.ts";
import { extraSteps, withoutSuid } from "./extra.ts";
import type { RootFiles } from "./rootfiles.ts";
import { findSource, type Source } from "./source.ts";
import { chooseUpper } from "./layers.ts";
import type { Bind, SessionOptions, UnionChoice } from "./types.ts";
import type { PlanView } from "./view.ts";

/** Makes the layers of one union: for real in begin, as mere names for --dry-run. */
export type MakeUnion = (lowers: readonly string[], skeleton?: Skeleton) => Union;

/** Everything that a session consists of, before anything is mounted. */
export interface SessionPlan {
  readonly mounts: MountPlan;
  readonly files: RootFiles;
  /** What isn't in it, a line each. */
  readonly warnings: readonly string[];
}

/** Where a session's own things are, as far as the plan has to know them. */
export interface PlanPlaces {
  readonly makeUnion: MakeUnion;
  /** The tree of the chroot's root, where it is or where it was made. */
  readonly root: string;
  /** What planViewFor() gives. */
  readonly planView: PlanView | undefined;
  /** Changes the chroot's union as its union-mount-options say. */
  readonly adjust?: (union: Union) => Adjusted;
}

/** A union as it is to be mounted, and MOUNT_ATTR flags. */
export interface Adjusted {
  readonly union: Union;
  readonly attributes: number;
}

/** Loads what a view of the host needs: sessions on chroots do without. */
export async function planViewFor(source: Source): Promise<PlanView | undefined> {
  return source.kind === "host" ? (await import("./view.ts")).planView : undefined;
}

/** The mounts and files of a session on `source`. */
export function makePlan(source: Source, options: SessionOptions, places: PlanPlaces): SessionPlan {
  const plan = sourcePlan(source, options, places);
  const extra = extraSteps(options.mounts ?? [], places.makeUnion);
  const steps = [...plan.mounts.steps, ...extra];
  return {
    ...plan,
    mounts: { ...plan.mounts, steps: options.noSuid === true ? withoutSuid(steps) : steps },
    files: options.files === undefined ? plan.files : { ...plan.files, extra: options.files },
  };
}

function sourcePlan(source: Source, options: SessionOptions, places: PlanPlaces): SessionPlan {
  const { makeUnion } = places;
  const extra = options.lowers ?? [];
  for (const lower of extra) requireDirectory(lower);
  const binds = (options.binds ?? []).map(bindStep);
  switch (source.kind) {
    case "host": {
      if (places.planView === undefined) throw new Error("nothing is loaded for a view of the host");
      const { steps, warnings } = places.planView(makeUnion, extra, options.without);
      // Its /etc may be a mount of its own.
      const mounts = { steps: [...steps, ...binds], filesAfter: steps.length };
      return { mounts, files: noFiles, warnings };
    }
    case "chroot": {
      const { chroot, profile, warnings } = source;
      const mounts = { steps: [rootStep(source, options, places), ...profile.fstab.map(fstabStep), ...binds] };
      if (options.source === true) return { mounts: withHostFiles(mounts, profile), files: noFiles, warnings };
      const name = source.scripts?.native.includes("chrootname") === true ? { name: chroot.name } : {};
      return { mounts, files: { copies: profile.copyFiles, databases: profile.nssDatabases, ...name }, warnings };
    }
  }
}

const noFiles: RootFiles = { copies: [], databases: [] };

/** The session's root: a union over the chroot's, or that itself. */
function rootStep(source: ChrootSource, options: SessionOptions, { makeUnion, root, adjust }: PlanPlaces): PlanStep {
  const { chroot } = source;
  if (unionOf(source, options) === "none") {
    // As schroot has it: what the administrator has mounted in a plain chroot is part of it.
    const depth = chroot.type === "plain" ? "recursive" : "single";
    return { kind: "bind", at: "/", from: root, depth, attributes: 0 };
  }
  const union = makeUnion([...(options.lowers ?? []), ...chroot.lowers, root]);
  return { kind: "union", at: "/", attributes: 0, ...(adjust === undefined ? { union } : adjust(union)) };
}

/**
 * In a session on the chroot itself the host's resolv.conf and the like are shown, not copied: apt works, and nothing of
 * this machine stays behind.
 */
function withHostFiles({ steps }: MountPlan, profile: ChrootSource["profile"]): MountPlan {
  const shown = profile.copyFiles.map(({ from, to }): PlanStep => {
    return { kind: "bind", at: to, from, depth: "single", attributes: MOUNT_ATTR.RDONLY, ifThere: true };
  });
  return { steps: [...steps, ...shown] };
}

/** Whose unions are wanted: by the caller, else by the chroot's description. */
export function unionOf(source: Source, options: SessionOptions): UnionChoice {
  if (source.kind === "host") return options.union ?? "overlay";
  if (options.source === true) return "none";
  if (options.union !== undefined) return options.union;
  const described = unionOptionsOf(source)?.type;
  if (described === "fallthru" || described === "auto") return described;
  // Their kernels are gone; ours reads and writes their layers.
  if (isAufs(described)) return "fallthru";
  const isOwn = ["archive", "btrfs", "lvm", "zfs", "empty"].includes(source.root.kind);
  const hasLowers = (options.lowers ?? []).length + source.chroot.lowers.length > 0;
  return isOwn && !hasLowers ? "none" : "overlay";
}

/** What the upper of a union of ours is to be written in. */
export function dialectOf(source: Source): Pick<Union, "dialect"> {
  return isAufs(unionOptionsOf(source)?.type) ? { dialect: "aufs" } : {};
}

function isAufs(type: string | undefined): boolean {
  return type === "aufs" || type === "unionfs";
}

/** The keys of the chroot's union; undefined for types that know none, and where they say that there is none. */
export function unionOptionsOf(source: Source): UnionOptions | undefined {
  if (source.kind === "host" || !("union" in source.chroot)) return undefined;
  return source.chroot.union.type === "none" ? undefined : source.chroot.union;
}

/** What `--dry-run` prints: the steps in order, nothing made. */
export async function planSession(sourceName: string, options: SessionOptions): Promise<{ describe: string }[]> {
  let count = 0;
  const source = await findSource(sourceName);
  const { type } = chooseUpper(options.upper, unionOf(source, options));
  const root = source.kind === "host" ? undefined : sourceRoot(source, options);
  const makeUnion: MakeUnion = (wanted, skeleton) => {
    const base = `<layers>/${count++}`;
    const lowers = skeleton === undefined ? wanted : [...wanted, `${base}/skeleton`];
    return { type, lowers, upper: `${base}/upper`, work: `${base}/work`, volatile: false, ...dialectOf(source) };
  };
  const planView = await planViewFor(source);
  const rootPath = root?.kind === "directory" ? root.path : "<root>";
  const plan = makePlan(source, options, { makeUnion, root: rootPath, planView });
  const made = root === undefined || root.kind === "directory" ? [] : [describeMade(root)];
  const files = [
    ...plan.files.copies.map(({ from, to }) => `copy ${from} to ${to}`),
    ...plan.files.databases.map(({ name, mode }) => `${mode} the host's ${name} database`),
  ];
  return [...made, ...plan.mounts.steps.map(describeStep), ...files].map((describe) => ({ describe }));
}

/** What a session is made of: on the chroot itself some kinds need no snapshot. */
export function sourceRoot({ chroot, root }: ChrootSource, { source, update }: SessionOptions): RootSource {
  if (source !== true) return root;
  if (update === true && root.kind !== "archive") return { kind: "update", chroot: chroot.name, of: targetOf(root) };
  if (root.kind === "btrfs") return { kind: "directory", path: root.subvolume };
  if (root.kind === "lvm") return { kind: "device", device: root.device, mount: root.mount };
  return root;
}

/** @throws {UserError} unsupported, for what can't be copied and exchanged */
function targetOf(root: RootSource): UpdateTarget {
  switch (root.kind) {
    case "directory":
      return { kind: "directory", path: nodeFs().realpathSync(root.path) };
    case "btrfs":
      return { kind: "subvolume", path: nodeFs().realpathSync(root.subvolume) };
    case "image":
      return { kind: "image", path: nodeFs().realpathSync(root.file), mount: root.mount };
    default:
      throw new UserError("unsupported", "a chroot of this type can't be updated in a copy", {
        hint: "change it directly: fallthru run source:NAME -- COMMAND",
      });
  }
}

function describeMade(root: MadeRoot): string {
  switch (root.kind) {
    case "archive":
      return `unpack ${root.file} as <root>`;
    case "image":
      return `mount ${root.file} on a loop device as <root>`;
    case "device":
      return `mount ${root.device} as <root>`;
    case "btrfs":
      return `snapshot ${root.subvolume} in ${root.snapshots} as <root>`;
    case "lvm":
      return `snapshot the volume ${root.device}, mount it as <root>`;
    case "zfs":
      return `clone the dataset ${root.dataset}, mount it as <root>`;
    case "update":
      return `copy ${root.of.path} as <root>`;
    case "empty":
      return "make an empty directory <root>";
  }
}

/** One line of a profile's fstab(5). */
export function fstabStep(line: SourceFstabLine): PlanStep {
  const { attributes, rest } = splitOptions(line.options);
  const at = line.target;
  const isBind = rest.includes("bind") || rest.includes("rbind");
  if (isBind) {
    const depth = rest.includes("rbind") ? "recursive" : "single";
    return {
      kind: "bind",
      at,
      from: line.source,
      depth,
      attributes,
      ...(rest.includes("nofail") ? { optional: true } : {}),
    };
  }
  const ignored = new Set([
    "defaults",
    "rw",
    "relatime",
    "auto",
    "noauto",
    "nofail",
    "exec",
    "suid",
    "dev",
    "atime",
    "user",
    "nouser",
  ]);
  const options = rest.filter((option) => !ignored.has(option) && !option.startsWith("x-"));
  return { kind: "filesystem", at, type: line.type, source: line.source, options, attributes };
}

type ChrootSource = Extract<Source, { kind: "chroot" }>;
type SourceFstabLine = ChrootSource["profile"]["fstab"][number];

function bindStep(bind: Bind): PlanStep {
  const opened = unless(["ENOENT", "ENOTDIR"], () => openAt(null, bind.from, O.PATH));
  if (opened === undefined)
    throw new UserError("not-found", `nothing at ${bind.from} to bind`, { hint: "--bind HOST[:INSIDE[:ro]]" });
  opened.close();
  return {
    kind: "bind",
    at: bind.to,
    from: bind.from,
    depth: "recursive",
    attributes: bind.readOnly ? MOUNT_ATTR.RDONLY : 0,
  };
}

function requireDirectory(path: string): void {
  const opened = unless(["ENOENT", "ENOTDIR"], () => openAt(null, path, O.PATH | O.DIRECTORY));
  if (opened === undefined) throw new UserError("not-found", `no directory ${path} to use as a lower layer`);
  opened.close();
}
