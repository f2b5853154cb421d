import { UserError } from "../../error.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { tryLock } from "../../kernel/file.ts";
import { openLayerRoot } from "../../layer/layer.ts";
import type { FallthruMount } from "./options.ts";

/** Open files whose locks say that the layers are in use; they last as long as somebody has these open. */
export interface LayerLocks extends Disposable {
  readonly fds: readonly Fd[];
}

/**
 * Locks what a mount writes to: the holder keeps that, over all servers. A file system without locks has none.
 * @throws {UserError} busy: another mount of ours writes there
 */
export function lockLayers({ upper, work, readOnly }: FallthruMount): LayerLocks {
  const fds: Fd[] = [];
  const locks = {
    fds,
    [Symbol.dispose]: () => {
      for (const fd of fds) fd.close();
    },
  };
  if (readOnly || upper === undefined || work === undefined) return locks;
  using undo = new DisposableStack();
  undo.use(locks);
  for (const [path, role] of [
    [upper, "upper"],
    [work, "work directory"],
  ] as const) {
    const directory = openLayerRoot(path, "noatime");
    fds.push(directory);
    const isOurs = unless(["EBADF", "EINVAL", "ENOLCK", "ENOSYS", "EOPNOTSUPP"], () => tryLock(directory, "exclusive"));
    if (isOurs === false) {
      throw new UserError("busy", `${path} is the ${role} of another union that is mounted`, {
        hint: "unmount that first (findmnt -t fuse.fallthru), or take another directory",
      });
    }
  }
  undo.move();
  return locks;
}
