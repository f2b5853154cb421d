import { existsSync, readFileSync } from "node:fs";
import { configDirectory } from "../chroot/files.ts";
import { unless } from "../kernel/error.ts";
import { openDirectory } from "../kernel/file.ts";
import { superuserPath } from "../places.ts";
import { dataDirectory } from "./setupdata.ts";
import type { SetupUser } from "./types.ts";
import { findUser } from "./user.ts";

/** Variables of a setup script; schroot exports none that is empty. */
export type Variables = Readonly<Record<string, string>>;

/** What of a session isn't in its chroot's description. */
export interface SetupFacts {
  readonly id: string;
  /** Where the tree of the session is mounted, and where those of all sessions are. */
  readonly mountPoint: string;
  readonly mountDirectory: string;
  /** What commands have as their root: below the mount point where the chroot has a `location`. */
  readonly path: string;
  /** The chroot's name, and the name or alias that was asked for. */
  readonly name: string;
  readonly selectedName: string;
  /** Whether it is a session on the chroot itself, whose changes stay. */
  readonly isSource: boolean;
  /** What the snapshot of the chroot's root is called; without it as schroot calls it, by the session. */
  readonly snapshot?: string | undefined;
  /** The directories of the union at the root: the one with `upper` and `work` in it, and the chroot's root. */
  readonly union?: { readonly overlay: string; readonly underlay: string } | undefined;
  readonly verbosity: string;
}

type Keys = Readonly<Record<string, string>>;

/**
 * The variables that schroot 1.6.13 gives its setup scripts, from the keys of a chroot's description or of a session's
 * file (schroot-setup(5)).
 */
export function setupVariables(keys: Keys, facts: SetupFacts): Variables {
  const type = keys["type"] ?? "plain";
  return withoutEmpty({
    ...hostVariables(facts),
    ...profileVariables(keys),
    ...typeVariables(type, keys, facts),
    ...unionVariables(type, keys, facts),
    ...customVariables(keys),
    CHROOT_TYPE: type,
    CHROOT_NAME: facts.name,
    CHROOT_ALIAS: facts.selectedName,
    CHROOT_DESCRIPTION: describe(keys["description"] ?? "", facts.isSource),
    CHROOT_MOUNT_LOCATION: facts.mountPoint,
    CHROOT_PATH: facts.path,
    CHROOT_SESSION_CREATE: "false",
    CHROOT_SESSION_CLONE: "false",
    CHROOT_SESSION_PURGE: String(isPurged(type, facts)),
    CHROOT_SESSION_SOURCE: String(facts.isSource),
    SESSION_ID: facts.id,
    VERBOSE: facts.verbosity,
  });
}

function hostVariables(facts: SetupFacts): Variables {
  return {
    PATH: superuserPath,
    PLATFORM: "linux",
    SYSCONF_DIR: configDirectory,
    DATA_DIR: "/usr/share/schroot",
    SETUP_DATA_DIR: dataDirectory(),
    LIBEXEC_DIR: libexecDirectory(),
    MOUNT_DIR: facts.mountDirectory,
  };
}

function libexecDirectory(): string {
  const triplets: Readonly<Record<string, string>> = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" };
  const directory = `/usr/lib/${triplets[process.arch] ?? process.arch}/schroot`;
  return existsSync(directory) ? directory : "/usr/lib/schroot";
}

/** As schroot does with the file of a session that it has described already. */
function describe(description: string, isSource: boolean): string {
  if (description.endsWith("(session chroot)")) return description;
  const isSaid = !isSource || description.endsWith("(source chroot)");
  return `${description}${isSaid ? "" : " (source chroot)"} (session chroot)`;
}

/** `script-config` and the profile's files exclude each other. */
function profileVariables(keys: Keys): Variables {
  const scriptConfig = keys["script-config"] ?? "";
  if (scriptConfig !== "") return { CHROOT_SCRIPT_CONFIG: `${configDirectory}/${scriptConfig}` };
  const profile = keys["profile"] ?? "default";
  const file = (kind: string) => keys[`setup.${kind}`] ?? `${profile}/${kind}`;
  return {
    CHROOT_PROFILE: profile,
    CHROOT_PROFILE_DIR: `${configDirectory}/${profile}`,
    SETUP_CONFIG: file("config"),
    SETUP_COPYFILES: file("copyfiles"),
    SETUP_FSTAB: file("fstab"),
    SETUP_NSSDATABASES: file("nssdatabases"),
  };
}

const typesWithUnion = new Set(["directory", "loopback", "block-device"]);
const snapshots = new Set(["file", "btrfs-snapshot", "lvm-snapshot", "zfs-snapshot"]);

function isPurged(type: string, facts: SetupFacts): boolean {
  return snapshots.has(type) ? !facts.isSource || type === "file" : facts.union !== undefined;
}

