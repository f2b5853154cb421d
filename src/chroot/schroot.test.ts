import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readChroots } from "./config.ts";
import type { Chroot } from "./types.ts";
import { findType } from "./types/index.ts";
import type { SourceOptions, UnionOptions } from "./types/options.ts";
import { writeChroot } from "./write.ts";

// The real schroot is asked about the same files: it must say what we say of everything that it takes without a word.

let top = "";
let dir = "";
beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), "oracle-"));
  dir = join(top, "etc");
  cpSync("/etc/schroot", dir, { recursive: true });
  rmSync(join(dir, "chroot.d"), { recursive: true });
  mkdirSync(join(dir, "chroot.d"));
  writeFileSync(join(dir, "schroot.conf"), "# empty\n");
  for (let index = 0; index < 40; index++) writeFileSync(join(dir, `chroot.d/f${index}.conf`), makeFile(index));
});
afterAll(() => rmSync(top, { recursive: true }));

/** Runs a shell command where our directory is /etc/schroot; the machine sees nothing of it. */
function withConfig(command: string): string {
  const mounts =
    'mount --bind "$0" /etc/schroot && mount -t tmpfs tmpfs /run && mkdir /run/lock && mount --bind "$1" /var/lib/schroot';
  const state = join(top, "state");
  for (const name of ["session", "unpack", "union/overlay", "union/underlay"])
    mkdirSync(join(state, name), { recursive: true });
  const script = `${mounts} && { ${command}; } 2>&1`;
  const env = { ...process.env, LC_ALL: "C.UTF-8" };
  const args = ["-m", "--propagation", "private", "sh", "-c", script, dir, state];
  return execFileSync("unshare", args, { encoding: "utf8", env });
}

/** The keys of each type that isn't a directory's. */
const mountable = ["mount-options=-o atime,sync", "location=/inner/root"];
const ownKeys: Record<
  string,
  { readonly required: readonly string[]; readonly optional: readonly string[]; readonly isSource?: true }
> = {
  file: { required: ["file=/srv/root.tar.xz"], optional: ["location=/inner"], isSource: true },
  loopback: { required: ["file=/srv/root.ext4"], optional: mountable },
  "block-device": { required: ["device=/dev/sda5"], optional: mountable },
  "btrfs-snapshot": {
    required: ["btrfs-source-subvolume=/srv/root", "btrfs-snapshot-directory=/srv/snapshots"],
    optional: [],
    isSource: true,
  },
  "lvm-snapshot": {
    required: ["device=/dev/vg/root", "lvm-snapshot-options=-L 2g"],
    optional: mountable,
    isSource: true,
  },
  "zfs-snapshot": { required: ["zfs-dataset=tank/root"], optional: ["zfs-snapshot-options=-o x=y"], isSource: true },
  custom: { required: [], optional: ["custom-source-cloneable=true"] },
};

