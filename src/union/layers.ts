import type { Core } from "./core.ts";

/** An attribute of the union's root that says what it is made of: MountedLayer[] as JSON. It isn't listed, nor settable. */
export const layersAttribute = "fallthru.layers";

export interface MountedLayer {
  /** `data`: a lower of which only what redirects lead to is seen. */
  readonly role: "upper" | "lower" | "data";
  readonly path: string;
  /** `overlay`, `overlay-user` or `aufs`. */
  readonly dialect: string;
}

/** The layers of a union, from the top. */
export function describeLayers({ upper, lowers }: Core): Buffer {
  const all = upper === undefined ? lowers : [upper.layer, ...lowers];
  const layers = all.map(({ isUpper, isDataOnly, path, dialect }): MountedLayer => ({
    role: isUpper ? "upper" : isDataOnly ? "data" : "lower",
    path,
    dialect: dialect.name,
  }));
  return Buffer.from(JSON.stringify(layers));
}
