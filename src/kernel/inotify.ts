import { O } from "./abi/file.ts";
import { IN } from "./abi/inotify.ts";
import { check, isErrno, unless } from "./error.ts";
import { Fd } from "./fd.ts";
import { readAvailable } from "./file.ts";
import { cString, quick } from "./libc.ts";

const init_ = quick("inotify_init1", "int", ["int"]);
const addWatch_ = quick("inotify_add_watch", "int", ["int", "void *", "unsigned int"]);

/** Files and directories whose changes make a descriptor readable. @see inotify(7) */
export class Watcher implements Disposable {
  readonly file = new Fd(check("inotify_init", "", init_(O.NONBLOCK | O.CLOEXEC)), "inotify");

  /** What is watched already stays so; what isn't there isn't watched. */
  watch(path: string): void {
    const mask = IN.MODIFY | IN.CLOSE_WRITE | IN.MOVED_FROM | IN.MOVED_TO | IN.CREATE | IN.DELETE | IN.DELETE_SELF;
    unless(["ENOENT", "ENOTDIR", "EACCES", "ENOSPC"], () =>
      check("watch", path, addWatch_(this.file.number, cString(path), mask)),
    );
  }

  /** Forgets what has happened up to now. */
  drain(): void {
    try {
      for (;;) if (readAvailable(this.file).length === 0) return;
    } catch (error) {
      if (!isErrno(error, "EAGAIN")) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.file.close();
  }
}