/** A file with one to three good stanzas. The same numbers give the same file each time. */
function makeFile(file: number): string {
  let seed = file * 7919 + 17;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  const pick = <T>(choices: readonly T[]): T => choices[random(choices.length)] as T;
  const list = (): string => pick(["", "root", "root,daemon", "root,,sbuild,", ",bin", "domain users,root"]);
  const stanza = (index: number): string => {
    const name = `${pick(["sid", "Book.worm", "9", "a_b-c"])}-${file}-${index}`;
    const type = pick(["directory", "directory", "plain", ...Object.keys(ownKeys)]);
    const own = ownKeys[type];
    const hasUnion = ["directory", "loopback", "block-device"].includes(type);
    const union = pick(["none", "overlay", "aufs", "overlayfs", "unionfs"]);
    const directory = `directory=/srv/${pick(["x", "a b", "x/../y", "é", "a=b"])}/${name}`;
    const lines = [
      ...(own === undefined ? [directory] : []),
      `description=${pick(["", "A root", "a=b; c # d", '"quoted"', "été"])}`,
      "description[fr]=Une racine",
      `users=${list()}`,
      `groups=${list()}`,
      `root-users=${list()}`,
      `root-groups=${list()}`,
      `aliases=${pick(["", `alias-${name}`, `one-${name},,two.${name}`])}`,
      `profile=${pick(["default", "sbuild", "nowhere"])}`,
      `command-prefix=${pick(["", "nice,-n,5", "env,A=b c"])}`,
      `message-verbosity=${pick(["quiet", "normal", "verbose"])}`,
      `preserve-environment=${pick(["true", "false", "yes", "no", "1", "0"])}`,
      `shell=${pick(["", "/bin/dash"])}`,
      `personality=${pick(["undefined", "linux", "linux32"])}`,
      `user-modifiable-keys=${pick(["", "debian.dist"])}`,
      `debian.dist=${pick(["", "sid # or so"])}`,
      `setup.fstab=${pick(["", "x/fstab", "/abs/fstab"])}`,
    ].filter(() => random(4) > 0 || index === 0);
    if (own === undefined && !lines.includes(directory)) lines.push(`directory=/srv/${name}`);
    lines.push(...(own?.required ?? []), ...(own?.optional.filter(() => random(2) === 0) ?? []));
    if (hasUnion) lines.push(`union-type=${union}`);
    if (hasUnion && union !== "none") lines.push("source-users=root,bin", "union-overlay-directory=/over");
    if (own?.isSource === true && random(2) === 0) lines.push("source-root-users=root,bin", "source-clone=false");
    if (type !== "plain" || random(2) === 0) lines.push(`type=${type}`);
    for (let at = lines.length; at > 0; at--)
      if (random(6) === 0) lines.splice(at, 0, pick(["", "# users=nobody", "#"]));
    return `[${name}]${pick(["", " ", " # mine"])}\n${lines.join("\n")}\n`;
  };
  return Array.from({ length: 1 + random(3) }, (_, index) => stanza(index)).join(pick(["", "\n", "# next\n"]));
}

/** What `schroot --config` prints for a chroot, from what we read. */
function asConfig(chroot: Chroot): Record<string, string> {
  const names = (list: readonly string[]): string => list.join(",");
  return {
    type: chroot.type,
    ...findType(chroot.type)?.keys(chroot),
    description: chroot.description,
    users: names(chroot.users),
    groups: names(chroot.groups),
    "root-users": names(chroot.rootUsers),
    "root-groups": names(chroot.rootGroups),
    aliases: names(chroot.aliases),
    profile: chroot.profile,
    "command-prefix": names(chroot.commandPrefix),
    "message-verbosity": chroot.messageVerbosity,
    "preserve-environment": String(chroot.preserveEnvironment),
    shell: chroot.shell ?? "",
    "user-modifiable-keys": names(chroot.userModifiableKeys),
    "root-modifiable-keys": names(chroot.rootModifiableKeys),
    "setup.fstab": chroot.setup.fstab ?? `${chroot.profile}/fstab`,
    ...(chroot.personality === "undefined" ? {} : { personality: chroot.personality }),
    ...chroot.custom,
    ...("union" in chroot ? unionConfig(chroot) : {}),
    ...("source" in chroot && !("union" in chroot) && chroot.type !== "custom"
      ? { "source-clone": String(chroot.source.clone), "source-root-users": chroot.source.rootUsers.join(",") }
      : {}),
  };
}

function unionConfig({
  union,
  source,
}: Chroot & { union: UnionOptions; source: SourceOptions }): Record<string, string> {
  if (union.type === "none") return { "union-type": "none" };
  return {
    "union-type": union.type,
    "union-overlay-directory": union.overlayDirectory ?? "",
    "source-users": source.users.join(","),
    "source-clone": String(source.clone),
  };
}

