import { O, RESOLVE } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import { openAt, openDirectory, statAt } from "../kernel/file.ts";
import { readRecord, type SessionRecord } from "./record.ts";
import { findReplaced } from "./roots.ts";

/** Where package managers of a root note what they have done. */
const packageNotes = ["/var/lib/dpkg/status", "/var/lib/rpm", "/var/lib/pacman/local", "/lib/apk/db/installed"];

/**
 * What is below a session isn't to be changed while it is open, and what comes of it is undefined: so it is told.
 * @returns when packages of the root below were last changed, in milliseconds since 1970, where that was after its beginning
 */
export function rootChangeOf({ createdMs, plan }: Pick<SessionRecord, "createdMs" | "plan">): number | undefined {
  const lower = plan.steps.find((step) => step.kind === "union")?.union.lowers.at(-1);
  using root = lower === undefined ? undefined : unless(["ENOENT", "ENOTDIR", "EACCES"], () => openDirectory(lower));
  if (root === undefined) return undefined;
  const times = packageNotes.map((path) => {
    using note = unless(["ENOENT", "ENOTDIR", "ELOOP", "EACCES"], () =>
      openAt(root, path, O.PATH, { resolve: RESOLVE.IN_ROOT }),
    );
    return note === undefined ? 0 : Number(statAt(note).mtimeNs / 1_000_000n);
  });
  const latest = Math.max(...times);
  return latest > createdMs ? latest : undefined;
}

/**
 * For who stays in a session: asks whether packages below it were changed, or whether an update has put another root in the
 * place of the one that it lies over and keeps.
 */
export function rootWatchOf(id: string): () => "changed" | "replaced" | undefined {
  const record = readRecord(id);
  return () => {
    if (record === undefined) return undefined;
    if (Object.values(record.roots ?? {}).some((identity) => findReplaced(identity) !== undefined)) return "replaced";
    return rootChangeOf(record) === undefined ? undefined : "changed";
  };
}
