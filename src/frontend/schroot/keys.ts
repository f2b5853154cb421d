import { findType } from "../../chroot/types/index.ts";
import type { Chroot } from "../../chroot/types.ts";
import { defaultFilter } from "../../session/environment.ts";

/**
 * A chroot or session as schroot writes it down: the keys of `--config` and of the session's file. `--info`, access and
 * commands are made of these, so that a session of a real schroot is as good as one of ours.
 */
export type Keys = Readonly<Record<string, string>>;

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
    profile,
    "root-groups": chroot.rootGroups.join(","),
    "root-modifiable-keys": chroot.rootModifiableKeys.join(","),
    "root-users": chroot.rootUsers.join(","),
    ...(setup.scriptConfig === undefined ? {} : { "script-config": setup.scriptConfig }),
    "setup.config": setup.config ?? `${profile}/config`,
    "setup.copyfiles": setup.copyfiles ?? `${profile}/copyfiles`,
    "setup.fstab": setup.fstab ?? `${profile}/fstab`,
    "setup.nssdatabases": setup.nssdatabases ?? `${profile}/nssdatabases`,
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

/** Whether its sessions are copies: then what they change leaves the chroot as it is. */
export function isCloned(chroot: Chroot): boolean {
  return "union" in chroot ? chroot.union.type !== "none" : "source" in chroot;
}

/** Whether there is a `source:` of it too, whose sessions change the chroot itself. */
export function hasSource(chroot: Chroot): boolean {
  return isCloned(chroot) && "source" in chroot && chroot.source.clone;
}

/** The keys of a chroot's `source:`, with the lists of who may use that one. */
export function sourceKeys(chroot: Chroot): Keys {
  const keys = chrootKeys(chroot);
  const lists = ["users", "groups", "root-users", "root-groups"].map((list): [string, string] => [
    list,
    keys[`source-${list}`] ?? "",
  ]);
  return {
    ...Object.fromEntries(Object.entries(keys).filter(([key]) => !/^(?:source|union|btrfs|lvm|zfs)-/.test(key))),
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
    case "lvm-snapshot":
      return { type: "block-device" };
    default:
      return {};
  }
}

/** What is only known when a session begins. */
export interface Beginning {
  readonly id: string;
  readonly mountPoint: string;
  readonly originalName: string;
  /** The name or alias that was asked for. */
  readonly selectedName: string;
  /** The one user who may use it, as themselves or also as root. */
  readonly creator: string;
  readonly mayBeRoot: boolean;
}

/** The keys of a session that is begun on a chroot or source with these keys. */
export function sessionKeys(keys: Keys, beginning: Beginning): Keys {
  const { id, creator, mayBeRoot } = beginning;
  const below = (directory: string | undefined) => `${directory ?? ""}/${id}`;
  const isUnion = (keys["union-type"] ?? "none") !== "none";
  return {
    ...Object.fromEntries(Object.entries(keys).filter(([key]) => !key.startsWith("source-"))),
    aliases: "",
    description: `${keys["description"] ?? ""} (session chroot)`,
    groups: "",
    "root-groups": "",
    users: mayBeRoot ? "" : creator,
    "root-users": mayBeRoot ? creator : "",
    "mount-location": beginning.mountPoint,
    name: id,
    "original-name": beginning.originalName,
    "selected-name": beginning.selectedName,
    ...(isUnion
      ? {
          "union-overlay-directory": below(keys["union-overlay-directory"]),
          "union-underlay-directory": below(keys["union-underlay-directory"]),
        }
      : {}),
  };
}

/** One group of schroot's ini format: `[name]` and its keys in the order of the alphabet. */
export function groupText(name: string, keys: Keys): string {
  const lines = Object.keys(keys)
    .toSorted()
    .map((key) => `${key}=${keys[key] ?? ""}\n`);
  return `[${name}]\n${lines.join("")}`;
}

/** Reads the one group of a session's file; undefined where it is something else. */
export function parseGroup(text: string): { readonly name: string; readonly keys: Keys } | undefined {
  const [first = "", ...lines] = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const name = /^\[(.+)\]$/.exec(first)?.[1];
  if (name === undefined || lines.some((line) => !line.includes("="))) return undefined;
  const pairs = lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]);
  return { name, keys: Object.fromEntries(pairs) as Keys };
}

/** The items of a key's list. */
export function listOf(keys: Keys, key: string): string[] {
  return (keys[key] ?? "").split(",").filter((item) => item !== "");
}
