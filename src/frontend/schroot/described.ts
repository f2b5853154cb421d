import { hasSource, isCloned } from "../../chroot/cloned.ts";
import { findChrootIfAny } from "../../chroot/config.ts";
import { findType } from "../../chroot/types/index.ts";
import type { Chroot } from "../../chroot/types.ts";
import { defaultFilter } from "../../session/environment.ts";
import type { Keys } from "./keys.ts";
import type { Subject } from "./subjects.ts";

/** What /etc/schroot describes: kept apart from sessions, which are run in without looking there. */

/** The keys of a chroot, all that schroot prints of it. */
export function chrootKeys(chroot: Chroot): Keys {
  const { setup, profile } = chroot;
  return {
    aliases: chroot.aliases.join(","),
    "command-prefix": chroot.commandPrefix.join(","),
    description: chroot.description,
    "environment-filter": chroot.environmentFilter ?? defaultFilter,
    groups: chroot.groups.join(","),
    "message-verbosity": chroot.messageVerbosity,
    ...(chroot.personality === "undefined" ? {} : { personality: chroot.personality }),
    "preserve-environment": String(chroot.preserveEnvironment),
    profile: setup.scriptConfig === undefined ? profile : "",
    "root-groups": chroot.rootGroups.join(","),
    "root-modifiable-keys": chroot.rootModifiableKeys.join(","),
    "root-users": chroot.rootUsers.join(","),
    ...(setup.scriptConfig === undefined ? {} : { "script-config": setup.scriptConfig }),
    ...setupKeys(chroot),
    ...(setup.services.length === 0 ? {} : { "setup.services": setup.services.join(",") }),
    shell: chroot.shell ?? "",
    ...sourceListKeys(chroot),
    type: chroot.type,
    ...unionKeys(chroot),
    "user-modifiable-keys": chroot.userModifiableKeys.join(","),
    users: chroot.users.join(","),
    ...findType(chroot.type)?.keys(chroot),
    ...chroot.custom,
  };
}

/** The profile's files where nothing else is said; with `script-config` that script says which. */
function setupKeys({ setup, profile }: Chroot): Keys {
  const names = ["config", "copyfiles", "fstab", "nssdatabases"] as const;
  const files = names.map((name) => {
    const path = setup[name] ?? (setup.scriptConfig === undefined ? `${profile}/${name}` : undefined);
    return path === undefined ? [] : [[`setup.${name}`, path] as const];
  });
  return Object.fromEntries(files.flat());
}

function unionKeys(chroot: Chroot): Keys {
  if (!("union" in chroot)) return {};
  const { type, mountOptions, overlayDirectory, underlayDirectory } = chroot.union;
  if (type === "none") return { "union-type": type };
  return {
    "union-mount-options": mountOptions,
    "union-overlay-directory": overlayDirectory ?? "/var/lib/schroot/union/overlay",
    "union-type": type,
    "union-underlay-directory": underlayDirectory ?? "/var/lib/schroot/union/underlay",
  };
}

function sourceListKeys(chroot: Chroot): Keys {
  if (!isCloned(chroot) || !("source" in chroot)) return {};
  return {
    "source-clone": String(chroot.source.clone),
    "source-groups": chroot.source.groups.join(","),
    "source-root-groups": chroot.source.rootGroups.join(","),
    "source-root-users": chroot.source.rootUsers.join(","),
    "source-users": chroot.source.users.join(","),
  };
}

/** The keys of a chroot's `source:`, with the lists of who may use that one. */
export function sourceKeys(chroot: Chroot): Keys {
  const keys = chrootKeys(chroot);
  const lists = ["users", "groups", "root-users", "root-groups"].map((list): [string, string] => [
    list,
    keys[`source-${list}`] ?? "",
  ]);
  return {
    ...Object.fromEntries(Object.entries(keys).filter(([key]) => !/^(?:source|union|btrfs|lvm)-/.test(key))),
    ...Object.fromEntries(lists),
    description: `${chroot.description} (source chroot)`,
    ...sourceTypeKeys(keys),
  };
}

/** What a snapshot is made of is itself no snapshot. */
function sourceTypeKeys(keys: Keys): Keys {
  switch (keys["type"]) {
    case "btrfs-snapshot":
      return { type: "directory", directory: keys["btrfs-source-subvolume"] ?? "" };
    case "file":
      return { "file-repack": "true" };
    case "lvm-snapshot":
      return { type: "block-device" };
    default:
      return {};
  }
}

/** @returns undefined where there is none */
export function findDescribed(namespace: "chroot" | "source", name: string): Subject | undefined {
  const chroot = findChrootIfAny(name);
  if (chroot !== undefined) {
    if (namespace === "chroot") return describeChroot(chroot, name);
    return hasSource(chroot) ? describeSource(chroot, name) : undefined;
  }
  // `ALIAS-source` is how sources were called before there were name spaces.
  const base = name.endsWith("-source") ? findChrootIfAny(name.slice(0, -"-source".length)) : undefined;
  if (namespace === "source" || base === undefined || !hasSource(base)) return undefined;
  return base.aliases.includes(name.slice(0, -"-source".length)) ? describeSource(base, name) : undefined;
}

export function describeChroot(chroot: Chroot, selectedName: string): Subject {
  return {
    namespace: "chroot",
    name: chroot.name,
    keys: chrootKeys(chroot),
    isPlain: chroot.type === "plain",
    isCloned: isCloned(chroot),
    chroot,
    selectedName,
  };
}

export function describeSource(chroot: Chroot, selectedName: string): Subject {
  return {
    namespace: "source",
    name: chroot.name,
    keys: sourceKeys(chroot),
    isPlain: false,
    isCloned: false,
    chroot,
    selectedName,
  };
}
/** Whether a plain chroot has this name. */
export function isPlain(name: string): boolean {
  return findPlain(name, "session") !== undefined;
}

/** A plain chroot is the only session that it has, by its own name; @returns undefined where there is none */
export function findPlain(name: string, namespace: Subject["namespace"]): Subject | undefined {
  const chroot = namespace === "source" ? undefined : findChrootIfAny(name);
  if (chroot?.type !== "plain") return undefined;
  if (namespace === "chroot") return describeChroot(chroot, name);
  return chroot.name === name ? plainSession(chroot) : undefined;
}

function plainSession(chroot: Chroot): Subject {
  return { ...describeChroot(chroot, chroot.name), namespace: "session" };
}
