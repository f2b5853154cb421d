import { O } from "../kernel/abi/file.ts";
import { isErrno, unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import {
  changeModeAt,
  lock,
  openAt,
  openDirectory,
  renameNoReplaceAt,
  sync,
  unlinkAt,
  writeAll,
} from "../kernel/file.ts";
import { nodeFs } from "../kernel/trusted.ts";

/** Neither schroot nor we read names that begin with a dot. */
const temporaryName = ".fallthru.new";

/** Opens a configuration directory, made where it is missing, locked against other writers of ours. */
export function openForWriting(directory: string): Fd {
  nodeFs().mkdirSync(directory, { recursive: true, mode: 0o755 });
  const dir = openDirectory(directory);
  try {
    lock(dir, "exclusive");
    return dir;
  } catch (error) {
    dir.close();
    throw error;
  }
}

/**
 * Makes a file of mode 0644, whole and durable or not at all.
 * @returns false where there is one of this name already
 */
export function writeNewFile(directory: string, name: string, text: string): boolean {
  using dir = openForWriting(directory);
  return writeNewFileAt(dir, name, text);
}

/** As writeNewFile(), in a directory that openForWriting() opened. */
export function writeNewFileAt(dir: Fd, name: string, text: string): boolean {
  unless(["ENOENT"], () => unlinkAt(dir, temporaryName)); // a killed writer's; the lock keeps living ones away
  try {
    using file = openAt(dir, temporaryName, O.WRONLY | O.CREAT | O.EXCL, { mode: 0o600 });
    writeAll(file, Buffer.from(text));
    changeModeAt(dir, temporaryName, 0o644);
    sync(file);
    renameNoReplaceAt(dir, temporaryName, dir, name);
    sync(dir);
    return true;
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
    return false;
  } finally {
    unless(["ENOENT"], () => unlinkAt(dir, temporaryName));
  }
}

/** Removes a file for good. */
export function removeFileAt(dir: Fd, name: string): void {
  unlinkAt(dir, name);
  sync(dir);
}
