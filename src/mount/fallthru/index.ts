import { mountFallthru } from "./mount.ts";
import type { FallthruMount } from "./options.ts";

export type { FallthruMount } from "./options.ts";

/** The layers of a union and, where they differ from the usual, its ways. Paths are absolute. */
export type UnionLayers = Partial<FallthruMount> & Pick<FallthruMount, "lowers">;

/** All that a mount needs, from its layers: without `upper` it is read-only, without `work` that lies beside the upper. */
export function fallthruMount(layers: UnionLayers): FallthruMount {
  const { upper } = layers;
  return {
    source: "fallthru",
    attributes: 0,
    dataLowers: [],
    metacopy: true,
    index: true,
    volatile: false,
    passthrough: undefined,
    remember: undefined,
    redirects: true,
    marks: undefined,
    dialect: undefined,
    lowerDialect: undefined,
    readOnly: upper === undefined,
    ...layers,
    upper,
    work: layers.work ?? (upper === undefined ? undefined : `${upper}.work`),
  };
}

/**
 * Mounts a union of ours at an existing directory; a process of its own serves it until it is unmounted (umount(8)).
 * Lowers are given from the top.
 * @throws {UserError} what is wrong with the layers; {KernelError} EPERM without privilege
 */
export function mountUnion(layers: UnionLayers, target: string): void {
  mountFallthru(fallthruMount(layers), target);
}
