import { type Described, readDescribed } from "../chroot/described.ts";
import { readProfile } from "../chroot/profile.ts";
import type { Chroot, RootSource } from "../chroot/types.ts";
import { locateRoot } from "../chroot/types/index.ts";
import { findScripts, type Scripts } from "./scripts.ts";

/** What a session is a view of. */
export type Source =
  | { readonly kind: "host"; readonly name: string }
  | (Described & {
      readonly kind: "chroot";
      readonly root: RootSource;
      readonly scripts?: Scripts;
      /** The name or alias that it was asked for by. */
      readonly selectedName?: string;
    });

/** The name that stands for the machine's own root wherever a chroot's name can stand. */
export const hostName = "host";

/** @throws {UserError} not-found, config */
export function findSource(asked: string | Chroot): Source {
  if (asked === hostName) return { kind: "host", name: hostName };
  const { chroot, profile } =
    typeof asked === "string" ? readDescribed(asked) : { chroot: asked, profile: readProfile(asked) };
  return { kind: "chroot", chroot, root: locateRoot(chroot), profile };
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
