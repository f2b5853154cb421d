import { O, RESOLVE } from "../kernel/abi/file.ts";
import { must } from "../kernel/at.ts";
import { unless } from "../kernel/error.ts";
import { openAt, openDirectory, statAt } from "../kernel/file.ts";
import { syncFileSystemOf } from "../kernel/io.ts";
import { mountPointOf } from "./paths.ts";
import type { SessionRecord } from "./record.ts";

/**
 * Before a session's uppers are read: what programs have written through mappings is still in the pages of a union of ours,
 * whose server hears of it when they are written back. overlayfs has one set of pages with its upper.
 */
export function flushUnions({ id, plan }: Pick<SessionRecord, "id" | "plan">): void {
  const steps = plan.steps.filter((step) => step.kind === "union" && step.union.type === "fallthru");
  if (steps.length === 0) return;
  using root = unless(["ENOENT", "ENOTCONN", "ECONNABORTED"], () => openDirectory(mountPointOf(id)));
  if (root === undefined) return;
  for (const { at } of steps) {
    using union = openAt(root, at, O.RDONLY | O.DIRECTORY, { resolve: RESOLVE.IN_ROOT });
    must("sync", at, syncFileSystemOf(union.number));
    // Linux sends what is to be written to a FUSE server, and doesn't wait for it (6.18: wait_sb_inodes()). The server takes one
    // request after the other: what is asked behind a dozen writes, as many as wait for it at a time, is answered after them.
    for (let answers = 0; answers < 64; answers++) statAt(union, "", "fresh");
  }
}
