import type { KeyReader } from "../keys.ts";
import type { ChrootBase, RootSource } from "../types.ts";
import { locateDirectory } from "./check.ts";
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
  describe: (chroot: DirectoryChroot): string => chroot.directory,
};
