import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { run, textOption } from "./measure.ts";

/**
 * The Debian root to measure with: the one that `--root=DIR` names, or one that mmdebstrap makes once in
 * build/bench-cache (a minute, and the network).
 * @param extra mmdebstrap's options beyond the variant
 */
export function debianRoot(variant: string, name: string, extra: readonly string[] = []): string {
  const given = textOption("root");
  if (given !== undefined) return resolve(given);
  const root = resolve(import.meta.dirname, "../build/bench-cache", name);
  if (existsSync(root)) return root;
  const suite = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "stable";
  const unfinished = `${root}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(dirname(root), { recursive: true });
  console.error(`making ${name}, once ...`);
  run(["mmdebstrap", "--quiet", `--variant=${variant}`, ...extra, suite, unfinished]);
  renameSync(unfinished, root);
  return root;
}
