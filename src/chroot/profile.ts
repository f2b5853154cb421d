import { UserError } from "../error.ts";
import { unless } from "../kernel/error.ts";
import { exists, namesIn } from "../kernel/trusted.ts";
import { parseAssignments, type SetupVariable } from "./assignments.ts";
import { builtinName, type ProfileText, profileText } from "./builtin.ts";
import { configDirectory, readTrusted } from "./files.ts";
import { type FstabLine, parseFstab } from "./fstab.ts";
import { type CopyFile, type NssDatabase, parseCopyFiles, parseNssDatabases } from "./lists.ts";
import { problemError } from "./problem.ts";
import type { Chroot } from "./types.ts";

/** What a session gets of the host. Paths are as the files have them: whoever uses one resolves it in its root. */
export interface Profile {
  readonly name: string;
  readonly fstab: readonly FstabLine[];
  readonly copyFiles: readonly CopyFile[];
  readonly nssDatabases: readonly NssDatabase[];
}

type FileKind = keyof ProfileText;

/**
 * Reads the profile of a chroot: /etc/schroot/PROFILE/{fstab,copyfiles,nssdatabases}, or the files that the chroot's
 * `setup.` keys or the variables of schroot-script-config(5) name. The built-in one takes the place of missing files
 * of the profile `fallthru`, and of the profile `default` where schroot isn't installed.
 *
 * A plain chroot has no profile in schroot, as its administrator mounts what it needs inside. Below a union those
 * mounts aren't seen, so it gets the built-in ones instead, and nothing of the host's is copied.
 * @param looked gets the path of all that was looked at
 * @throws {UserError} config, where a file is missing or a line of it is bad
 */
export function readProfile(chroot: Chroot, directory: string = configDirectory, looked: string[] = []): Profile {
  const builtin = profileText();
  if (chroot.type === "plain") {
    return { name: "plain", fstab: parseFstab(builtin.fstab, "built-in fstab"), copyFiles: [], nssDatabases: [] };
  }
  const assigned = readAssignments(chroot, directory, looked);
  const read = (kind: FileKind): { readonly text: string; readonly file: string } => {
    const file = findFile(kind, chroot, assigned, directory);
    if (file === "") return { text: "", file };
    looked.push(file);
    const found = readTrusted(file);
    if (found !== undefined && "content" in found) return { text: found.content.toString("utf8"), file };
    if (found !== undefined) throw problemError(found);
    looked.push(`${directory}/${chroot.profile}`);
    if (isBuiltin(file, chroot, directory)) return { text: builtin[kind], file: `built-in ${kind}` };
    throw missingFile(file, chroot, directory);
  };
  const [fstab, copyFiles, nssDatabases] = [read("fstab"), read("copyfiles"), read("nssdatabases")];
  return {
    name: chroot.profile,
    fstab: parseFstab(fstab.text, fstab.file),
    copyFiles: parseCopyFiles(copyFiles.text, copyFiles.file),
    nssDatabases: parseNssDatabases(nssDatabases.text, nssDatabases.file),
  };
}

/** The file that says `kind`, in the order in which schroot's own setup scripts decide; empty for none at all. */
function findFile(kind: FileKind, chroot: Chroot, assigned: Map<SetupVariable, string>, directory: string): string {
  const variable = kind.toUpperCase() as Uppercase<FileKind>;
  const absolute = assigned.get(variable) ?? "";
  if (absolute !== "") return absolute.startsWith("/") ? absolute : `${directory}/${absolute}`;
  const key = chroot.setup.scriptConfig === undefined ? chroot.setup[kind] : undefined;
  const relative = assigned.get(`SETUP_${variable}`) ?? key ?? `${chroot.profile}/${kind}`;
  return relative === "" ? "" : `${directory}/${relative}`;
}

function readAssignments(chroot: Chroot, directory: string, looked: string[]): Map<SetupVariable, string> {
  const { config, scriptConfig } = chroot.setup;
  const shellFiles = [config ?? (scriptConfig === undefined ? `${chroot.profile}/config` : ""), scriptConfig ?? ""];
  const assigned = new Map<SetupVariable, string>();
  for (const name of shellFiles.filter((shellFile) => shellFile !== "")) {
    looked.push(`${directory}/${name}`);
    const found = readTrusted(`${directory}/${name}`);
    if (found === undefined) continue;
    if (!("content" in found)) throw problemError(found);
    const text = found.content.toString("utf8");
    for (const [variable, value] of parseAssignments(text, found.file)) assigned.set(variable, value);
  }
  return assigned;
}

/** Whether the built-in profile stands in for a file that isn't there. */
function isBuiltin(file: string, chroot: Chroot, directory: string): boolean {
  const profile = `${directory}/${chroot.profile}`;
  if (!file.startsWith(`${profile}/`)) return false;
  if (profile === `${directory}/${builtinName}`) return true;
  return profile === `${directory}/default` && !isThere(profile);
}

function missingFile(file: string, chroot: Chroot, directory: string): UserError {
  const entries = unless(["ENOENT"], () => namesIn(directory)) ?? [];
  const profiles = entries.filter((name) => isThere(`${directory}/${name}/fstab`));
  const names = [...new Set([...profiles, builtinName])].toSorted();
  return new UserError(
    "config",
    `${chroot.file}:${chroot.line}: [${chroot.name}] needs ${file}, which does not exist`,
    {
      hint: `profiles that there are: ${names.join(", ")}`,
    },
  );
}

function isThere(path: string): boolean {
  return exists(path);
}
