import type { Name } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import { Fd } from "../../kernel/fd.ts";
import { readAll } from "../../kernel/file.ts";
import { openFileAt } from "./below.ts";
import type { Change, UnionTrees } from "./types.ts";

/** What the changes mean for a Debian package. */
export interface PackageChange {
  readonly what: "installed" | "removed" | "upgraded" | "downgraded";
  readonly name: string;
  readonly architecture: string;
  readonly from?: string;
  readonly to?: string;
}

const statusFile: Name = "var/lib/dpkg/status";

/** What dpkg's status says on both sides; nothing where that has not changed. */
export function packageChanges(trees: readonly UnionTrees[], changes: readonly Change[]): PackageChange[] {
  const touched = changes.find(({ path, union }) => path === statusFile && trees[union]?.at === "/");
  const tree = touched && trees[touched.union];
  if (tree === undefined) return [];
  return comparePackages(readStatus(tree.before), readStatus(tree.after));
}

function readStatus(root: Fd): string {
  const fd = unless(["ENOENT", "ENOTDIR", "ELOOP"], () => openFileAt(root, statusFile));
  if (fd === undefined) return "";
  using file = new Fd(fd, statusFile, root);
  return readAll(file).toString("utf8");
}

/** By the texts of two files /var/lib/dpkg/status. */
function comparePackages(before: string, after: string): PackageChange[] {
  const [was, now] = [parseStatus(before), parseStatus(after)];
  const changes: PackageChange[] = [];
  for (const key of [...new Set([...was.keys(), ...now.keys()])].toSorted()) {
    const [from, to] = [was.get(key), now.get(key)];
    const { name, architecture } = to ?? from ?? { name: key, architecture: "" };
    if (from === undefined && to !== undefined) changes.push({ what: "installed", name, architecture, to: to.version });
    else if (to === undefined && from !== undefined)
      changes.push({ what: "removed", name, architecture, from: from.version });
    else if (from !== undefined && to !== undefined && from.version !== to.version) {
      const what = compareVersions(from.version, to.version) < 0 ? "upgraded" : "downgraded";
      changes.push({ what, name, architecture, from: from.version, to: to.version });
    }
  }
  return changes;
}

interface Package {
  readonly name: string;
  readonly architecture: string;
  readonly version: string;
}

/** Those that are there, whole or half; of removed ones only the configuration is. */
function parseStatus(text: string): Map<string, Package> {
  const packages = new Map<string, Package>();
  for (const stanza of text.split("\n\n")) {
    const field = (name: string): string => new RegExp(`^${name}: *(.*)$`, "m").exec(stanza)?.[1] ?? "";
    const state = field("Status").split(" ").at(-1) ?? "";
    const [name, architecture] = [field("Package"), field("Architecture")];
    if (name === "" || ["", "config-files", "not-installed"].includes(state)) continue;
    packages.set(`${name}:${architecture}`, { name, architecture, version: field("Version") });
  }
  return packages;
}

/** As dpkg orders them: epoch, upstream version, revision. @see deb-version(7) */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [splitVersion(one), splitVersion(other)];
  return a.epoch - b.epoch || compareParts(a.upstream, b.upstream) || compareParts(a.revision, b.revision);
}

function splitVersion(version: string): { epoch: number; upstream: string; revision: string } {
  const colon = version.indexOf(":");
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf("-");
  return {
    epoch: colon < 0 ? 0 : Number(version.slice(0, colon)),
    upstream: dash < 0 ? rest : rest.slice(0, dash),
    revision: dash < 0 ? "" : rest.slice(dash + 1),
  };
}

/** Runs of what isn't a digit and of digits take turns. */
function compareParts(one: string, other: string): number {
  const [a, b] = [one.match(/\D*\d*/g) ?? [], other.match(/\D*\d*/g) ?? []];
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const [, text = "", digits = ""] = /^(\D*)(\d*)$/.exec(a[at] ?? "") ?? [];
    const [, otherText = "", otherDigits = ""] = /^(\D*)(\d*)$/.exec(b[at] ?? "") ?? [];
    const order = compareTexts(text, otherText) || Number(digits) - Number(otherDigits);
    if (order !== 0) return order;
  }
  return 0;
}

/** `~` comes before everything, the end too; letters come before other characters. */
function compareTexts(one: string, other: string): number {
  const weight = (char: string): number =>
    char === "~" ? -1 : char === "" ? 0 : /[a-zA-Z]/.test(char) ? char.charCodeAt(0) : char.charCodeAt(0) + 256;
  for (let at = 0; at < Math.max(one.length, other.length); at++) {
    const order = weight(one.charAt(at)) - weight(other.charAt(at));
    if (order !== 0) return order;
  }
  return 0;
}