/** The groups of `schroot --config`, by name. */
function parseOutput(output: string): Map<string, Record<string, string>> {
  const groups = new Map<string, Record<string, string>>();
  let group: Record<string, string> = {};
  for (const line of output.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    if (line.startsWith("[")) groups.set(line.slice(1, -1), (group = {}));
    else group[line.slice(0, line.indexOf("="))] = line.slice(line.indexOf("=") + 1);
  }
  return groups;
}

test("schroot --config agrees with readChroots() on every good file", () => {
  const theirs = parseOutput(withConfig("schroot --config"));
  const { chroots, problems } = readChroots(dir);
  expect(problems).toEqual([]);
  expect(chroots.length).toBeGreaterThan(60);
  expect([...theirs.keys()].toSorted()).toEqual(chroots.map((chroot) => chroot.name).toSorted());
  for (const chroot of chroots) {
    const ours = asConfig(chroot);
    const their = theirs.get(chroot.name) ?? {};
    const compared = Object.fromEntries(Object.keys(ours).map((key) => [key, their[key]]));
    expect({ name: chroot.name, ...compared }).toEqual({ name: chroot.name, ...ours });
  }
});

test("schroot --list agrees with readChroots() on names and aliases", () => {
  const listed = withConfig("schroot --list --all-chroots").trim().split("\n");
  const theirs = listed.map((name) => name.replace(/^chroot:/, "")).filter((name) => !name.endsWith("-source"));
  const ours = readChroots(dir).chroots.flatMap((chroot) => [chroot.name, ...chroot.aliases]);
  expect(theirs.toSorted()).toEqual(ours.toSorted());
});

test("schroot --info agrees with readChroots() on directories and lists", () => {
  const records = withConfig("schroot --info --all-chroots --exclude-aliases").split(/^ {2}─── .* ───$/m);
  const field = (record: string, name: string): string | undefined =>
    new RegExp(`^  ${name} +(.*?) *$`, "m").exec(record)?.[1];
  const theirs = records
    .filter((record) => record.includes("  Directory  "))
    .map((record) => ["Name", "Directory", "Users", "Root Groups", "Aliases"].map((name) => field(record, name) ?? ""));
  const ours = readChroots(dir).chroots.flatMap((chroot) => {
    if (!("directory" in chroot)) return [];
    const { name, directory, users, rootGroups, aliases } = chroot;
    return [[name, directory, users.join(" "), rootGroups.join(" "), aliases.join(" ")]];
  });
  const byName = ([a = ""]: string[], [b = ""]: string[]): number => (a < b ? -1 : 1);
  expect(theirs.toSorted(byName)).toEqual(ours.toSorted(byName));
});

test("schroot uses a chroot that writeChroot() described", () => {
  const root = join(top, "root");
  for (const name of ["etc", "proc", "sys", "dev/pts", "dev/shm"]) mkdirSync(join(root, name), { recursive: true });
  for (const program of ["/bin/sh", "/bin/cat"]) {
    const libraries = execFileSync("ldd", [program], { encoding: "utf8" }).match(/\/\S+/g) ?? [];
    for (const file of [program, ...libraries]) {
      mkdirSync(join(root, dirname(file)), { recursive: true });
      cpSync(file, join(root, file), { dereference: true });
    }
  }
  writeChroot({ name: "ours", description: "Written by us", directory: root }, dir);
  expect(withConfig("schroot --list").split("\n")).toContain("chroot:ours");
  expect(withConfig("schroot --info --chroot ours")).toContain("Written by us");
  const script =
    "cat /etc/hosts; while read -r device target type rest; do echo $target $type; done < /proc/mounts; echo x > /new";
  const output = withConfig(`cat /etc/hosts; echo ----; schroot --chroot ours --directory / -- /bin/sh -c '${script}'`);
  const [hosts, inside] = output.split("----\n");
  const mounts = ["/ overlay", "/proc proc", "/sys sysfs", "/dev/pts devpts", "/dev/shm tmpfs"];
  expect(inside).toBe(`${hosts}${mounts.join("\n")}\n`);
  expect(execFileSync("ls", [root], { encoding: "utf8" })).not.toContain("new");
});
