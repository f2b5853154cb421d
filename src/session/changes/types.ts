import type { Fd } from "../../kernel/fd.ts";
import type { Attr } from "../../kernel/file.ts";
import type { Name } from "../../kernel/at.ts";

/** What may differ between the two sides of a path; an extended attribute by its name, `xattr:user.comment`. */
export type Aspect = "content" | "mode" | "owner" | "time" | "device" | "target" | `xattr:${string}`;

/**
 * What a session has done to one path. Paths are bytes from the session's root, without a slash in front; the root itself
 * is "". Each entry of a directory that was added or deleted is a change of its own, directories before what is in them;
 * of a directory that was renamed only what else happened in it is, below its new name.
 */
export type Change = { readonly path: Name; readonly union: number } & (
  | {
      readonly kind: "added";
      readonly after: Attr;
      /** Another name of the same inode in the session. */ readonly linkTo?: Name;
    }
  | { readonly kind: "deleted"; readonly before: Attr }
  | { readonly kind: "modified"; readonly before: Attr; readonly after: Attr; readonly aspects: readonly Aspect[] }
  /** A file, a directory, a link, … that was another kind of thing before; what a directory held is deleted, too. */
  | { readonly kind: "type"; readonly before: Attr; readonly after: Attr }
  | {
      readonly kind: "renamed";
      readonly from: Name;
      readonly before: Attr;
      readonly after: Attr;
      readonly aspects: readonly Aspect[];
    }
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
}
