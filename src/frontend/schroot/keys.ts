import { madeName } from "../../session/types.ts";
/**
 * A chroot or session as schroot writes it down: the keys of `--config` and of the session's file. `--info`, access and
 * commands are made of these, so that a session of a real schroot is as good as one of ours.
 */
export type Keys = Readonly<Record<string, string>>;
import { refusal } from "./messages.ts";

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

/** What only says how snapshots are made. */
function isOfSnapshots(key: string): boolean {
  return /^btrfs-s|^lvm-snapshot-options$/.test(key);
}

/** What a session's root is made of: where its own snapshot is, and what is mounted. */
function madeKeys(keys: Keys): Keys {
  switch (keys["type"]) {
    case "file":
      return { "file-repack": keys["file-repack"] ?? "false" };
    case "loopback":
      return { "mount-device": keys["file"] ?? "" };
    case "block-device":
      return { "mount-device": keys["device"] ?? "" };
    case "btrfs-snapshot":
      return { "btrfs-snapshot-name": `${keys["btrfs-snapshot-directory"] ?? ""}/${madeName}` };
    case "lvm-snapshot":
      return { "lvm-snapshot-device": snapshotDevice(keys), "mount-device": snapshotDevice(keys) };
    default:
      return {};
  }
}

function snapshotDevice(keys: Keys): string {
  return `${process.getBuiltinModule("node:path").dirname(keys["device"] ?? "")}/${madeName}`;
}

/** The keys of a session that is begun on a chroot or source with these keys. */
export function sessionKeys(keys: Keys, beginning: Beginning): Keys {
  const { id, creator, mayBeRoot } = beginning;
  const below = (directory: string | undefined) => `${directory ?? ""}/${id}`;
  const isUnion = (keys["union-type"] ?? "none") !== "none";
  return {
    ...Object.fromEntries(Object.entries(keys).filter(([key]) => !key.startsWith("source-") && !isOfSnapshots(key))),
    ...madeKeys(keys),
    aliases: "",
    description: `${keys["description"] ?? ""} (session chroot)`,
    groups: "",
    "root-groups": "",
    users: mayBeRoot ? "" : creator,
    "root-users": mayBeRoot ? creator : "",
    "mount-location": beginning.mountPoint,
    // Ours has it for its root already.
    ...(keys["location"] === undefined ? {} : { location: "" }),
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

/**
 * One group of schroot's ini format: `[name]` and its keys in the order of the alphabet.
 * @throws {UserError} where a value isn't one line: what came behind would be another key, such as root-users
 */
export function groupText(name: string, keys: Keys): string {
  const broken = Object.entries(keys).find(([key, value]) => /[\0\r\n]/.test(key + value));
  if (broken !== undefined) throw refusal(`Configuration key ‘${broken[0]}’ has a value of more than one line.`);
  const lines = Object.keys(keys)
    .toSorted()
    .map((key) => `${key}=${keys[key] ?? ""}\n`);
  return `[${name}]\n${lines.join("")}`;
}

/** Reads the one group of a session's file; undefined where it is something else, or says a thing twice. */
export function parseGroup(text: string): { readonly name: string; readonly keys: Keys } | undefined {
  let name: string | undefined;
  const keys = new Map<string, string>();
  // One look at each line, as a list reads hundreds of these.
  for (let start = 0, end = 0; start < text.length; start = end + 1) {
    end = text.indexOf("\n", start);
    if (end < 0) end = text.length;
    if (end === start || text[start] === "#") continue;
    if (name === undefined) {
      if (text[start] !== "[" || text[end - 1] !== "]" || end - start < 3) return undefined;
      name = text.slice(start + 1, end - 1);
      continue;
    }
    const equals = text.indexOf("=", start);
    if (equals < 0 || equals > end) return undefined;
    const key = text.slice(start, equals);
    if (keys.has(key)) return undefined;
    keys.set(key, text.slice(equals + 1, end));
  }
  return name === undefined ? undefined : { name, keys: Object.fromEntries(keys) };
}

/** A root's own path on the host, empty where it isn't mounted. */
export function pathOf({ keys, isPlain }: { readonly keys: Keys; readonly isPlain: boolean }): string {
  return isPlain ? (keys["directory"] ?? "") : `${keys["mount-location"] ?? ""}${keys["location"] ?? ""}`;
}

/** The items of a key's list. */
export function listOf(keys: Keys, key: string): string[] {
  return (keys[key] ?? "").split(",").filter((item) => item !== "");
}
