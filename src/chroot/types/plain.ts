import type { KeyReader } from "../keys.ts";
import type { ChrootBase, RootSource } from "../types.ts";
import { locateDirectory } from "./check.ts";
import { takeDirectory } from "./options.ts";

/** A root in a directory that is used as it is: its profile isn't applied (readProfile() says what is done instead). */
export interface PlainChroot extends ChrootBase {
  readonly type: "plain";
  readonly directory: string;
}

export const plain = {
  name: "plain",
  parse: (common: Omit<ChrootBase, "type">, keys: KeyReader): PlainChroot => ({
    ...common,
    type: "plain",
    directory: takeDirectory(keys),
  }),
  locate: (chroot: PlainChroot): RootSource => locateDirectory(chroot, chroot.directory),
  keys: ({ directory: path }: PlainChroot) => ({ directory: path }),
  describe: (chroot: PlainChroot): string => chroot.directory,
};
