import { type Keys, listOf, pathOf } from "./keys.ts";
import type { Subject } from "./subjects.ts";

/** One subject as `--info` shows it, a label and a value on each line. */
export function infoText(subject: Subject): string {
  const lines = infoLines(subject);
  const width = Math.max(...lines.map(([label]) => label.length)) + 2;
  const titles = { chroot: "Chroot", source: "Source", session: "Session" } as const;
  const title = titles[subject.isPlain ? "chroot" : subject.namespace];
  return `  ─── ${title} ───\n${lines.map(([label, value]) => `  ${label.padEnd(width)}${value}\n`).join("")}`;
}

type Line = readonly [label: string, value: string];

function infoLines({ namespace, name, keys, isPlain, isCloned }: Subject): Line[] {
  const isSession = namespace === "session" && !isPlain;
  const list = (key: string) => listOf(keys, key).join(" ");
  return [
    ["Name", name],
    ["Description", keys["description"] ?? ""],
    ["Type", keys["type"] ?? ""],
    ["Message Verbosity", keys["message-verbosity"] ?? ""],
    ["Users", list("users")],
    ["Groups", list("groups")],
    ["Root Users", list("root-users")],
    ["Root Groups", list("root-groups")],
    ["Aliases", list("aliases")],
    ["Preserve Environment", keys["preserve-environment"] ?? ""],
    ["Default Shell", keys["shell"] ?? ""],
    ["Environment Filter", keys["environment-filter"] ?? ""],
    ["Run Setup Scripts", String(!isPlain)],
    ["Configuration Profile", keys["profile"] ?? ""],
    ["Script Configuration", keys["script-config"] ?? ""],
    ["Session Managed", String(!isSession && !isPlain)],
    ["Session Cloned", String(isCloned && namespace === "chroot")],
    ["Session Purged", String(isSession && isCloned)],
    ...some("Command Prefix", list("command-prefix")),
    ...placeLines(keys, isPlain),
    ...typeLines(keys, namespace),
    ["Personality", keys["personality"] ?? "undefined"],
    ["User Modifiable Keys", list("user-modifiable-keys")],
    ["Root Modifiable Keys", list("root-modifiable-keys")],
    ["User Data", ""],
    // Nobody but administrators' own keys and those of the setup scripts have a dot.
    ...userKeys(keys).map((key): Line => [`  ${key}`, keys[key] ?? ""]),
    ...mountLines(keys),
    ...unionLines(keys),
    ...sessionLines(keys, isSession),
    ...sourceLines(keys),
  ];
}

function some(label: string, value: string | undefined): Line[] {
  return value === undefined || value === "" ? [] : [[label, value]];
}

function userKeys(keys: Keys): string[] {
  return Object.keys(keys)
    .filter((key) => key.includes("."))
    .toSorted();
}

/** Where the root is for those who look from outside; only plain chroots and sessions are somewhere. */
function placeLines(keys: Keys, isPlain: boolean): Line[] {
  const mountLocation = keys["mount-location"];
  return [...some("Mount Location", mountLocation), ...some("Path", pathOf({ keys, isPlain }))];
}

/** In schroot's order: what each type is made of. */
const typeLabels = {
  directory: "Directory",
  device: "Device",
  file: "File",
  "btrfs-source-subvolume": "Btrfs Source Subvolume",
  "btrfs-snapshot-directory": "Btrfs Snapshot Directory",
  "btrfs-snapshot-name": "Btrfs Snapshot Name",
  "zfs-dataset-name": "ZFS Source Dataset",
  "zfs-snapshot-options": "ZFS Snapshot Options",
  "lvm-snapshot-device": "LVM Snapshot Device",
  "lvm-snapshot-options": "LVM Snapshot Options",
} as const;

function typeLines(keys: Keys, namespace: Subject["namespace"]): Line[] {
  const lines = Object.entries(typeLabels).flatMap(([key, label]) => some(label, keys[key]));
  if (keys["type"] !== "file") return lines;
  const isRepacked = keys["file-repack"] ?? String(namespace === "source");
  return [...lines, ["File Repack", isRepacked], ...some("Location", keys["location"])];
}

function mountLines(keys: Keys): Line[] {
  const device = some("Mount Device", keys["mount-device"]);
  const options = [...device, ...some("Mount Options", keys["mount-options"])];
  return keys["type"] === "file" ? options : [...options, ...some("Location", keys["location"])];
}

function unionLines(keys: Keys): Line[] {
  const type = keys["union-type"];
  if (type === undefined) return [];
  if (type === "none") return [["Filesystem Union Type", type]];
  return [
    ["Filesystem Union Type", type],
    ...some("Filesystem Union Mount Options", keys["union-mount-options"]),
    ["Filesystem Union Overlay Directory", keys["union-overlay-directory"] ?? ""],
    ["Filesystem Union Underlay Directory", keys["union-underlay-directory"] ?? ""],
  ];
}

function sessionLines(keys: Keys, isSession: boolean): Line[] {
  if (!isSession) return [];
  return [
    ["Original Chroot Name", keys["original-name"] ?? ""],
    ["Selected Chroot Name", keys["selected-name"] ?? ""],
    ["Session ID", keys["name"] ?? ""],
  ];
}

function sourceLines(keys: Keys): Line[] {
  if (keys["source-clone"] !== "true") return [];
  const list = (key: string) => listOf(keys, key).join(" ");
  return [
    ["Source Users", list("source-users")],
    ["Source Groups", list("source-groups")],
    ["Source Root Users", list("source-root-users")],
    ["Source Root Groups", list("source-root-groups")],
  ];
}
