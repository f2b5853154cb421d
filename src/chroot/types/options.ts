import type { KeyReader } from "../keys.ts";
import type { DeviceMount } from "../types.ts";
import {
  hasComment,
  BadValue,
  parseAbsolutePath,
  parseBoolean,
  parseNames,
  parseOneOf,
  type ParseValue,
  parseText,
  unlessEmpty,
} from "../values.ts";

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
    overlayDirectory: keys.takeOptional("union-overlay-directory", unlessEmpty(parseAbsolutePath)),
    underlayDirectory: keys.takeOptional("union-underlay-directory", unlessEmpty(parseAbsolutePath)),
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
  if (old !== undefined && !keys.has("directory")) {
    keys.warning("location is the old name of directory, which is to be used in its place", { key: "location" });
    return old;
  }
  if (old !== undefined) keys.problem("location is an old name of directory, which is there too", { key: "location" });
  return keys.require("directory", parseAbsolutePath, "");
}

/** schroot.conf(5), "Mountable chroot options". */
export function takeMount(keys: KeyReader): DeviceMount {
  const none = { type: undefined, options: [], written: "" };
  return { ...keys.take("mount-options", parseMountWords, none), location: takeLocation(keys) };
}

/** Where the root is in an archive or on a device: `/` where nothing is said. */
export function takeLocation(keys: KeyReader): string {
  return keys.takeOptional("location", unlessEmpty(parseLocation)) ?? "/";
}

/** What takeMount() took, as schroot prints it. */
export function mountKeys({ written, location }: DeviceMount): Readonly<Record<string, string>> {
  return { "mount-options": written, location: writtenLocation(location) };
}

/** As schroot prints it: the top is nothing. */
export function writtenLocation(location: string): string {
  return location === "/" ? "" : location;
}

/** Also without its slash: it can only be meant from the top. */
const parseLocation: ParseValue<string> = (text) => parseAbsolutePath(text.startsWith("/") ? text : `/${text}`);

/** What is written for mount(8), `-o atime,sync -t ext4`; bare options are meant to stand behind `-o`. */
const parseMountWords: ParseValue<Omit<DeviceMount, "location">> = (text) => {
  if (hasComment(text)) throw new BadValue(`${JSON.stringify(text)} has a comment behind it`);
  const words = splitWords(text);
  const options: string[] = [];
  let type: string | undefined;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    const [, flag = "", joined = ""] = /^(-[a-z]|--[a-z]+=?)(.*)$/.exec(word) ?? [];
    const value = (): string => (joined === "" ? (words[++at] ?? "") : joined);
    if (flag === "-o" || flag.startsWith("--options")) options.push(...value().split(","));
    else if (flag === "-t" || flag.startsWith("--types")) type = value();
    else if (word === "-r" || word === "--read-only") options.push("ro");
    else if (word === "-w" || word === "--rw") options.push("rw");
    else if (flag === "") options.push(...word.split(","));
    else throw new BadValue(`${word} isn't an option that can be given to a mount here`, "-o OPTIONS, -t TYPE");
  }
  const named = type === "auto" ? undefined : type;
  return { type: named, options: options.filter((option) => option !== ""), written: text };
};

/** Words for a program, as schroot's scripts split them: at white space, whatever quotes there are. */
export const splitWords: ParseValue<readonly string[]> = (text) => text.split(/\s+/).filter((word) => word !== "");
