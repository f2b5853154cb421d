import { unless } from "../kernel/error.ts";
import { openDirectory } from "../kernel/file.ts";
import type { Surroundings } from "../kernel/process.ts";

/**
 * Runs `use` with a directory of the host's open: a root that is used as it is, without a session.
 * @returns undefined where there is no such directory
 */
export async function withDirectory<T>(
  path: string,
  use: (root: Surroundings["root"]) => Promise<T>,
): Promise<T | undefined> {
  using root = unless(["ENOENT", "ENOTDIR"], () => openDirectory(path));
  return root === undefined ? undefined : await use(root);
}
