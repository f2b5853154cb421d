import { findChroot } from "./config.ts";
import type { Described, Kept } from "./described.ts";
import { configDirectory, configPaths } from "./files.ts";
import { keep, settledBy, settledStamps } from "./kept.ts";
import { readProfile } from "./profile.ts";

/** Where there are more, known.ts says which of them describe a name. */
const mostPaths = 40;

/**
 * Reads what a session is begun on.
 * @param keptName keeps it there for readDescribed(), where nothing was changed just now
 * @throws {UserError} not-found, config
 */
export function describe(name: string, keptName: string | undefined): Described {
  if (keptName === undefined) return readAnew(name, []);
  const isSettled = settledBy(Date.now());
  const paths = [process.execPath, ...configPaths(configDirectory)];
  const described = readAnew(name, paths);
  if (paths.length > mostPaths) return described;
  const stamps = settledStamps(paths, isSettled);
  if (stamps !== undefined) keep(keptName, Buffer.from(JSON.stringify({ paths, stamps, ...described } satisfies Kept)));
  return described;
}

function readAnew(name: string, paths: string[]): Described {
  const chroot = findChroot(name);
  return { chroot, profile: readProfile(chroot, configDirectory, paths) };
}