function typeVariables(type: string, keys: Keys, { id, isSource, snapshot = id }: SetupFacts): Variables {
  const key = (name: string) => keys[name] ?? "";
  const mount = { CHROOT_MOUNT_OPTIONS: key("mount-options"), CHROOT_LOCATION: key("location") };
  switch (type) {
    case "directory":
      return { CHROOT_DIRECTORY: keys["directory"] ?? key("location") };
    case "file":
      return {
        CHROOT_FILE: key("file"),
        CHROOT_FILE_UNPACK_DIR: "/var/lib/schroot/unpack",
        CHROOT_LOCATION: key("location"),
        ...(isSource || key("file-repack") === "true"
          ? { CHROOT_FILE_REPACK: "true" }
          : { CHROOT_FILE_REPACK: "false" }),
      };
    case "loopback":
      return { ...mount, CHROOT_FILE: key("file"), CHROOT_MOUNT_DEVICE: key("file") };
    case "block-device":
      return { ...mount, CHROOT_DEVICE: key("device"), CHROOT_MOUNT_DEVICE: key("device") };
    case "btrfs-snapshot":
      return {
        CHROOT_LOCATION: key("location"),
        CHROOT_BTRFS_SOURCE_SUBVOLUME: key("btrfs-source-subvolume"),
        CHROOT_BTRFS_SNAPSHOT_DIRECTORY: key("btrfs-snapshot-directory"),
        CHROOT_BTRFS_SNAPSHOT_NAME: keys["btrfs-snapshot-name"] ?? `${key("btrfs-snapshot-directory")}/${snapshot}`,
      };
    case "lvm-snapshot":
      return { ...mount, ...lvmVariables(keys, snapshot) };
    case "zfs-snapshot":
      return { CHROOT_LOCATION: key("location"), ...zfsVariables(keys, snapshot) };
    default:
      return {};
  }
}

function lvmVariables(keys: Keys, name: string): Variables {
  const device = keys["device"] ?? "";
  const snapshot = keys["lvm-snapshot-device"] ?? `${device.replace(/[^/]*$/, "")}${name}`;
  return {
    CHROOT_DEVICE: device,
    CHROOT_MOUNT_DEVICE: snapshot,
    CHROOT_LVM_SNAPSHOT_DEVICE: snapshot,
    CHROOT_LVM_SNAPSHOT_NAME: snapshot.slice(snapshot.lastIndexOf("/") + 1),
    CHROOT_LVM_SNAPSHOT_OPTIONS: keys["lvm-snapshot-options"] ?? "",
  };
}

function zfsVariables(keys: Keys, name: string): Variables {
  const dataset = keys["zfs-dataset"] ?? "";
  return {
    CHROOT_MOUNT_DEVICE: `${dataset}/schroot-${name}`,
    CHROOT_ZFS_DATASET: dataset,
    CHROOT_ZFS_SNAPSHOT_NAME: `${dataset}@${name}`,
    CHROOT_ZFS_CLONE_NAME: `${dataset}/schroot-${name}`,
    CHROOT_ZFS_SNAPSHOT_OPTIONS: keys["zfs-snapshot-options"] ?? "",
  };
}

function unionVariables(type: string, keys: Keys, { union, isSource }: SetupFacts): Variables {
  if (!typesWithUnion.has(type)) return {};
  if (union !== undefined) {
    const asked = keys["union-type"] ?? "none";
    return {
      CHROOT_UNION_TYPE: asked === "none" ? "overlay" : asked,
      CHROOT_UNION_MOUNT_OPTIONS: keys["union-mount-options"] ?? "",
      CHROOT_UNION_OVERLAY_DIRECTORY: union.overlay,
      CHROOT_UNION_UNDERLAY_DIRECTORY: union.underlay,
    };
  }
  return isSource ? {} : { CHROOT_UNION_TYPE: "none" };
}

/** `my.key` becomes MY_KEY; setup.services is one of them. */
function customVariables(keys: Keys): Variables {
  const own = Object.entries(keys).filter(([key]) => /^(?:[a-z][a-z0-9]*\.)+[a-z][a-z0-9-]*$/.test(key));
  const files = new Set(["config", "copyfiles", "fstab", "nssdatabases"].map((kind) => `setup.${kind}`));
  const others = own.filter(([key]) => !files.has(key) && !key.startsWith("fallthru."));
  return Object.fromEntries(others.map(([key, value]) => [key.toUpperCase().replace(/[.-]/g, "_"), value]));
}

function withoutEmpty(variables: Variables): Variables {
  return Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ""));
}

/** Of whoever begins or ends the session. */
export function userVariables(user: SetupUser): Variables {
  return withoutEmpty({
    AUTH_USER: user.name,
    AUTH_UID: String(user.uid),
    AUTH_GID: String(user.gid),
    AUTH_HOME: user.home,
    AUTH_SHELL: user.shell,
    AUTH_RUSER: user.callerName,
    AUTH_RGROUP: user.callerGroup,
    AUTH_RUID: String(user.callerUid),
    AUTH_RGID: String(user.callerGid),
    PID: String(process.pid),
  });
}

/** Without a front end that knows better, whoever runs this program. */
export function ownUser(): SetupUser {
  using root = openDirectory("/");
  const { name, uid, gid, home, shell } = findUser(root, String(process.getuid?.() ?? 0));
  const groups = unless(["ENOENT"], () => readFileSync("/etc/group", "latin1")) ?? "";
  const line = groups.split("\n").find((each) => each.split(":")[2] === String(gid));
  const callerGroup = line?.split(":")[0] ?? String(gid);
  return { name, uid, gid, home, shell, callerName: name, callerGroup, callerUid: uid, callerGid: gid };
}
