import { UserError } from "../../error.ts";
import { E } from "../../kernel/abi/errno.ts";
import { O, S } from "../../kernel/abi/file.ts";
import { closeFd, fail, must, type Name, openName, stat, statName, utimesName } from "../../kernel/at.ts";
import { quotePath } from "../../layer/quote.ts";
import type { Tree } from "./tree.ts";

/**
 * Has a session's union copy contents up that are still below: what a file of the upper without its content is based on may
 * be replaced, and is then no base any more.
 */
export function settleContents(after: Tree, paths: readonly Name[]): void {
  for (const path of paths) {
    const entry = after.find(path);
    if (entry === undefined || statName(entry.fd, entry.name) < 0 || stat.type !== S.IFREG) continue;
    const atime = { seconds: stat.atime, nsec: stat.atimeNsec };
    const mtime = { seconds: stat.mtime, nsec: stat.mtimeNsec };
    const fd = openName(entry.fd, entry.name, O.WRONLY | O.NOFOLLOW | O.NONBLOCK);
    if (fd === -E.TXTBSY)
      throw new UserError("busy", `/${quotePath(path)} is running in the session`, { hint: "nothing was changed" });
    if (fd === -E.NOENT) continue;
    if (fd < 0) fail("open", path, fd);
    try {
      // The kernel's copying sets it, though nothing was written.
      must("stat", path, statName(entry.fd, entry.name));
      if (stat.mtime !== mtime.seconds || stat.mtimeNsec !== mtime.nsec)
        must("utimes", path, utimesName(fd, "", atime, mtime));
    } finally {
      closeFd(fd);
    }
  }
}
