import { O } from "../kernel/abi/file.ts";
import { isErrno } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { isRegularFile, isSocket, openAt, statAt } from "../kernel/file.ts";
import { cloneMount, detachOpened, makePrivate } from "../kernel/mount.ts";
import { attachInto } from "../mount/attach.ts";

/** A socket or file of the host's that is shown in a session for as long as somebody is there. */
export interface Guest {
  readonly from: string;
  readonly at: string;
}

/** What is shown goes with it. */
export class Guests implements Disposable {
  readonly #mounts: Fd[] = [];

  /**
   * Shows something in a session's tree, if it belongs to this user: whoever names it may be lying.
   * @returns whether it is there now
   */
  show(root: Fd, { from, at }: Guest, uid: number): boolean {
    try {
      using place = openAt(null, from, O.PATH | O.NOFOLLOW);
      const attr = statAt(place);
      if (attr.uid !== uid || !(isSocket(attr) || isRegularFile(attr))) return false;
      const mount = cloneMount(place, "");
      this.#mounts.push(mount);
      makePrivate(mount);
      attachInto(root, mount, at);
      return true;
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR", "EACCES", "ELOOP", "EROFS", "ENOSPC", "EDQUOT", "EISDIR")) return false;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const mount of this.#mounts) {
      detachOpened(mount);
      mount.close();
    }
  }
}
