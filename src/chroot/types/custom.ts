import type { KeyReader } from "../keys.ts";
import type { ChrootBase, RootSource } from "../types.ts";
import { parseBoolean } from "../values.ts";
import { type SourceOptions, takeSource } from "./options.ts";

/** A root that an administrator's own scripts make: its session begins with an empty directory. */
export interface CustomChroot extends ChrootBase {
  readonly type: "custom";
  readonly sessionCloneable: boolean;
  readonly sessionPurgeable: boolean;
  readonly sourceCloneable: boolean;
  readonly source: SourceOptions;
}

export const custom = {
  name: "custom",
  parse: (common: Omit<ChrootBase, "type">, keys: KeyReader): CustomChroot => ({
    ...common,
    type: "custom",
    sessionCloneable: keys.take("custom-session-cloneable", parseBoolean, true),
    sessionPurgeable: keys.take("custom-session-purgeable", parseBoolean, false),
    sourceCloneable: keys.take("custom-source-cloneable", parseBoolean, false),
    source: takeSource(keys),
  }),
  locate: (): RootSource => ({ kind: "empty" }),
  keys: (chroot: CustomChroot) => ({ "custom-session-purgeable": String(chroot.sessionPurgeable) }),
  describe: (chroot: CustomChroot): string => `scripts in setup.d, for ${chroot.name}`,
};
