import { UserError } from "../../error.ts";
import { MOUNT_ATTR } from "../../kernel/abi/mount.ts";

/** What a mount of ours is asked for. Paths are the host's, absolute. */
export interface FallthruMount {
  readonly lowers: readonly string[];
  /** Below them: lowers of which nothing shows but the content that files in the others say is there. */
  readonly dataLowers: readonly string[];
  readonly upper: string | undefined;
  readonly work: string | undefined;
  /** What mountinfo and df(1) show in the place of a device. */
  readonly source: string;
  readonly readOnly: boolean;
  /** MOUNT_ATTR flags. */
  readonly attributes: number;
  readonly metacopy: boolean;
  readonly index: boolean;
  /** Nothing is synced: it need not survive a loss of power. */
  readonly volatile: boolean;
  /** The kernel reads and writes files of the upper itself (default: true); undefined where nobody has said so: see opensFiles(). */
  readonly passthrough: boolean | undefined;
  /** Directories from below may be renamed: what is moved says where it was. */
  readonly redirects: boolean;
  /** Which attributes hold the marks; undefined: those that are allowed. */
  readonly marks: "trusted" | "user" | undefined;
  /** How many files the server remembers itself; undefined: as many as the union does by default. */
  readonly remember: number | undefined;
  /** What the upper is written in; undefined: whichever it was, or its file system can hold. */
  readonly dialect: "overlay" | "aufs" | undefined;
  /** What all lowers are written in; undefined: aufs's format where they show its traces, else overlayfs's. */
  readonly lowerDialect: "overlay" | "aufs" | undefined;
}

/**
 * Whether the server is asked at each opening. Passthrough needs that; without it the kernel asks for what it hasn't cached
 * alone, so strictatime, which counts every reading, needs it too.
 */
export function opensFiles({ passthrough = true, attributes }: FallthruMount): boolean {
  return passthrough || (attributes & MOUNT_ATTR.STRICTATIME) !== 0;
}

const switches = new Map([
  ["on", true],
  ["off", false],
]);

/** Mount options of mount(8), and which attribute they set or clear. */
const attributeOptions: ReadonlyMap<string, readonly [set: number, clear: number]> = new Map([
  ["nosuid", [MOUNT_ATTR.NOSUID, 0]],
  ["suid", [0, MOUNT_ATTR.NOSUID]],
  ["nodev", [MOUNT_ATTR.NODEV, 0]],
  ["dev", [0, MOUNT_ATTR.NODEV]],
  ["noexec", [MOUNT_ATTR.NOEXEC, 0]],
  ["exec", [0, MOUNT_ATTR.NOEXEC]],
  ["noatime", [MOUNT_ATTR.NOATIME, MOUNT_ATTR.ATIME__MASK]],
  ["strictatime", [MOUNT_ATTR.STRICTATIME, MOUNT_ATTR.ATIME__MASK]],
  ["relatime", [0, MOUNT_ATTR.ATIME__MASK]],
  ["nodiratime", [MOUNT_ATTR.NODIRATIME, 0]],
  ["nosymfollow", [MOUNT_ATTR.NOSYMFOLLOW, 0]],
]);

/** What fstab(5) has for mount(8) itself, and what changes nothing here. */
const ignored = new Set(
  (
    "defaults rw auto noauto nofail user nouser users group owner _netdev async diratime loud silent norelatime atime " +
    "allow_other default_permissions"
  ).split(" "),
);

/**
 * Reads options as mount(8) writes them, those of overlayfs among them: `lowerdir=TOP:…:BOTTOM,upperdir=U,workdir=W`,
 * where a backslash stands before a colon or comma of a name.
 * @param resolve makes a path absolute
 */
