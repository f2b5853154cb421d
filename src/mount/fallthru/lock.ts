import { UserError } from "../../error.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { tryLock } from "../../kernel/file.ts";
import type { OpenLayers } from "../../union/setup.ts";
import type { FallthruMount } from "./options.ts";

/**
 * Locks what a mount writes to: the holder keeps these open, and so locked, over all servers. A file system without locks
 * has none.
 * @throws {UserError} busy: another mount of ours writes there
 */
export function lockLayers({ upper, work }: FallthruMount, { pair }: OpenLayers): void {
  if (pair === undefined) return;
  lockOne(pair.upper, `${upper ?? ""} is the upper`);
  lockOne(pair.work, `${work ?? ""} is the work directory`);
}

/** The server of a mount that was just unmounted takes a moment to end: on a busy machine, more than a second. */
const [WAIT_MS, EACH_MS] = [3000, 5];

function lockOne(directory: Fd, what: string): void {
  for (let waitedMs = 0; waitedMs <= WAIT_MS; waitedMs += EACH_MS) {
    const isOurs = unless(["EBADF", "EINVAL", "ENOLCK", "ENOSYS", "EOPNOTSUPP"], () => tryLock(directory, "exclusive"));
    if (isOurs !== false) return;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, EACH_MS);
  }
  throw new UserError("busy", `${what} of another union that is mounted`, {
    hint: "unmount that first (findmnt -t fuse.fallthru), or take another directory",
  });
}
