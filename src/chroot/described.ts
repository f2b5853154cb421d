import { areAsTheyWere, canKeep, parseKept, readKept } from "./kept.ts";
import { isPermittedName } from "./names.ts";
import type { Profile } from "./profile.ts";
import type { Chroot } from "./types.ts";

/** What a session is begun on. */
export interface Described {
  readonly chroot: Chroot;
  readonly profile: Profile;
}

/** With what tells that any file that was looked at for it was changed, made or removed. */
export interface Kept extends Described {
  readonly paths: readonly string[];
  /** Of all paths, one behind the other. */
  readonly stamps: readonly number[];
}

/**
 * findChroot() and readProfile() together. Plain data, kept from one session to the next: to find it in eight files costs a start 2.5 ms, and
 * what reads them 0.5 to load; to see that none of them was changed 0.8.
 * @throws {UserError} not-found, config
 */
export async function readDescribed(name: string): Promise<Described> {
  const keptName = isPermittedName(name) && canKeep() ? `chroot-${name}.json` : undefined;
  const known = keptName === undefined ? undefined : readKnown(keptName);
  return known ?? (await import("./describe.ts")).describe(name, keptName);
}

function readKnown(keptName: string): Described | undefined {
  const kept = parseKept(readKept(keptName)?.toString("utf8") ?? "") as Kept | undefined;
  if (kept === undefined || !areAsTheyWere(kept.paths, kept.stamps)) return undefined;
  return { chroot: kept.chroot, profile: kept.profile };
}
