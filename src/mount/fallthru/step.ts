import type { Fd } from "../../kernel/fd.ts";
import type { UnionStep } from "../plan.ts";
import { fallthruMount } from "./index.ts";
import { makeFallthru } from "./mount.ts";

/** A plan's union of ours, detached. Loaded only where there is one: to begin and to end sessions on overlays takes none of it. */
export function makeOurs({ at, union, attributes }: UnionStep): Fd {
  const { lowers, upper, work, volatile, ours } = union;
  // Builds and logins open the same files over and over: docs/performance.md.
  const passthrough = ours?.passthrough ?? false;
  const dialect = union.dialect ?? ours?.dialect;
  return makeFallthru(fallthruMount({ ...ours, lowers, upper, work, volatile, attributes, passthrough, dialect }), at);
}
