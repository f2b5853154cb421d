import { MOUNT_ATTR } from "../../kernel/abi/mount.ts";
import type { AtimePolicy } from "../../union/accesstimes.ts";
import type { Fd } from "../../kernel/fd.ts";
import type { LowerOption, OpenLayers, UnionOptions } from "../../union/setup.ts";
import { type FallthruMount, opensFiles } from "./options.ts";
import type { Branch } from "./state.ts";

function atimeOf(attributes: number): AtimePolicy {
  if ((attributes & MOUNT_ATTR.NOATIME) !== 0) return "noatime";
  return (attributes & MOUNT_ATTR.STRICTATIME) === 0 ? "relatime" : "strictatime";
}

/** The lowers that a mount begins with. */
export function firstBranches(mount: FallthruMount): readonly Branch[] {
  return layersOf(mount).lowers.map((lower, key) => ({
    ...(typeof lower === "string" ? { path: lower, dialect: "auto" as const } : lower),
    key,
  }));
}

/** A mount's layers, as the union takes them: without writing, its upper is the first of the lowers. */
export function layersOf(mount: FallthruMount): UnionOptions {
  const { upper, work, metacopy, index, redirects, marks, dialect, readOnly, volatile, remember } = mount;
  const inLowers = mount.lowerDialect ?? "auto";
  const lowers = [
    ...mount.lowers.map((path): LowerOption => ({ path, dialect: inLowers })),
    ...mount.dataLowers.map((path): LowerOption => ({ path, dialect: inLowers, isDataOnly: true })),
  ];
  const ways = {
    metacopy,
    index,
    redirects,
    atime: atimeOf(mount.attributes),
    knowsOpens: opensFiles(mount),
    ...(marks && { marks }),
    ...(remember !== undefined && { rememberedFiles: remember }),
  };
  if (upper === undefined) return { lowers, ...ways };
  if (readOnly || work === undefined)
    return { lowers: [{ path: upper, dialect: dialect ?? "auto" }, ...lowers], ...ways };
  return { lowers, upper, work, volatile, ...(dialect && { dialect }), ...ways };
}

/** A server's descriptors of its layers, in the order in which it inherits them. */
export function descriptorsOf({ pair, lowers }: OpenLayers): readonly Fd[] {
  return pair === undefined ? lowers : [pair.upper, pair.work, ...lowers];
}