export function parseMountOptions(
  texts: readonly string[],
  source: string,
  resolve: (path: string) => string,
): FallthruMount {
  const values = new Map<string, string>();
  let [attributes, readOnly] = [0, false];
  for (const option of texts.flatMap((text) => splitUnescaped(text, ","))) {
    const [key, value] = keyAndValue(option);
    const change = attributeOptions.get(option);
    if (change !== undefined) attributes = (attributes & ~change[1]) | change[0];
    else if (option === "ro") readOnly = true;
    else if (option === "userxattr") values.set("marks", "user");
    else if (option === "volatile") values.set("volatile", "on");
    else if (known.has(key) && value !== undefined) values.set(key, value);
    else if (option !== "" && !ignored.has(option) && !/^(x-|xino=|nfs_export=|uuid=)/.test(option))
      throw unknownOption(option);
  }
  const path = (key: string): string | undefined => {
    const value = values.get(key);
    return value === undefined ? undefined : resolve(unescape_(value));
  };
  const upper = path("upperdir");
  return {
    ...parseLowers(values.get("lowerdir") ?? "", resolve),
    upper,
    work: path("workdir") ?? (upper === undefined ? undefined : `${upper}.work`),
    source: values.get("source") ?? source,
    readOnly: readOnly || upper === undefined,
    attributes,
    metacopy: switchOf(values, "metacopy"),
    index: switchOf(values, "index"),
    volatile: values.has("volatile"),
    passthrough: values.has("passthrough") ? switchOf(values, "passthrough") : undefined,
    // overlayfs has two more words for off: they say what becomes of redirects that are there, which we follow.
    redirects: !["off", "follow", "nofollow"].includes(values.get("redirect_dir") ?? "on"),
    marks: values.get("marks") === "user" ? "user" : undefined,
    remember: countOf(values, "remember"),
    dialect: dialectOf(values, "dialect"),
    lowerDialect: dialectOf(values, "lowerdialect"),
  };
}

/** `TOP:…:BOTTOM::DATA::…::DATA`, as overlayfs has it. */
function parseLowers(text: string, resolve: (path: string) => string): Pick<FallthruMount, "lowers" | "dataLowers"> {
  const names = splitUnescaped(text, ":");
  const gap = names.indexOf("");
  const [lowers, data] = gap < 0 || text === "" ? [names, []] : [names.slice(0, gap), names.slice(gap + 1)];
  // Each is set off by two colons: every second one here is empty.
  if (data.some((name, at) => (name === "") !== (at % 2 === 1)) || (text !== "" && lowers.length === 0)) {
    throw new UserError("usage", `lowerdir=${text} has an empty name`, {
      hint: "lowerdir=TOP:…:BOTTOM, and behind it ::DATA for each layer of which only content is wanted",
    });
  }
  const paths = (all: readonly string[]): string[] =>
    all.filter((name) => name !== "").map((name) => resolve(unescape_(name)));
  return { lowers: paths(lowers), dataLowers: paths(data) };
}

const known = new Set([
  "lowerdir",
  "upperdir",
  "workdir",
  "metacopy",
  "index",
  "redirect_dir",
  "passthrough",
  "remember",
  "source",
  "dialect",
  "lowerdialect",
]);

function unknownOption(option: string): UserError {
  const hint =
    "lowerdir=, upperdir=, workdir=, ro, index=, metacopy=, redirect_dir=, passthrough=, remember=, userxattr, dialect=, lowerdialect=, and mount(8)'s own";
  return new UserError("usage", `no mount option ${option}`, { hint });
}

function dialectOf(values: ReadonlyMap<string, string>, key: string): "overlay" | "aufs" | undefined {
  const value = values.get(key) ?? "auto";
  if (value === "auto") return undefined;
  if (value === "overlay" || value === "aufs") return value;
  throw new UserError("usage", `${key} is overlay, aufs or auto`);
}

function switchOf(values: ReadonlyMap<string, string>, key: string): boolean {
  const value = switches.get(values.get(key) ?? "on");
  if (value === undefined) throw new UserError("usage", `${key} is either on or off`);
  return value;
}

function countOf(values: ReadonlyMap<string, string>, key: string): number | undefined {
  const value = values.get(key);
  if (value === undefined || /^[1-9]\d{0,8}$/.test(value)) return value === undefined ? undefined : Number(value);
  throw new UserError("usage", `${key} is a number of files, at least 1`);
}

function keyAndValue(option: string): [string, string | undefined] {
  const at = option.indexOf("=");
  return at === -1 ? [option, undefined] : [option.slice(0, at), option.slice(at + 1)];
}

/** Splits at `separator` where no backslash stands before it; backslashes stay. */
function splitUnescaped(text: string, separator: string): string[] {
  const parts = [""];
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? "";
    if (char === separator) parts.push("");
    else parts.push((parts.pop() ?? "") + (char === "\\" ? char + (text[++at] ?? "") : char));
  }
  return parts;
}

function unescape_(text: string): string {
  return text.replace(/\\(.)/gs, "$1");
}
