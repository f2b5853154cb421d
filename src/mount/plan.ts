import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import type { FallthruMount } from "./fallthru/options.ts";

/** Whose union: the kernel's overlayfs, or ours in user space, for where overlayfs can't go or misbehaves. */
export type UnionType = "overlay" | "fallthru";

/** One union: its layers, from the top. Paths are the host's. */
export interface Union {
  readonly type: UnionType;
  readonly lowers: readonly string[];
  /** So many of the lowers, from the top, are what the session itself had changed before it was forked. */
  readonly frozen?: number;
  readonly upper: string;
  readonly work: string;
  /** No sync at unmount, and no remount after a crash of the machine: for what is thrown away anyway. */
  readonly volatile: boolean;
  /** What the upper of ours is written in; without it whatever its file system can hold. */
  readonly dialect?: "aufs";
  /** Further mount options for overlayfs. */
  readonly options?: readonly string[];
  /** Further ways of ours. */
  readonly ours?: Pick<
    FallthruMount,
    "metacopy" | "index" | "redirects" | "marks" | "dialect" | "lowerDialect" | "passthrough"
  >;
}

/**
 * The lowers of a session's union: its own, which are changes of the session's as its upper is (`fork` has frozen them,
 * and another session may have them too), and those that were there before it.
 */
export function splitLowers({ lowers, frozen = 0 }: Pick<Union, "lowers" | "frozen">): {
  readonly own: readonly string[];
  readonly base: readonly string[];
} {
  return { own: lowers.slice(0, frozen), base: lowers.slice(frozen) };
}

/** What a lower consists of that is made for a session: names to mount things on. Directories come before what is in them. */
export type Skeleton = readonly SkeletonEntry[];
export type SkeletonEntry =
  | { readonly kind: "directory"; readonly path: string; readonly mode: number }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  /** Copied: as the host's file at this path is. */
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly content: "empty" | "copied" };

/** What one step puts at the path `at` of the new tree. Attributes are MOUNT_ATTR flags. */
export type PlanStep =
  | {
      readonly kind: "union";
      readonly at: string;
      readonly union: Union;
      readonly attributes: number;
      /** Where the kernel refuses the lower as a layer it is shown as it is, read-only, with a warning. */
      readonly orReadOnly?: boolean;
    }
  | {
      readonly kind: "bind";
      readonly at: string;
      readonly from: string;
      readonly depth: "single" | "recursive";
      readonly attributes: number;
      /** What can't be had is left out, with a warning: the host's own odd mounts. */
      readonly optional?: boolean;
      /** Passed over where the host has nothing to show, or the tree no directory for it. */
      readonly ifThere?: boolean;
      /** What the host mounts and unmounts below it later is seen, too. */
      readonly follows?: boolean;
    }
  | {
      readonly kind: "filesystem";
      readonly at: string;
      readonly type: string;
      readonly source: string;
      readonly options: readonly string[];
      readonly attributes: number;
    }
  | { readonly kind: "copy"; readonly at: string; readonly from: string };

export type UnionStep = PlanStep & { readonly kind: "union" };

/**
 * A session's mount tree as data: the first step is its root, the others follow in order. It is written into the
 * session's record, printed by --dry-run, and executed by attach.ts. Each step is undone by closing or detaching the
 * root, which takes everything below along.
 */
export interface MountPlan {
  readonly steps: readonly PlanStep[];
  /** Files are written when so many steps are done: none of those may be one through which the host's own are reached. */
  readonly filesAfter?: number;
}

/** A step in words, as --dry-run and `info` print it. */
export function describeStep(step: PlanStep): string {
  switch (step.kind) {
    case "union": {
      const lowers = step.union.lowers.length > 3 ? `${step.union.lowers.length} lowers` : step.union.lowers.join(":");
      const flags = [...attributeNames(step.attributes), ...(step.union.volatile ? ["volatile"] : [])];
      return `mount ${step.union.type} on ${step.at}: lower ${lowers}, upper ${step.union.upper}${list(flags)}`;
    }
    case "bind":
      return `${step.depth === "recursive" ? "rbind" : "bind"} ${step.from} on ${step.at}${list(attributeNames(step.attributes))}`;
    case "filesystem":
      return `mount ${step.type} on ${step.at}${list([...attributeNames(step.attributes), ...step.options])}`;
    case "copy":
      return `copy ${step.from} to ${step.at}`;
  }
}

function list(words: readonly string[]): string {
  return words.length === 0 ? "" : ` (${words.join(", ")})`;
}

function attributeNames(attributes: number): string[] {
  const names: string[] = [];
  if (attributes & MOUNT_ATTR.RDONLY) names.push("ro");
  if (attributes & MOUNT_ATTR.NOSUID) names.push("nosuid");
  if (attributes & MOUNT_ATTR.NODEV) names.push("nodev");
  if (attributes & MOUNT_ATTR.NOEXEC) names.push("noexec");
  return names;
}
