import { basename, dirname } from "node:path";
import { UserError } from "../error.ts";
import { installProfile } from "./builtin.ts";
import { readStanza } from "./chroot.ts";
import { allNames, findDescriptions, notFound, readStanzas } from "./config.ts";
import { openForWriting, removeFileAt, writeNewFileAt } from "./create.ts";
import { configDirectory } from "./files.ts";
import { checkName } from "./names.ts";
import { parseConfig } from "./parse.ts";
import type { Chroot } from "./types.ts";
import { describeRoot } from "./types/index.ts";

/** A chroot that is to be described. */
export interface NewChroot {
  readonly name: string;
  /** Without it `directory`. */
  readonly type?: "directory" | "file" | "loopback" | "btrfs-snapshot";
  /** Where the root is: a directory or, as the type says, an archive, image or subvolume. Absolute; whether it is there isn't looked at. */
  readonly directory: string;
  /** One line. */
  readonly description: string;
}

/**
 * Describes a new chroot in chroot.d/NAME.conf, for us and for schroot, and installs the profile that it names.
 * The file is there whole or not at all; of two writers of one name the second is refused.
 * @throws {UserError} usage, for what can't be described; exists, where the name is taken
 */
export function writeChroot(described: NewChroot, directory: string = configDirectory): Chroot {
  const { name } = described;
  checkName(name);
  const file = `${directory}/chroot.d/${name}.conf`;
  const text = chrootText(described);
  const chroot = readBack(text, file, described);
  using chroots = openForWriting(dirname(file));
  checkFree(name, directory);
  installProfile(directory);
  if (!writeNewFileAt(chroots, basename(file), text)) {
    throw new UserError("exists", `the file ${file} is there already`, { hint: "take another name, or move it away" });
  }
  return chroot;
}

/** @throws {UserError} exists, where a chroot has this name or alias */
export function checkFree(name: string, directory: string = configDirectory): void {
  const [taken] = findDescriptions(readStanzas(directory, name).stanzas, name);
  if (taken === undefined) return;
  const what = taken.name === name ? "a chroot" : `an alias of the chroot ${taken.name}`;
  throw new UserError("exists", `${name} is ${what} already, described at ${taken.file}:${taken.line}`, {
    hint: `take another name, or remove it: \`fallthru chroot remove ${taken.name}\``,
  });
}

/**
 * Removes a chroot's description, not its root. A chroot whose description has mistakes can be removed too.
 * @returns the file that was removed
 * @throws {UserError} not-found; unsupported, where its file isn't its own
 */
export function removeChroot(name: string, directory: string = configDirectory): string {
  const { stanzas, problems } = readStanzas(directory);
  const [found, second] = stanzas.filter((stanza) => stanza.name === name && name !== "");
  if (found === undefined) throw notFound(name, directory, { names: allNames(stanzas), problems });
  const own = `${directory}/chroot.d/${basename(found.file)}`;
  const others = stanzas.filter((stanza) => stanza.file === found.file && stanza !== found);
  if (others.length > 0 || second !== undefined || found.file !== own) {
    throw new UserError("unsupported", `the description of ${name} has no file of its own`, {
      hint: `delete the lines ${found.line} to ${found.lastLine} of ${found.file} by hand`,
    });
  }
  using chroots = openForWriting(dirname(own));
  removeFileAt(chroots, basename(own));
  return own;
}

/** Only the superuser may use it; the union is the one that both tools know. */
function chrootText({ name, type = "directory", directory, description }: NewChroot): string {
  return `[${name}]
type=${type}
description=${description}
${rootKeys[type](directory)}
profile=fallthru
users=root
root-users=root
groups=root
root-groups=root
`;
}

const rootKeys: Readonly<Record<NonNullable<NewChroot["type"]>, (path: string) => string>> = {
  directory: (path) => `directory=${path}\nunion-type=overlay`,
  file: (path) => `file=${path}`,
  loopback: (path) => `file=${path}\nunion-type=overlay`,
  "btrfs-snapshot": (path) => `btrfs-source-subvolume=${path}\nbtrfs-snapshot-directory=${dirname(path)}/snapshots`,
};

/** Makes sure that the description says what was meant, whatever characters there are in it. */
function readBack(text: string, file: string, meant: NewChroot): Chroot {
  const [stanza, ...others] = parseConfig(text, file).stanzas;
  const reading = stanza === undefined ? undefined : readStanza(stanza);
  if (reading?.kind === "spoilt" && others.length === 0) {
    throw new UserError("usage", `describe ${meant.name}: ${reading.problems[0]?.message}`);
  }
  if (reading?.kind !== "chroot" || others.length > 0 || !isMeant(reading.chroot, meant)) {
    throw new UserError("usage", `describe ${meant.name}: its directory or description can't be written on one line`, {
      hint: "neither may have white space at its ends, or line breaks",
    });
  }
  return reading.chroot;
}

function isMeant(chroot: Chroot, { directory, description }: NewChroot): boolean {
  const components = (path: string) => path.split("/").filter((component) => component !== "" && component !== ".");
  const same = components(describeRoot(chroot)).join("/") === components(directory).join("/");
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return same && chroot.description === description && !/[\u0000-\u001f\u007f]/.test(description);
}
