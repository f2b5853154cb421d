import { type Described, readDescribed } from "../chroot/described.ts";
import type { Chroot, RootSource } from "../chroot/types.ts";
import { locateDirectory } from "../chroot/types/check.ts";
import { findScripts, type Scripts } from "./scripts.ts";

/** What a session is a view of. */
export type Source =
  | { readonly kind: "host"; readonly name: string }
  | (Described & {
      readonly kind: "chroot";
      /** What its description isn't as it should be in, a line each. */
      readonly warnings: readonly string[];
      readonly root: RootSource;
      readonly scripts?: Scripts;
      /** The name or alias that it was asked for by. */
      readonly selectedName?: string;
    });

/** The name that stands for the machine's own root wherever a chroot's name can stand. */
export const hostName = "host";

/** @throws {UserError} not-found, config */
export async function findSource(asked: string | Chroot): Promise<Source> {
  if (asked === hostName) return { kind: "host", name: hostName };
  const described = await (typeof asked === "string" ? readDescribed(asked) : withProfile(asked));
  const { chroot } = described;
  return { kind: "chroot", ...described, root: await rootOf(chroot), warnings: await warningsOf(chroot) };
}

async function withProfile(chroot: Chroot): Promise<Described> {
  const { readProfile } = await import("../chroot/profile.ts");
  return { chroot, profile: readProfile(chroot) };
}

async function warningsOf({ warnings }: Chroot): Promise<string[]> {
  return warnings.length === 0 ? [] : warnings.map((await import("../chroot/problem.ts")).problemLine);
}

/** A directory, as nearly all are, without what reads and finds all other kinds. */
async function rootOf(chroot: Chroot): Promise<RootSource> {
  if (chroot.type === "directory" && chroot.lowers.length === 0) return locateDirectory(chroot, chroot.directory);
  return (await import("../chroot/types/index.ts")).locateRoot(chroot);
}

/** Adds the setup scripts; what they do in the place of our own steps isn't done by those. */
export async function withScripts(source: Source, selectedName: string): Promise<Source> {
  // schroot refuses scripts for a plain chroot, which it enters as it is.
  if (source.kind === "host" || source.chroot.type === "plain") return source;
  const scripts = await findScripts();
  const { copyFiles, nssDatabases } = source.profile;
  const profile = {
    ...source.profile,
    copyFiles: scripts.native.includes("copyfiles") ? copyFiles : [],
    nssDatabases: scripts.native.includes("nssdatabases") ? nssDatabases : [],
  };
  return { ...source, profile, scripts, selectedName };
}
