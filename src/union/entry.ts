import type { UnionAttr } from "./attr.ts";

/** What a name leads to. The caller now holds one reference to `nodeid`, until forget(). */
export interface UnionEntry {
  readonly nodeid: number;
  /** See generationOf(). */
  readonly generation: number;
  readonly attr: UnionAttr;
}
