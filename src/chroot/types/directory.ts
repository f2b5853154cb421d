import { statSync } from "node:fs";
import { UserError } from "../../error.ts";
import { unless } from "../../kernel/error.ts";
import type { KeyReader } from "../keys.ts";
import type { ChrootBase, RootSource } from "../types.ts";
import { type SourceOptions, takeDirectory, takeSource, takeUnion, type UnionOptions } from "./options.ts";

/** A root in a directory, set up by its profile. */
export interface DirectoryChroot extends ChrootBase {
  readonly type: "directory";
  readonly directory: string;
  readonly union: UnionOptions;
  readonly source: SourceOptions;
}

export const directory = {
  name: "directory",
  parse(common: Omit<ChrootBase, "type">, keys: KeyReader): DirectoryChroot {
    return {
      ...common,
      type: "directory",
      directory: takeDirectory(keys),
      union: takeUnion(keys),
      source: takeSource(keys),
    };
  },
  locate: (chroot: DirectoryChroot): RootSource => locateDirectory(chroot, chroot.directory),
  keys: ({ directory: path }: DirectoryChroot) => ({ directory: path }),
};

/** @throws {UserError} not-found where there is no directory at `path` */
export function locateDirectory(chroot: ChrootBase, path: string): RootSource {
  checkDirectory(chroot, path, "the root");
  return { kind: "directory", path };
}

/** @param what the directory is of the chroot */
export function checkDirectory(chroot: ChrootBase, path: string, what: string): void {
  const found = unless(["ENOENT", "ENOTDIR", "ELOOP"], () => statSync(path));
  if (found?.isDirectory() === true) return;
  const reason = found === undefined ? "does not exist" : "is not a directory";
  throw new UserError("not-found", `${path}, ${what} of the chroot ${chroot.name}, ${reason}`, {
    hint: `${chroot.file}:${chroot.line} describes it; \`fallthru chroot remove ${chroot.name}\` takes that away`,
  });
}
