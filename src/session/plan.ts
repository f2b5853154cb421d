import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import { openAt } from "../kernel/file.ts";
import { planHost } from "../mount/host.ts";
import { splitOptions } from "../mount/mountinfo.ts";
import { describeStep, type MountPlan, type PlanStep, type Union } from "../mount/plan.ts";
import type { RootFiles } from "./rootfiles.ts";
import { findSource, type Source } from "./source.ts";
import { chooseUpper } from "./layers.ts";
import type { Bind, SessionOptions, UnionChoice } from "./types.ts";

/** Makes the layers of one union: for real in begin, as mere names for --dry-run. */
export type MakeUnion = (lowers: readonly string[]) => Union;

/** Everything that a session consists of, before anything is mounted. */
export interface SessionPlan {
  readonly mounts: MountPlan;
  readonly files: RootFiles;
  /** What isn't in it, a line each. */
  readonly warnings: readonly string[];
}

/** The mounts and files of a session on `source`. */
export function makePlan(source: Source, options: SessionOptions, makeUnion: MakeUnion): SessionPlan {
  const extra = options.lowers ?? [];
  for (const lower of extra) requireDirectory(lower);
  const binds = (options.binds ?? []).map(bindStep);
  switch (source.kind) {
    case "host": {
      const { steps, warnings } = planHost((lower) => makeUnion(lower === "/" ? [...extra, lower] : [lower]));
      return { mounts: { steps: [...steps, ...binds] }, files: { copies: [], databases: [] }, warnings };
    }
    case "chroot": {
      const lowers = [...extra, ...source.chroot.lowers, source.root];
      const first: PlanStep =
        options.layering === "none"
          ? { kind: "bind", at: "/", from: source.root, depth: "single", attributes: 0 }
          : { kind: "union", at: "/", union: makeUnion(lowers), attributes: 0 };
      const profile = source.profile;
      const files = { copies: profile.copyFiles, databases: profile.nssDatabases };
      return {
        mounts: { steps: [first, ...profile.fstab.map(fstabStep), ...binds] },
        files: options.withoutHostFiles === true ? { copies: [], databases: [] } : files,
        warnings: [],
      };
    }
  }
}

/** Whose unions are wanted: by the caller, else by the chroot's description. */
export function unionOf(source: Source, options: SessionOptions): UnionChoice {
  if (options.union !== undefined) return options.union;
  const described =
    source.kind === "chroot" && source.chroot.type === "directory" ? source.chroot.union.type : "overlay";
  return described === "fallthru" || described === "auto" ? described : "overlay";
}

/** What `--dry-run` prints: the steps in order, nothing made. */
export function planSession(sourceName: string, options: SessionOptions): { describe: string }[] {
  let count = 0;
  const source = findSource(sourceName);
  const { type } = chooseUpper(options.upper, unionOf(source, options));
  const plan = makePlan(source, options, (lowers) => {
    const base = `<layers>/${count++}`;
    return { type, lowers, upper: `${base}/upper`, work: `${base}/work`, volatile: false };
  });
  const files = [
    ...plan.files.copies.map(({ from, to }) => `copy ${from} to ${to}`),
    ...plan.files.databases.map(({ name, mode }) => `${mode} the host's ${name} database`),
  ];
  return [...plan.mounts.steps.map(describeStep), ...files].map((describe) => ({ describe }));
}

/** One line of a profile's fstab(5). */
function fstabStep(line: SourceFstabLine): PlanStep {
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

type SourceFstabLine = Extract<Source, { kind: "chroot" }>["profile"]["fstab"][number];

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
