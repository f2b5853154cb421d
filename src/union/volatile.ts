import { E } from "../kernel/abi/errno.ts";
import { AT, O } from "../kernel/abi/file.ts";
import { closeFd, fail, mkdirName, must, type Name, openName, rmdirName } from "../kernel/at.ts";
import { listDirectory, readAt, syncFileSystemOf } from "../kernel/io.ts";
import { UserError } from "../error.ts";
import { openDirectoryName, type LayerDirectory } from "../layer/directory.ts";
import type { Layer } from "../layer/layer.ts";
import { incompatible } from "./work.ts";

const mark: Name = `${incompatible}/volatile`;

/**
 * An upper that was written to without being synced has overlayfs's mark, `work/incompat/volatile`: after a loss of power
 * files of it may be empty, so overlayfs never mounts it again. Ours says there in which run of the machine that was;
 * as long as that lasts nothing is lost.
 * @throws {UserError} the machine may have lost some of it
 */
export function checkDurability(upper: Layer, work: LayerDirectory, isVolatile: boolean): void {
  const boot = bootId();
  const boots = namesIn(work);
  if (boots !== undefined && (boot === "" || !boots.every((name) => name === boot) || boots.length === 0)) {
    throw new UserError("data", `${upper.path} was written to by a volatile mount, and may be incomplete`, {
      hint: `begin anew with an empty upper; or, if the machine hasn't crashed since, remove incompat/volatile from work in its work directory`,
    });
  }
  if (isVolatile) {
    for (const name of [incompatible, mark, ...(boot === "" ? [] : [`${mark}/${boot}`])]) make(work, name);
  } else if (boots !== undefined) {
    must("sync", upper.path, syncFileSystemOf(upper.rootDir.fd));
    for (const name of [`${mark}/${boot}`, mark, incompatible]) rmdirName(work.fd, name);
  }
}

/** Those of the mark; undefined: there is none. */
function namesIn(work: LayerDirectory): Name[] | undefined {
  const fd = openDirectoryName(work.fd, mark);
  if (fd === -E.NOENT) return undefined;
  must("open", mark, fd);
  try {
    const names: Name[] = [];
    const result = listDirectory(fd, (name) => {
      if (name !== "." && name !== "..") names.push(name);
    });
    if (result < 0) fail("readdir", mark, result);
    return names;
  } finally {
    closeFd(fd);
  }
}

function make(work: LayerDirectory, name: Name): void {
  const result = mkdirName(work.fd, name, 0o700);
  if (result < 0 && result !== -E.EXIST) fail("mkdir", name, result);
}

/** Of this run of the machine; empty where /proc doesn't say. */
function bootId(): Name {
  const fd = openName(AT.FDCWD, "/proc/sys/kernel/random/boot_id", O.RDONLY);
  if (fd < 0) return "";
  const text = Buffer.alloc(64);
  const length = readAt(fd, text, 0);
  closeFd(fd);
  return text.toString("latin1", 0, Math.max(0, length)).trim();
}
