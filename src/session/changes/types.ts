import type { Name } from "../../kernel/at.ts";
import type { Fd } from "../../kernel/fd.ts";
import type { Attr } from "../../kernel/file.ts";
import type { Dialect } from "../../layer/dialect/dialect.ts";
import type { Union } from "../../mount/plan.ts";

/**
 * What may differ between the two sides of a path; an extended attribute by its name, `xattr:user.comment`; "links": it
 * is one inode with other names than before, see `linkTo`.
 */
export type Aspect = "content" | "mode" | "owner" | "time" | "device" | "target" | "links" | `xattr:${string}`;

/**
 * How much is asked of changes: "kinds": which there are. Of what was modified or renamed `aspects` then has some of them, or
 * none, and of what was modified `before` may be as it is now.
 */
export type Detail = "all" | "kinds";

interface Changed {
  readonly path: Name;
  /** Which of the session's unions it is in. */
  readonly union: number;
}

/** What is in the session now. */
interface There {
  /** As the upper has it: `ino`, `dev` and `nlink` are the upper file's own. */
  readonly after: Attr;
  /**
   * Another name of the same inode in the session: of an unchanged file, or of a change that comes before this one in
   * the list. Without it, the file is an inode of its own, or the first of the names of one.
   */
  readonly linkTo?: Name;
}

/** What is below the upper. */
interface Was {
  readonly before: Attr;
  /** Where it is in `before`, where that isn't `path`: a directory above was renamed. */
  readonly was?: Name;
}

/**
 * What a session has done to one path. Paths are bytes from the union's root, without a slash in front; the root itself
 * is "". Each entry of a directory that was added or deleted is a change of its own, directories before what is in them;
 * of a directory that was renamed only what else happened in it is, below its new name. No path is there twice. A path that
 * something was renamed from may have been taken anew, by an added or another renamed one (two may have changed places);
 * one that something was renamed to was free below, or something was renamed from it.
 */
export type Change = Changed &
  (
    | ({ readonly kind: "added" } & There)
    | ({ readonly kind: "deleted" } & Was)
    | ({ readonly kind: "modified"; readonly aspects: readonly Aspect[] } & Was & There)
    /** A file, a directory, a link, … that was another kind of thing before; what a directory held is deleted, too. */
    | ({ readonly kind: "type" } & Was & There)
    | ({ readonly kind: "renamed"; readonly from: Name; readonly aspects: readonly Aspect[] } & Was & There)
  );

/** The two sides of one union of a session, to be read: neither has anything mounted below. */
export interface UnionTrees extends Disposable {
  /** Where it is in the session, an absolute path; the entry of a `Change` is at its `path` from there. */
  readonly at: string;
  /**
   * What is below all that the session has changed, merged: splitLowers(union).base. What `fork` has frozen
   * (splitLowers(union).own) lies between that and the upper, and belongs to the changes.
   */
  readonly before: Fd;
  /** What the session sees. */
  readonly after: Fd;
  /** The host's directory that a commit changes: the chroot's own, or the host's at `at`. */
  readonly target: string;
  readonly union: Union;
  /** The upper itself, and how it is written. */
  readonly upper: Fd;
  readonly dialect: Dialect;
  /** Those of the session's own layers that forks have frozen, from the top: written as the upper is. */
  readonly frozen: readonly Fd[];
  /** What `before` is made of, from the top. */
  readonly lowers: readonly Fd[];
  /** What `begin` has written and nobody has changed since, by path: when its inode was changed, in nanoseconds. */
  readonly begun: Readonly<Record<Name, string>>;
  /** Whether `before` is the one lower itself, with its private attributes. */
  readonly isBeforeRaw: boolean;
}
