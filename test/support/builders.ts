import { chmodSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { temporaryDirectory } from "./directories.ts";
import { executable, run, type RunResult } from "./fallthru.ts";

const fixture = resolve(import.meta.dirname, "../fixtures/builders.sh");

/** A directory that everybody can look into, and a member of the group sbuild writes to (see fixtures/builders.sh). */
export function buildersDirectory(name: string): string {
  const directory = temporaryDirectory(name);
  for (const path of [directory, dirname(directory)]) chmodSync(path, 0o755);
  return directory;
}

/**
 * Runs a script of shell where ours stands in schroot's place, with its service, and `builder` and `chroot_of` are
 * there: see fixtures/builders.sh. It works in `out`.
 */
export function withBuilder(
  out: string,
  script: string,
  env: Readonly<Record<string, string>> = {},
): Promise<RunResult> {
  const words = ["unshare", "-m", "--propagation", "private", "sh", fixture, executable, out, script];
  return run(words, { env });
}
