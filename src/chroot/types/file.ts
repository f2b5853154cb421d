import type { KeyReader } from "../keys.ts";
import type { ChrootBase, RootSource } from "../types.ts";
import { parseAbsolutePath } from "../values.ts";
import { checkFile } from "./check.ts";
import { type SourceOptions, takeLocation, takeSource, writtenLocation } from "./options.ts";

/** A root in a tar archive, unpacked anew for each session. */
export interface FileChroot extends ChrootBase {
  readonly type: "file";
  readonly archive: string;
  /** The directory in the archive that is the root. */
  readonly location: string;
  readonly source: SourceOptions;
}

export const file = {
  name: "file",
  parse: (common: Omit<ChrootBase, "type">, keys: KeyReader): FileChroot => ({
    ...common,
    type: "file",
    archive: keys.require("file", parseAbsolutePath, ""),
    location: takeLocation(keys),
    source: takeSource(keys),
  }),
  locate(chroot: FileChroot): RootSource {
    checkFile(chroot, chroot.archive, "the archive");
    return { kind: "archive", file: chroot.archive, location: chroot.location };
  },
  keys: (chroot: FileChroot) => ({ file: chroot.archive, location: writtenLocation(chroot.location) }),
  describe: (chroot: FileChroot): string => chroot.archive,
};
