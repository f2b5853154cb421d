import { openDirectory } from "../kernel/file.ts";
import type { Surroundings } from "../kernel/process.ts";

/** Runs `use` with a directory of the host's open: a root that is used as it is, without a session. */
export async function withDirectory<T>(path: string, use: (root: Surroundings["root"]) => Promise<T>): Promise<T> {
  using root = openDirectory(path);
  return await use(root);
}
