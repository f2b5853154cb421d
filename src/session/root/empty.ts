import { mkdirSync } from "node:fs";
import type { MadeRoot } from "../../chroot/types.ts";
import type { RootKeeper } from "./keeper.ts";

/** A directory that scripts fill; it lies among the session's layers, and goes with them. */
export const empty: RootKeeper<MadeRoot & { kind: "empty" }> = {
  make(_, { base }) {
    mkdirSync(`${base}/root`, { mode: 0o755 });
    return `${base}/root`;
  },
  restore() {
    // It is on the disk.
  },
  remove() {
    // It goes with the layers.
  },
};
