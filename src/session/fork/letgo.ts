import type { Fd } from "../../kernel/fd.ts";
import { lock, openDirectory } from "../../kernel/file.ts";
import { makePipe } from "../../kernel/self.ts";

/** Waits until nobody has the other end of its standard error, and only then lets go of its standard input. */
const waiter = ["/bin/sh", ["-c", "read -r _ <&2; exec 0<&-"]] as const;

/**
 * Lets go of the mount that a session had before it was forked, and returns at once. An overlay's last user waits until all that
 * is dirty on its upper's file system is on the disk: a process of its own does, which anybody may kill. While it does it has a
 * lock on what was frozen: whoever deletes that waits for it, and the file system may be unmounted then.
 */
export function letGoBehind(mount: Fd, frozen: string): void {
  const { spawn } = process.getBuiltinModule("node:child_process");
  using layers = openDirectory(frozen);
  lock(layers, "shared");
  const [reading, writing] = makePipe();
  using end = reading;
  using _ = writing;
  const [file, args] = waiter;
  const child = spawn(file, args, {
    stdio: [mount.number, layers.number, end.number],
    cwd: "/",
    env: {},
    detached: true,
  });
  child.on("error", () => {});
  child.unref();
  mount.close();
}
