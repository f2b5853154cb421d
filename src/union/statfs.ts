import { must } from "../kernel/at.ts";
import { statFileSystem, syncFileSystemOf } from "../kernel/io.ts";
import type { Core } from "./core.ts";

/** struct statfs, as bytes: of the upper, or the topmost lower. */
export function statUnion(core: Core): Buffer {
  const buffer = Buffer.alloc(120);
  const layer = core.upper?.layer ?? core.lowers[0];
  must("statfs", "", statFileSystem(layer?.rootDir.fd ?? -1, buffer));
  return buffer;
}

export function syncUnion(core: Core): void {
  const layer = core.upper?.layer;
  if (layer !== undefined && !core.isVolatile) must("sync", layer.path, syncFileSystemOf(layer.rootDir.fd));
}
