import type { UnionAttr } from "./attr.ts";

/** What a name leads to. The caller now holds one reference to `nodeid`, until forget(). */
export interface UnionEntry {
  readonly nodeid: number;
  readonly attr: UnionAttr;
}

/** Gets one entry after the other; false: no more fit. `offset` is where the next reading goes on. */
export type AddEntry = (name: string, ino: number, type: number, offset: number) => boolean;
