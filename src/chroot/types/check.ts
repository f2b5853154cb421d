import { UserError } from "../../error.ts";
import { S } from "../../kernel/abi/file.ts";
import { unless } from "../../kernel/error.ts";
import { type Attr, isDirectory, isRegularFile, statFollowed } from "../../kernel/file.ts";
import type { ChrootBase, RootSource } from "../types.ts";

/** @throws {UserError} not-found where there is no directory at `path` */
export function locateDirectory(chroot: ChrootBase, path: string): RootSource {
  checkDirectory(chroot, path, "the root");
  return { kind: "directory", path };
}

/** @param what the directory is of the chroot */
export function checkDirectory(chroot: ChrootBase, path: string, what: string): void {
  const found = lookAt(path);
  if (found === undefined || !isDirectory(found)) throw missing(chroot, `${path}, ${what}`, found, "a directory");
}

/** @throws {UserError} not-found where there is no block device at `path` */
export function checkDevice(chroot: ChrootBase, path: string): void {
  const found = lookAt(path);
  if (found === undefined || (found.mode & S.IFMT) !== S.IFBLK)
    throw missing(chroot, `${path}, the device`, found, "a block device");
}

/** @throws {UserError} not-found where there is no file at `path`; config where others than root could have written it */
export function checkFile(chroot: ChrootBase, path: string, what: string): void {
  const found = lookAt(path);
  if (found === undefined || !isRegularFile(found)) throw missing(chroot, `${path}, ${what}`, found, "a file");
  if (found.uid === 0 && (found.mode & 0o002) === 0) return;
  throw new UserError("config", `${path}, ${what} of the chroot ${chroot.name}, can be changed by others than root`, {
    hint: `chown root ${path} && chmod o-w ${path}`,
  });
}

function lookAt(path: string): Attr | undefined {
  return unless(["ENOENT", "ENOTDIR", "ELOOP"], () => statFollowed(path));
}

function missing(chroot: ChrootBase, what: string, found: Attr | undefined, wanted: string): UserError {
  const reason = found === undefined ? "does not exist" : `is not ${wanted}`;
  return new UserError("not-found", `${what} of the chroot ${chroot.name}, ${reason}`, {
    hint: `${chroot.file}:${chroot.line} describes it; \`fallthru chroot remove ${chroot.name}\` takes that away`,
  });
}
