import type { KeyReader } from "../keys.ts";
import { parseAbsolutePath, parseBoolean, parseNames, parseOneOf, parseText } from "../values.ts";

/** schroot.conf(5), "Filesystem Union chroot options". Our verbs lay a union over every root; this is what was asked. */
export interface UnionOptions {
  readonly type: "none" | "aufs" | "overlayfs" | "overlay" | "unionfs" | "fallthru" | "auto";
  readonly mountOptions: string;
  readonly overlayDirectory: string | undefined;
  readonly underlayDirectory: string | undefined;
}

/** schroot.conf(5), "Source chroot options": who may use the root itself, without a union over it. */
export interface SourceOptions {
  readonly clone: boolean;
  readonly users: readonly string[];
  readonly groups: readonly string[];
  readonly rootUsers: readonly string[];
  readonly rootGroups: readonly string[];
}

export function takeUnion(keys: KeyReader): UnionOptions {
  const types = ["none", "aufs", "overlayfs", "overlay", "unionfs", "fallthru", "auto"] as const;
  return {
    type: keys.take("union-type", parseOneOf(types), "none"),
    mountOptions: keys.take("union-mount-options", parseText, ""),
    overlayDirectory: keys.takeOptional("union-overlay-directory", parseAbsolutePath),
    underlayDirectory: keys.takeOptional("union-underlay-directory", parseAbsolutePath),
  };
}

export function takeSource(keys: KeyReader): SourceOptions {
  return {
    clone: keys.take("source-clone", parseBoolean, true),
    users: keys.take("source-users", parseNames, []),
    groups: keys.take("source-groups", parseNames, []),
    rootUsers: keys.take("source-root-users", parseNames, []),
    rootGroups: keys.take("source-root-groups", parseNames, []),
  };
}

/** The key `directory`; `location` is its obsolete name, which schroot still takes where it stands alone. */
export function takeDirectory(keys: KeyReader): string {
  const old = keys.takeOptional("location", parseAbsolutePath);
  if (old !== undefined && !keys.has("directory")) return old;
  if (old !== undefined) keys.problem("location is an old name of directory, which is there too", { key: "location" });
  return keys.require("directory", parseAbsolutePath, "");
}
