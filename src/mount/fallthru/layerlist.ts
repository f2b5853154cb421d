import { UserError } from "../../error.ts";
import { unless } from "../../kernel/error.ts";
import { openDirectory } from "../../kernel/file.ts";
import { getXattrAt } from "../../kernel/xattr.ts";
import { layersAttribute, type MountedLayer } from "../../union/layers.ts";

/**
 * The layers of a mounted union of ours, from the top, as its server has them.
 * @throws {UserError} not-found: something else is there; {KernelError} ENOENT, ENOTDIR, EACCES
 */
export function layersOfMount(target: string): readonly MountedLayer[] {
  using root = openDirectory(target);
  const answer = unless(["EOPNOTSUPP", "ENODATA"], () => getXattrAt(root, ".", layersAttribute));
  const layers = answer && parse(answer);
  if (layers !== undefined) return layers;
  throw new UserError("not-found", `no union of ours is mounted on ${target}`, {
    hint: "name the directory that it is mounted on: findmnt -t fuse.fallthru",
  });
}

/** Whoever serves a file system there can answer anything. */
function parse(answer: Buffer): readonly MountedLayer[] | undefined {
  let layers: unknown;
  try {
    layers = JSON.parse(answer.toString("utf8"));
  } catch {
    return undefined;
  }
  return Array.isArray(layers) && layers.every(isLayer) ? layers : undefined;
}

function isLayer(value: unknown): value is MountedLayer {
  if (typeof value !== "object" || value === null) return false;
  const { role, path, dialect } = value as Partial<Record<keyof MountedLayer, unknown>>;
  return (
    (role === "upper" || role === "lower" || role === "data") && typeof path === "string" && typeof dialect === "string"
  );
}
